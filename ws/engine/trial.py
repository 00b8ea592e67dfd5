"""What the self-check runs to compare two ways of running a model: prompts, a dW, and the numbers read from them.

Each of these numbers is one that the package reads elsewhere: logits after prompts and along them, states by depth, the
gradient that training follows, and the tokens of an answer.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ws.delta.steering import steered
from ws.delta.update import LowRank
from ws.delta.weight_delta import WeightDelta
from ws.engine.choice import begun, prepared
from ws.engine.depth import window
from ws.engine.plain import own_logits
from ws.models.anatomy import matrix
from ws.models.language import LanguageModel

TEXT = """\
A pumice stone floats on water for weeks before it sinks, because air is trapped in thousands of small holes. People who
saw whole rafts of it drift past after an eruption wrote that the sea looked like land. Is that true? Yes: in 2012 one
of them was larger than Israel. It carried barnacles, crabs and corals from island to island until they settled.
"""
"""The text of the prompts: any text will do that does not repeat itself at once."""

LONG, MIDDLE, SHORT, SHARED, NEW = 256, 40, 14, 9, 4
"""Numbers of tokens: three lengths of prompts, the beginning that two prompts share, and an answer.

The long prompt reveals an attention window that the config does not name; it takes half the time of the whole check.
"""

POSITIONS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "n_ctx",
    "max_sequence_length",
    "max_target_positions",
    "keep_window_size",
)
"""What configs call the number of tokens that a model can read. (Doge, beyond `keep_window_size`, is not causal.)"""

Steering = Callable[[LanguageModel, WeightDelta], AbstractContextManager[object]]

STEP = 0.05
"""Norm of the dW that is tried, as a part of each weight's: enough to move every logit, too little to break a model."""


