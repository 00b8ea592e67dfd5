"""What the self-check of a model found: computed once for its weights, a device and the versions of the libraries.

No other artifact has the self-check as an input. The ways of running prompts that it chooses between agree up to
rounding, as different processors do, except that sampled answers draw their random numbers in another order. Its
outcome depends on how a model is built and not on the machine, so it is part of no key; the manifest of whatever a
model computes says which way its prompts were run.
"""

import importlib.metadata
import json
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from ws.models.hardware import tune_malloc
from ws.models.language import LanguageModel, Passes, Placed, load
from ws.models.weights import ModelWeights
from ws.store import Recipe, Store
from ws.store.progress import say


def releases() -> tuple[str, ...]:
    """The exact releases that a model's own code and kernels come from; a store's keys know only the first digits."""
    return tuple(importlib.metadata.version(name) for name in ("torch", "transformers"))


@dataclass(frozen=True)
class SelfCheck(Recipe):
    """`passes.json`: how the prompts of a model in float32 are run (`passes`), and why no faster way is right."""

    weights: ModelWeights
    device: str
    releases: tuple[str, ...] = field(default_factory=releases)

    def describe(self) -> str:
        return f"self-check of {self.weights.name} ({self.device})"

    def build(self, out: Path, store: Store) -> None:
        from ws.engine.selfcheck import examined

        if self not in _FOUND:
            say(f"comparing our passes of {self.weights.name} with its own, once; seconds for a small model")
            found = examined(load(self.weights, store=store, device=self.device))
            _FOUND[self] = json.dumps({"passes": found.passes, "why": [str(it) for it in found.why]}, indent=1)
        (out / "passes.json").write_text(_FOUND[self] + "\n", encoding="utf-8")


_FOUND: dict[SelfCheck, str] = {}
"""Outcomes of this process, so that a second store needs no second check."""


def checked(lm: LanguageModel, on: Placed, store: Store) -> LanguageModel:
    """The model, set to run its prompts the way its self-check chose; the same object for all callers.

    Raises: ModelError, when it is first used, for a model that cannot be scored.
    """
    record = json.loads((store.get(SelfCheck(on.weights, on.device)) / "passes.json").read_text(encoding="utf-8"))
    store.note(passes=record["passes"])
    return _told(lm, record["passes"], tuple(record["why"]))


@cache
def _told(lm: LanguageModel, passes: Passes, why: tuple[str, ...]) -> LanguageModel:
    if passes == lm.passes:
        return lm
    slower = "prompt by prompt, without a cache" if passes == "alone" else "slower than packed prompts"
    more = f", and {len(why) - 1} more in its self-check" if len(why) > 1 else ""
    say(f"{lm.name} runs through its own forward pass, {slower}, because of {why[0]}{more}")
    return replace(lm, passes=passes)


def loaded(on: Placed, store: Store) -> LanguageModel:
    """The float32 model that recipes compute with: read by `load`, and checked by `SelfCheck` when first used."""
    tune_malloc()
    return checked(load(on.weights, store=store, device=on.device), on, store)
