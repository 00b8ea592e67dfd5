"""A nucleus found among a few likely tokens is the one that transformers finds by sorting them all."""

import math
import sys

import pytest
import torch
from torch import Tensor
from transformers import TopPLogitsWarper

from ws.engine.nucleus import Nucleus, margin, outranked_by

VOCAB = 6000
"""A vocabulary larger than all WIDTHS, so that each width is tried."""
ROWS = 6
TOP_P = (1e-9, 0.3, 0.95, 0.999, 1.0)


def zipf(generator: torch.Generator) -> Tensor:
    """Scores that fall as the logarithm of their rank, a text's statistics, in random order."""
    ranks = torch.stack([torch.randperm(VOCAB, generator=generator) for _ in range(ROWS)])
    return -1.5 * (ranks + 1).float().log()


def mixed(generator: torch.Generator) -> Tensor:
    """Rows from one certain token to near uniform."""
    return torch.logspace(2, -2, ROWS)[:, None] * torch.randn(ROWS, VOCAB, generator=generator)


def tied(generator: torch.Generator) -> Tensor:
    """Scores of few values, each shared by many tokens."""
    return (2 * torch.randn(ROWS, VOCAB, generator=generator)).round()


def banned(generator: torch.Generator) -> Tensor:
    """Rows in which most tokens cannot be said."""
    scores = 4 * torch.randn(ROWS, VOCAB, generator=generator)
    return scores.masked_fill(torch.rand(ROWS, VOCAB, generator=generator) < 0.99, -torch.inf)


def uniform(generator: torch.Generator) -> Tensor:
    """All tokens alike."""
    return torch.zeros(ROWS, VOCAB)


KINDS = (zipf, mixed, tied, banned, uniform)


def kept(top_p: float, scores: Tensor) -> Tensor:
    """Ours."""
    return Nucleus(top_p)(torch.zeros(len(scores), 1, dtype=torch.long), scores)


def sorted_out(top_p: float, scores: Tensor) -> Tensor:
    """transformers'."""
    return TopPLogitsWarper(top_p)(torch.zeros(len(scores), 1, dtype=torch.long), scores)


@pytest.mark.parametrize("top_p", TOP_P)
def test_the_same_tokens_are_kept_with_the_same_scores(top_p: float) -> None:
    small = [3 * torch.randn(ROWS, vocab, generator=torch.Generator().manual_seed(0)) for vocab in (1, 2, 64, 65, 513)]
    for scores in (*(kind(torch.Generator().manual_seed(0)) for kind in KINDS), *small):
        before = scores.clone()
        assert torch.equal(kept(top_p, scores), sorted_out(top_p, scores))
        assert torch.equal(scores, before)


@pytest.mark.parametrize("steps", range(-2, 3))
@pytest.mark.parametrize("last", [0, 1, 5, 100])
@pytest.mark.parametrize("offset", [0.0, 3e4])
def test_where_rounding_decides_it_decides_as_in_transformers(last: int, steps: int, offset: float) -> None:
    scores = offset + 3 * torch.randn(1, VOCAB, generator=torch.Generator().manual_seed(0))
    # A top_p at which the token that `last` others outrank is just in or just out, up to some last bits.
    ends = torch.sort(scores).values.softmax(-1).cumsum(-1)[0, -1 - last].double()
    # All probabilities sum to 1 only up to rounding, so the share above the likeliest token may be slightly negative.
    top_p = max(float(1 - ends) + steps * 2**-25, 0.0)
    assert torch.equal(kept(top_p, scores), sorted_out(top_p, scores))


def peaked(share: float, tokens: int, *, vocab: int, generator: torch.Generator) -> Tensor:
    """A row in which a few tokens hold a share of the probability and all others have the rest alike."""
    scores = torch.full((1, vocab), math.log((1 - share) / (vocab - tokens)))
    scores[:, :tokens] = math.log(share / tokens)
    return scores + 0.01 * torch.randn(1, vocab, generator=generator)


@pytest.mark.parametrize("vocab", [49152, 262144])
@pytest.mark.parametrize(("share", "tokens"), [(0.01, 1000), (0.5, 1), (0.949, 1000), (0.98, 1)])
def test_the_margin_covers_what_rounding_does(vocab: int, share: float, tokens: int) -> None:
    for offset in (0.0, -700.0):
        scores = offset + peaked(share, tokens, vocab=vocab, generator=torch.Generator().manual_seed(0))
        ranked = torch.sort(scores - scores.amax(), descending=True).values
        ours = outranked_by(ranked, ranked.exp().sum(-1, keepdim=True).log())[0]
        # transformers sums a token and all below it; 1 minus that sum is the share of the tokens above it.
        theirs = 1 - torch.sort(scores).values.softmax(-1).cumsum(-1).flip(-1).double()[0]
        places = [*range(2 * tokens), *range(2 * tokens, vocab, vocab // 1000)]
        assert [at for at in places if abs(theirs[at] - ours[at]) >= margin(float(ours[at])) / 2] == []


@pytest.fixture
def by_sorting(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The scores that transformers' warper is given."""
    given: list[Tensor] = []

    class Watched(TopPLogitsWarper):
        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
            given.append(scores)
            return super().__call__(input_ids, scores)

    # Looked up anew: a test before this one may have imported the library afresh.
    monkeypatch.setattr(sys.modules["transformers"], "TopPLogitsWarper", Watched)
    return given


def test_a_text_is_sampled_without_sorting(by_sorting: list[Tensor]) -> None:
    scores = zipf(torch.Generator().manual_seed(0))
    widths = (kept(0.95, scores) > -torch.inf).sum(-1)
    assert 64 < widths.max() < 512
    assert by_sorting == []


def test_only_rows_in_doubt_are_sorted(by_sorting: list[Tensor]) -> None:
    generator = torch.Generator().manual_seed(0)
    sure, wide, level = zipf(generator), mixed(generator)[-1:], tied(generator)[:1]
    scores = torch.cat([sure[:2], wide, sure[2:], level])
    assert torch.equal(kept(0.95, scores), sorted_out(0.95, scores))
    assert len(by_sorting) == 1
    assert torch.equal(by_sorting[0], torch.cat([wide, level]))