@dataclass(frozen=True, eq=False)
class Trial:
    """What is run to compare."""

    prompts: tuple[tuple[int, ...], ...]
    """Two prompts that share a beginning, one of a single token, one as long as the first, and a longer one."""
    long: tuple[int, ...]
    start: int
    """The block that dW begins at."""
    delta: WeightDelta
    stop: int

    @classmethod
    def of(cls, lm: LanguageModel) -> "Trial":
        """Prompts that fit the model and its attention windows, and a dW in the later half of its blocks."""
        text = lm.tokenizer.encode(TEXT)
        room = min(LONG, readable(lm) - NEW, window(lm) or LONG)
        long = tuple(itertools.islice(itertools.cycle(text), room))
        short, shared = min(SHORT, room - 1), min(SHARED, room // 2)
        other = (*long[:shared], *reversed(long[shared:short]))
        prompts = (long[:short], (*other, long[0]), long[:1], other, long[:MIDDLE])
        start, eos = lm.n_layers // 2, lm.tokenizer.eos_token_id
        return cls(prompts, long, start, small_update(lm, start=start), 0 if eos is None else eos)


def small_update(lm: LanguageModel, *, start: int, step: float = STEP) -> WeightDelta:
    """A dW of rank 1 in every linear layer from block `start` on, of `step` times each weight's norm."""
    generator, updates = torch.Generator().manual_seed(0), {}
    for path, linear in lm.linears(start, lm.n_layers).items():
        W = matrix(linear).detach()
        left, right = (torch.randn(n, generator=generator) for n in W.shape)
        size = step * W.float().norm().item() / (left.norm() * right.norm()).item()
        updates[path] = LowRank((size * left[:, None]).to(lm.device), right[None].to(lm.device))
    return WeightDelta(updates)


def readable(lm: LanguageModel) -> int:
    """How many tokens a model can read, as far as its config says so."""
    config = lm.model.config.get_text_config()
    sizes = [getattr(config, name, None) for name in POSITIONS]
    return min((size for size in sizes if isinstance(size, int) and size > 0), default=LONG + NEW)


def merged(lm: LanguageModel, delta: WeightDelta) -> AbstractContextManager[object]:
    """The model with dW in its weights, where they are fp32."""
    return steered(lm, delta, coeff=1.0)


def beside(lm: LanguageModel, delta: WeightDelta) -> AbstractContextManager[object]:
    """The model with dW multiplied beside its weights, as steering does when few tokens run."""
    return steered(lm, delta, coeff=1.0, tokens=1)


def ends(lm: LanguageModel, trial: Trial, steering: Steering) -> Float[Tensor, "prompts vocab"]:
    """The logits after each prompt, steered by dW and run from the first block that dW changes."""
    batch, found = prepared(lm, trial.prompts, start=trial.start), {}
    with steering(lm, trial.delta):
        for places, logits in batch.ends(lm):
            found |= dict(zip(places.tolist(), logits, strict=True))
    return torch.stack([found[place] for place in range(batch.prompts)])


def spans(lm: LanguageModel, trial: Trial, steering: Steering) -> Float[Tensor, "token vocab"]:
    """The unsteered model's logits at NEW - 1 tokens before the last of each prompt, the long one included."""
    batch = prepared(lm, (*trial.prompts, trial.long), start=0)
    found = {place: logits() for place, logits in batch.read(lm, [slice(-NEW, -1)] * batch.prompts)}
    return torch.cat([found[place] for place in range(batch.prompts)])


def states(lm: LanguageModel, trial: Trial, steering: Steering) -> Float[Tensor, "depth token d_model"]:
    """The stream at the last tokens of some prompts, steered by dW, each depth divided by its largest number."""
    batch = prepared(lm, trial.prompts[:3], start=trial.start)
    with steering(lm, trial.delta):
        found = dict(batch.states(lm, [slice(-2, None)] * batch.prompts))
    read = torch.cat([found[place] for place in range(batch.prompts)], dim=1).float()
    return read / read.abs().amax(dim=(1, 2), keepdim=True).clamp(min=1e-30)


def gradient(lm: LanguageModel, trial: Trial, steering: Steering) -> Float[Tensor, " entries"]:
    """The gradient of the loss of two prompts, steered by dW, in the weights of the first block that dW changes."""
    batch, places = prepared(lm, trial.prompts, start=trial.start), (0, 1)
    labels = torch.tensor([token for place in places for token in trial.prompts[place][1:]], device=lm.device)
    weights = [linear.weight for linear in lm.linears(trial.start, trial.start + 1).values()]
    with steering(lm, trial.delta), _wanted(weights):
        loss = nn.functional.cross_entropy(batch.predicted(lm, places, [slice(0, -1)] * len(places)).float(), labels)
        found = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
    return torch.cat([value.flatten() for value in found])


def followed(lm: LanguageModel, trial: Trial) -> tuple[Float[Tensor, "token vocab"], Float[Tensor, "token vocab"]]:
    """The logits from which steered greedy answers were chosen, and the logits of one whole pass over each answer."""
    seen = Seen(trial.stop)
    with beside(lm, trial.delta):
        answers = begun(lm, trial.prompts).continued(
            range(len(trial.prompts)),
            ends=(trial.stop,),
            new_tokens=NEW,
            processors=[seen],
        )
    said = list(zip(trial.prompts, answers, strict=True))
    ours = [seen.before((*prompt, *answer[:n])) for prompt, answer in said for n in range(len(answer))]
    with merged(lm, trial.delta), torch.no_grad():
        truth = [own_logits(lm, [(*prompt, *answer[:-1])], keep=len(answer))[0] for prompt, answer in said]
    return torch.stack(ours), torch.cat(truth)


class Seen:
    """A logits processor for `generate` that changes nothing and records the logits after each text."""

    def __init__(self, padding: int) -> None:
        self.padding = padding
        self.logits: dict[tuple[int, ...], Float[Tensor, " vocab"]] = {}

    def __call__(
        self, input_ids: Int[Tensor, "batch seq"], scores: Float[Tensor, "batch vocab"]
    ) -> Float[Tensor, "batch vocab"]:
        for row, logits in zip(input_ids.tolist(), scores, strict=True):
            self.logits[self._bare(row)] = logits.clone()
        return scores

    def before(self, text: Sequence[int]) -> Float[Tensor, " vocab"]:
        """The logits after a text."""
        return self.logits[self._bare(text)]

    def _bare(self, text: Sequence[int]) -> tuple[int, ...]:
        return tuple(itertools.dropwhile(lambda token: token == self.padding, text))


@contextmanager
def _wanted(weights: Sequence[Tensor]) -> Iterator[None]:
    """These weights, requiring gradients inside."""
    before = [weight.requires_grad for weight in weights]
    try:
        for weight in weights:
            weight.requires_grad_(True)
        yield
    finally:
        for weight, wanted in zip(weights, before, strict=True):
            weight.requires_grad_(wanted)
