"""Top-p sampling without sorting the vocabulary.

The nucleus of a row of scores is its smallest set of likeliest tokens that hold `top_p` of the probability.
transformers finds it by sorting every score, which takes longer than all other work on a small model's scores together.
Most nuclei are a few tokens, so here the 64 likeliest tokens of a row are looked at first, and more only if needed.

Source: Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration", arXiv:1904.09751, sec. 3.1.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

WIDTHS = (64, 512, 4096)
"""How many of the likeliest tokens are looked at, one width after the other until the nucleus is found."""


@dataclass(frozen=True)
class Nucleus:
    """Scores with all tokens outside the nucleus at minus infinity, exactly those that `TopPLogitsWarper` puts there.

    A row goes to `TopPLogitsWarper` itself in three cases: its nucleus is wide, the nucleus ends among tokens of equal
    score (a sort decides which of them are kept), or rounding decides about its last token.
    """

    top_p: float

    def __call__(
        self, input_ids: Int[Tensor, "batch seq"], scores: Float[Tensor, "batch vocab"]
    ) -> Float[Tensor, "batch vocab"]:
        from transformers import TopPLogitsWarper

        # Relative to each row's highest score: near 0, float32 is as fine as the probabilities are.
        below_top = scores - scores.amax(dim=-1, keepdim=True)
        log_total = below_top.exp().sum(dim=-1, keepdim=True).log()
        lowest = torch.full_like(log_total, -torch.inf)
        rows = torch.arange(len(scores), device=scores.device)
        for width in WIDTHS:
            if len(rows) and width < scores.shape[1]:
                found, settled = lowest_kept(below_top[rows], log_total[rows], top_p=self.top_p, width=width)
                lowest[rows[settled]] = found[settled]
                rows = rows[~settled]
        kept = scores.masked_fill(below_top < lowest, -torch.inf)
        if len(rows):
            kept[rows] = TopPLogitsWarper(self.top_p)(input_ids[rows], scores[rows])
        return kept


def lowest_kept(
    scores: Float[Tensor, "rows vocab"], log_total: Float[Tensor, "rows 1"], *, top_p: float, width: int
) -> tuple[Float[Tensor, "rows 1"], Bool[Tensor, " rows"]]:
    """The lowest score in each row's nucleus, and whether the `width` likeliest tokens settle it beyond doubt."""
    likeliest = scores.topk(width).values
    # A token is kept if those above it hold less than top_p; the likeliest has none above it and is always kept.
    above = outranked_by(likeliest, log_total)
    count = (above < top_p).sum(dim=-1, keepdim=True)
    lowest, next_lower = (likeliest.gather(-1, place.clamp(0, width - 1)) for place in (count - 1, count))
    rounded = ((above[:, 1:] - top_p).abs() < margin(top_p)).any(dim=-1, keepdim=True)
    # If all of these tokens are kept, the nucleus may be larger: then `next_lower` is `lowest` itself, so not settled.
    settled = (next_lower < lowest) & ~rounded
    return lowest, settled[:, 0]


def outranked_by(
    likeliest: Float[Tensor, "rows width"], log_total: Float[Tensor, "rows 1"]
) -> Float[Tensor, "rows width"]:
    """For each of a row's likeliest scores, given in falling order: the probability of all tokens above it, float64."""
    probabilities = (likeliest - log_total).double().exp()
    return probabilities.cumsum(dim=-1) - probabilities


def margin(top_p: float) -> float:
    """How near to `top_p` the share above a token has to come for transformers' rounding to decide about the token.

    transformers sums the probability of the lower tokens, in float32, and compares it with 1 - top_p. That sum is off
    by up to 3e-5 of itself if 262144 tokens are equally likely, by less if few are likely. The sums from above, taken
    here, are off by about 1e-6.
    """
    return 1e-4 * (1 - top_p) + 3e-6
