"""Choosing each family's recipe on rows that no claim reads.

Every candidate's plus adapter is trained with a seed that no claim uses, and ranked by its validation loss on training
questions that are kept out of training. The best candidate and epoch wins if its dW leaves the model able to answer: at
coefficients -1 and +1, pmass on the validation claims is at least four fifths of the base model's. Otherwise the next
best is tried. A behavior without claims has messages: then a token of the answers to its validation messages, of both
sides, must stay at least four fifths as likely. Held-out claims and messages are never scored here.
"""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ws.adapters import FAMILIES, AdapterConfig
from ws.behaviors.brought import asks
from ws.errors import DataError, TrainingError, UnknownNameError
from ws.scoring.rows import read_rows
from ws.scoring.text import read_text_rows
from ws.steering.interventions import Nothing, Weights
from ws.store import Store
from ws.store.progress import say
from ws.study.subject import Subject
from ws.training.hyperparameters import Hyperparameters, hyperparameters_record
from ws.training.train import TrainConfig, read_curves

SEED = 1000
MAX_EPOCHS = 2
PMASS_KEPT = 0.8
LIKELIHOOD_KEPT = 0.8
"""Of a behavior without claims: how likely a token of any answer must stay, of how likely it was."""

Ability = Literal["pmass", "likelihood"]
"""What shows that a model still answers: on claims, and on messages."""

LEARNING_RATES = {
    "lora": (2e-4, 1e-3),
    "dora": (2e-4, 1e-3),
    "pissa": (5e-5, 2e-4),
    "delora": (1e-3,),
    "oft": (5e-4, 2e-3),
    "boft": (5e-4, 2e-3),
    "ia3": (5e-3, 2e-2),
}
ANY_RATES = (2e-4, 1e-3, 5e-3)
"""Of a family that nobody has chosen rates for: from what suits low-rank factors to what suits rotations."""
BOUNDS = {"delora": (0.5, 1.0, 3.0)}
"""Bounds to try for DeLoRA. Its bound sets its size, whatever the learning rate; PEFT's 15 destroys a small model."""

SEARCHED: dict[str, Callable[[Hyperparameters], float]] = {
    "lr": lambda recipe: recipe.training.lr,
    "bound": lambda recipe: recipe.shape.bound,
    "epochs": lambda recipe: recipe.training.epochs,
}
"""The hyper-parameters in which the candidates of a family differ."""


@dataclass(frozen=True)
class Candidate:
    """One recipe that was tried, and its results on validation data."""

    recipe: Hyperparameters
    validation_loss: float
    """Validation loss of the plus adapter, in nats per token; infinite if training diverged."""
    pmass: float | None = None
    """The lower of the mean pmass at coefficients -1 and +1 on the validation claims; None if it was not measured."""
    likelihood: float | None = None
    """Of a behavior without claims instead: the lower, at both coefficients, of how likely a token of the answers to
    validation messages is, as a multiple of how likely it was."""
    chosen: bool = False

    def record(self) -> dict[str, object]:
        """The JSON form."""
        loss = round(self.validation_loss, 5) if math.isfinite(self.validation_loss) else None
        ability = {"pmass": self.pmass} if self.likelihood is None else {"likelihood": self.likelihood}
        numbers = {"validation_loss": loss, **ability, "chosen": self.chosen}
        return numbers | hyperparameters_record(self.recipe)


def grid(name: str) -> tuple[Hyperparameters, ...]:
    """The candidates of a family with the most epochs; fewer epochs are read off the curves of these."""
    return tuple(
        Hyperparameters(AdapterConfig(name, bound=bound), TrainConfig(lr=lr, epochs=MAX_EPOCHS))
        for lr in LEARNING_RATES.get(name, ANY_RATES)
        for bound in BOUNDS.get(name, (AdapterConfig(name).bound,))
    )


def search(
    model: str, families: Iterable[str], store: Store, out: Path, *, behavior_name: str = "sycophancy"
) -> dict[str, list[Candidate]]:
    """Searches family by family and writes `out` after each, so that a killed search goes on where it was.

    `at_edge` in `out` names the winner's values that are the lowest or highest of those tried.

    Raises: UnknownNameError for an unknown family; DataError if no candidate of a family keeps enough pmass.
    """
    families = tuple(families)
    for name in families:
        if name not in FAMILIES:
            raise UnknownNameError("adapter family", name, FAMILIES)
    subject = Subject(model, behavior_name=behavior_name)
    kept = json.loads(out.read_text()) if out.is_file() else {"chosen": {}, "candidates": {}}
    results = {}
    by = ability_of(subject)
    base = _ability(subject, store, None)
    for name in families:
        candidates = sorted(
            (c for recipe in grid(name) for c in trained_candidates(subject, store, recipe)),
            key=lambda c: c.validation_loss,
        )
        least = (PMASS_KEPT if by == "pmass" else LIKELIHOOD_KEPT) * base
        results[name] = chosen(subject, store, candidates, least=least)
        winner, edges = winner_of(results[name]), at_edge(results[name])
        kept["chosen"][name] = hyperparameters_record(winner.recipe)
        kept["candidates"][name] = [c.record() for c in results[name]]
        kept.setdefault("at_edge", {})[name] = edges
        kept[f"base_{by}"] = base
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(kept, indent=1, allow_nan=False) + "\n")
        say(
            f"{name}: lr {winner.recipe.training.lr:g}, {winner.recipe.training.epochs} epochs, "
            f"validation loss {winner.validation_loss:.4f}, {by} {getattr(winner, by):.3f} (base {base:.3f})"
        )
        if edges:
            say(f"{name}: its winner has the {' and the '.join(edges)} of the candidates; the best may lie beyond")
    return results


