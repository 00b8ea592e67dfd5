"""Whether our passes compute what a model's own forward pass does, checked before the model is first used.

Packed sequences put our own attention into every layer, cut the list of layers, and apply the output head to the last
hidden states. A model that keeps a state from token to token, scales or caps its logits or its embeddings, or runs its
blocks in another way would then silently compute something else. So a model's own pass over one prompt is the truth,
and everything that we do differently is compared with it: prompts that share a beginning, a long prompt, states from
some block on, dW beside the weights and merged into them, tokens generated through a cache, and a gradient.
"""

import math
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from ws.delta.weight_delta import WeightDelta
from ws.engine.plain import own_logits
from ws.engine.trial import Steering, Trial, beside, ends, followed, gradient, merged, small_update, spans, states
from ws.errors import ModelError
from ws.models.anatomy import check_alone
from ws.models.language import LanguageModel, Passes

ROUNDINGS = 32
"""A sum of n terms, taken one by one, is off by about sqrt(n) roundings. Processors sum 64 or more parts side by side,
which leaves about 12 for the 10,000 terms of a wide layer. The rest is for norms, rotations and the softmax."""

SAME = 0.02
"""Two passes over one text may differ by this part of the largest logit; a model that looks ahead or draws at random
differs by more."""

COARSE = 0.05
"""Above this part of the largest number, no format explains a difference: bf16 rounds to 2^-8, and errors add up."""


class Difference(NamedTuple):
    """A way of running prompts in which a model's numbers come out differently."""

    what: str
    seen: float
    """The largest difference, as a part of the largest number; infinite where there is no number to compare."""
    allowed: float
    """How much of it rounding explains, as a part of the largest number too."""
    error: str = ""
    """What was raised instead of a number."""

    def __str__(self) -> str:
        if self.error:
            return f"{self.what}: {self.error}"
        return f"{self.what}: off by {self.seen:.2g} of the largest number, where rounding explains {self.allowed:.1g}"


class Outcome(NamedTuple):
    """How a model's prompts are to be run, and the differences that rule out faster ways."""

    passes: Passes
    why: tuple[Difference, ...]


@dataclass(frozen=True)
class Measure:
    """Something that the package reads of a model, scaled so that rounding moves all its numbers about equally."""

    what: str
    of: Callable[[LanguageModel, Trial, Steering], Tensor]
    needed: bool = True
    """Whether a model is of no use without it; claims can do without states by depth and gradients."""


def examined(lm: LanguageModel) -> Outcome:
    """The fastest way of running this model's prompts that agrees with its own forward pass of each prompt alone.

    Raises: ModelError if that pass cannot be the truth (it fails, is not finite, does not repeat itself or looks
        ahead), or if even one prompt at a time comes out differently with dW beside the weights than merged into them.
    """
    truth, trial = replace(lm, passes="alone"), Trial.of(lm)
    check_sound(truth, trial)
    expected, missed = {}, []
    for measure in MEASURES:
        try:
            expected[measure] = measure.of(truth, trial, merged)
        except Exception as error:  # Whatever a model's own code raises.
            if measure.needed:
                raise ModelError(
                    f"cannot score {lm.name}: {measure.what}: {shortly(error)}; use another model"
                ) from error
            missed.append(Difference(measure.what, math.inf, 0.0, shortly(error)))
    ruled_out, allowed = missed, rounding(truth, trial, [it.of for it in expected if it.of in (ends, gradient)])
    for passes in ("plain", "alone") if missed else ("packed", "plain", "alone"):
        found = list(differences(replace(lm, passes=passes), trial, expected, allowed=allowed))
        if not found:
            return Outcome(passes, tuple(ruled_out))
        ruled_out = [*ruled_out, *found]
    raise ModelError(
        f"cannot score {lm.name}: run prompt by prompt it still differs from its own forward pass in "
        f"{'; '.join(map(str, found))}; use another model"
    )


def differences(
    lm: LanguageModel, trial: Trial, expected: Mapping[Measure, Tensor], *, allowed: float
) -> Iterator[Difference]:
    """Every way in which a model's numbers differ from the expected ones by more than rounding explains."""
    compared = {measure.what: partial(_beside_truth, lm, trial, measure, truth) for measure, truth in expected.items()}
    compared["tokens that follow"] = partial(followed, lm, trial)
    for what, pair in compared.items():
        try:
            seen, error = apart(*pair()), ""
        except Exception as raised:  # Whatever a model's own code raises.
            seen, error = math.inf, shortly(raised)
        if not seen <= allowed:
            yield Difference(f"{what} ({lm.passes})", seen, allowed, error)


def _beside_truth(lm: LanguageModel, trial: Trial, measure: Measure, truth: Tensor) -> tuple[Tensor, Tensor]:
    return measure.of(lm, trial, beside), truth


def check_sound(lm: LanguageModel, trial: Trial) -> None:
    """Raises: ModelError if the model's own forward pass cannot be the truth."""
    check_alone(lm.model)
    text = trial.prompts[-1]
    half = len(text) // 2
    try:
        with torch.no_grad():
            once, again = (own_logits(lm, [text], keep=len(text))[0] for _ in range(2))
            begun_so = own_logits(lm, [text[:half]], keep=half)[0]
    except Exception as error:
        raise ModelError(
            f"{lm.name} gives no logits for token ids alone ({shortly(error)}); use a causal language model"
        ) from error
    if once.shape[0] != len(text) or not once.isfinite().all():
        raise ModelError(
            f"{lm.name} gives logits of shape {tuple(once.shape)}, {once.isfinite().float().mean():.0%} of them "
            f"finite, for {len(text)} tokens; expected a finite row for each: use a causal language model"
        )
    if (moved := apart(again, once)) > SAME:
        raise ModelError(
            f"the same prompt moves the logits of {lm.name} by {moved:.2g} of the largest from one pass to the next; "
            "expected the same: load it without what draws at random or remembers"
        )
    if (ahead := apart(begun_so, once[:half])) > SAME:
        raise ModelError(
            f"the logits of {lm.name} at a token change by {ahead:.2g} of the largest with the tokens behind it: it is "
            "not causal, as an encoder is not, and prompts that begin alike share nothing; use a causal language model"
        )


def rounding(truth: LanguageModel, trial: Trial, read: Iterable[Callable[..., Tensor]]) -> float:
    """How far rounding alone may move a model's numbers, as a part of the largest number.

    Measured as the effect of a dW no larger than rounding, since models differ in what they make of an error: random
    weights amplify it, deep streams dilute it.
    """
    eps = torch.finfo(truth.dtype).eps
    still = replace(trial, prompts=trial.prompts[:3], delta=WeightDelta({}))
    noise = replace(still, delta=small_update(truth, start=0, step=ROUNDINGS * eps))
    moved = [apart(of(truth, noise, beside), of(truth, still, beside)) for of in read]
    return min(COARSE, max(ROUNDINGS * eps, *moved))


def apart(ours: Tensor, truth: Tensor) -> float:
    """The largest difference as a part of the largest number; infinite if any of them is no finite number."""
    gap = ((ours.double() - truth.double()).abs().max() / truth.double().abs().max().clamp(min=1e-30)).item()
    return gap if math.isfinite(gap) else math.inf


def shortly(error: Exception) -> str:
    """An error as one line."""
    return textwrap.shorten(f"{type(error).__name__}: {error}", width=160, placeholder=" ...")


MEASURES = (
    Measure("logits at several tokens", spans),
    Measure("logits after prompts under a dW from a block on", ends),
    Measure("states by depth under it", states, needed=False),
    Measure("gradient of a loss under it", gradient, needed=False),
)