def trained_candidates(subject: Subject, store: Store, recipe: Hyperparameters) -> list[Candidate]:
    """A candidate per epoch of one training: the rate is constant after warm-up, so stopping early is a recipe too."""
    try:
        curve = read_curves(store, subject.custom_adapter(recipe, sign="plus", seed=SEED))["validation_loss"]
    except TrainingError as error:
        say(f"dropped a candidate: {error}")
        return [Candidate(recipe, float("inf"))]
    return [
        Candidate(Hyperparameters(recipe.shape, replace(recipe.training, epochs=epoch)), curve[epoch])
        for epoch in range(1, recipe.training.epochs + 1)
    ]


def chosen(subject: Subject, store: Store, ranked: list[Candidate], *, least: float) -> list[Candidate]:
    """The ranking, with the best candidate marked whose ability to answer is at least `least`; a diverged one fails."""
    by = ability_of(subject)
    for place, candidate in enumerate(ranked):
        if not math.isfinite(candidate.validation_loss):
            continue
        try:
            able = _ability(subject, store, candidate.recipe)
        except TrainingError as error:
            say(f"dropped a candidate: {error}")
            continue
        candidate = replace(candidate, chosen=able >= least)
        shown = round(able, 4)
        ranked[place] = replace(candidate, pmass=shown) if by == "pmass" else replace(candidate, likelihood=shown)
        if ranked[place].chosen:
            return ranked
    raise DataError(
        f"no candidate of {ranked[0].recipe.shape.family} keeps {by} {least:.2f} on {subject.model}: "
        f"{[getattr(c, by) for c in ranked]}; add gentler candidates (lower learning rates or bounds) to "
        "ws/study/search.py"
    )


def winner_of(candidates: list[Candidate]) -> Candidate:
    """The one that was chosen."""
    return next(candidate for candidate in candidates if candidate.chosen)


def at_edge(candidates: list[Candidate]) -> list[str]:
    """Which values of the winner are the least or the greatest that were tried, such as `lowest lr`.

    A value that all candidates share was not searched and has no edge.
    """
    winner = winner_of(candidates).recipe
    tried = {name: [value(candidate.recipe) for candidate in candidates] for name, value in SEARCHED.items()}
    return [
        f"{end} {name}"
        for name, values in tried.items()
        for end, extreme in (("lowest", min), ("highest", max))
        if min(values) < max(values) and SEARCHED[name](winner) == extreme(values)
    ]


def ability_of(subject: Subject) -> Ability:
    """What shows, for a subject's behavior, that the model still answers."""
    return "pmass" if asks(subject.behavior) else "likelihood"


def _ability(subject: Subject, store: Store, recipe: Hyperparameters | None) -> float:
    """The unchanged model's ability to answer, or the lower of that at coefficients -1 and +1 of a recipe's dW."""
    return (_pmass if ability_of(subject) == "pmass" else _likelihood)(subject, store, recipe)


def _likelihood(subject: Subject, store: Store, recipe: Hyperparameters | None) -> float:
    if recipe is None:
        return 1.0
    weights = Weights(subject.custom_direction(recipe, seed=SEED))
    still, moved = (
        read_text_rows(store, subject.text_rows(arm, seed=SEED, coeffs=coeffs, split="validation"))
        for arm, coeffs in ((Nothing(), (0.0,)), (weights, (-1.0, 1.0)))
    )
    return math.exp(moved.groupby("coeff")["log_p"].mean().min() - still["log_p"].mean())


def _pmass(subject: Subject, store: Store, recipe: Hyperparameters | None) -> float:
    if recipe is None:
        return float(read_rows(store, subject.validation_rows(Nothing(), coeffs=(0.0,)))["pmass"].mean())
    direction = subject.custom_direction(recipe, seed=SEED)
    rows = read_rows(store, subject.validation_rows(Weights(direction), coeffs=(-1.0, 1.0)))
    return float(rows.groupby("coeff")["pmass"].mean().min())
