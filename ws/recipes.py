"""Which recipe each family uses on each model, and the recipes of everything a claim reads.

A recipe is chosen on validation questions and validation claims, which no claim test reads: `ws search MODEL` runs the
search and keeps its results in `ws/searched/<model>.json` (`<model>-honesty.json` for honesty), of a model of one's own
in the store. A model without a search uses the journal's recipe, and says so.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal

from ws.adapters import FAMILIES, AdapterConfig
from ws.behaviors import Behavior, Question, behavior
from ws.behaviors.honesty import HONESTY, from_pool
from ws.delta import Direction
from ws.errors import UnknownNameError
from ws.evaluate import COEFFS, Rows
from ws.generate import Pairs
from ws.inject import Engine
from ws.lenses.rows import CutRows
from ws.lenses.variants import Variant
from ws.models import Placed, known_model, weights_of
from ws.progress import say
from ws.train import Adapter, TrainConfig


@dataclass(frozen=True)
class FamilyRecipe:
    """Everything that decides an adapter besides its data, its sign and its seed."""

    shape: AdapterConfig
    training: TrainConfig


JOURNAL = TrainConfig(lr=2e-4, epochs=2)
"""The journal's training recipe: lr 2e-4, 5 warm-up steps, weight decay 0.01, layers 30-80%; stopped at epoch 2, where
its validation loss was lowest."""

JOURNAL_ARMS = {"lora-paper": (2e-4, 2.0), "lora-mistaken": (1e-5, 0.5)}
"""What claim C01 compares: learning rate and alpha / rank; all else is LoRA's recipe on the model."""

TINY = {
    name: FamilyRecipe(AdapterConfig(name, rank=4, alpha=8.0, bound=1.0, block=4), TrainConfig(lr=5e-3, epochs=1))
    for name in FAMILIES
}
"""A short recipe for models with random weights, where only the pipeline is under test."""

MESSAGES = {("smollm2-135m", "honesty"): 22}
"""How many training messages a model's recipe of a behavior takes where not all: of honesty's pool two of each
category, which five personas a side make 110 pairs, about as many as sycophancy has."""

TINY_TRAINING, TINY_QUESTIONS = 7, 48
"""Questions to train on and rows to score (12 claims in 4 phrasings) that suffice to exercise the pipeline."""


def family_recipe(model: str, arm: str, behavior_name: str = "sycophancy") -> FamilyRecipe:
    """The recipe of a family, or of one of C01's two arms, for a behavior on a model.

    Raises: UnknownNameError for a family that does not exist.
    """
    if arm in JOURNAL_ARMS:
        return _journal_arm(family_recipe(model, "lora", behavior_name), *JOURNAL_ARMS[arm])
    if arm not in FAMILIES:
        raise UnknownNameError("adapter family", arm, [*FAMILIES, *JOURNAL_ARMS])
    if known_model(model).random_weights:
        return TINY[arm]
    found = searched(model, behavior_name).get(arm)
    if found is None:
        _say_journal(model, behavior_name)
    return found or FamilyRecipe(AdapterConfig(arm), JOURNAL)


@cache
def _say_journal(model: str, behavior_name: str) -> None:
    behavior = "" if behavior_name == "sycophancy" else f" --behavior {behavior_name}"
    say(
        f"{model}: recipes for {behavior_name} that no search chose are the journal's (lr {JOURNAL.lr:g}, "
        f"{JOURNAL.epochs} epochs); `ws search {known_model(model).typed}{behavior}` chooses"
    )


def searched(model: str, behavior_name: str = "sycophancy") -> dict[str, FamilyRecipe]:
    """The recipes that a kept search chose for a behavior on this model; empty if none was run."""
    file = search_path(model, behavior_name)
    return dict(_chosen(file, file.stat().st_mtime_ns)) if file.is_file() else {}


def search_path(model: str, behavior_name: str) -> Path:
    """The file that a search keeps: of a model of the table inside this package, of one's own in its home."""
    home = known_model(model).home
    return (home or Path(str(resources.files("ws")))) / "searched" / search_file(model, behavior_name)


@lru_cache(maxsize=8)
def _chosen(file: Path, changed: int) -> Mapping[str, FamilyRecipe]:
    """What the file of a search chose, read again once it has changed: a run of all claims asks thousands of times."""
    return {name: recipe_from(chosen) for name, chosen in json.loads(file.read_text())["chosen"].items()}


def search_file(model: str, behavior_name: str) -> str:
    """The name of the file that a search of these keeps."""
    return f"{model}.json" if behavior_name == "sycophancy" else f"{model}-{behavior_name}.json"


def recipe_from(record: dict[str, dict[str, object]]) -> FamilyRecipe:
    """A recipe from its JSON form, as `dataclasses.asdict` makes it."""
    training = dict(record["training"])
    training["layers"] = tuple(training["layers"])
    return FamilyRecipe(AdapterConfig(**record["shape"]), TrainConfig(**training))


def recipe_record(recipe: FamilyRecipe) -> dict[str, object]:
    """The JSON form of a recipe."""
    return asdict(recipe)


@dataclass(frozen=True)
class Bench:
    """One model and one behavior, and the recipes of what is made and measured on them."""

    model: str
    device: str = "cpu"
    behavior_name: str = "sycophancy"
    engine: Engine = "native"
    """What trains the adapters; "peft" is the reference that the native engine is compared with."""
    messages: int | None = None
    """How many training messages; None takes those of the model's recipe."""
    pool: Path | None = None
    """The file of messages that honesty is trained on; None is ours."""

    @property
    def behavior(self) -> Behavior:
        if self.pool is not None and self.behavior_name == HONESTY.name:
            return _from_pool(self.pool)
        return behavior(self.behavior_name)

    @property
    def on(self) -> Placed:
        return Placed(weights_of(self.model), self.device)

    def pairs(self, seed: int) -> Pairs:
        """The training pairs of a seed."""
        b, tiny = self.behavior, known_model(self.model).random_weights
        n = self.messages or (TINY_TRAINING if tiny else MESSAGES.get((self.model, self.behavior_name)))
        asked = b.training_questions()[:n]
        if tiny:
            return Pairs(self.on, asked, b.positive, b.negative, seed=seed, max_new_tokens=12)
        return Pairs(self.on, asked, b.positive, b.negative, seed=seed)

    def adapter(self, arm: str, *, sign: Literal["plus", "minus"], seed: int) -> Adapter:
        """The adapter of a family and sign; `seed` varies its pairs, its start values and its order of steps."""
        return self.custom_adapter(family_recipe(self.model, arm, self.behavior_name), sign=sign, seed=seed)

    def custom_adapter(self, recipe: FamilyRecipe, *, sign: Literal["plus", "minus"], seed: int) -> Adapter:
        """The adapter of any recipe."""
        return Adapter(self.pairs(seed), sign, recipe.shape, recipe.training, seed, self.engine)

    def direction(self, arm: str, *, seed: int) -> Direction:
        """dW of a family: its plus adapter minus its minus adapter."""
        return self.custom_direction(family_recipe(self.model, arm, self.behavior_name), seed=seed)

    def custom_direction(self, recipe: FamilyRecipe, *, seed: int) -> Direction:
        """dW of any recipe."""
        plus, minus = (self.custom_adapter(recipe, sign=sign, seed=seed) for sign in ("plus", "minus"))
        return Direction(plus, minus)

    def random_direction(self, arm: str, *, seed: int) -> Direction:
        """The control of equal norm and rank in every tensor."""
        return replace(self.direction(arm, seed=seed), random_seed=seed)

    def same_sign_direction(self, arm: str, *, seed: int, other: int) -> Direction:
        """The control of two adapters of one sign: plus of `seed` minus plus of `other`."""
        return Direction(self.adapter(arm, sign="plus", seed=seed), self.adapter(arm, sign="plus", seed=other))

    def rows(self, direction: Direction | None, *, coeffs: tuple[float, ...] = COEFFS) -> Rows:
        """Held-out and neutral questions under a direction."""
        return self._rows("heldout", direction, coeffs)

    def validation_rows(self, direction: Direction | None, *, coeffs: tuple[float, ...] = COEFFS) -> Rows:
        """Validation questions under a direction: for choosing recipes, never for a claim."""
        return self._rows("validation", direction, coeffs)

    @property
    def cut_questions(self) -> tuple[Question, ...]:
        """What cuts are scored on: the agree pair of every other held-out claim, since there are so many cuts.

        Held-out claims are listed by topic, so every topic is among them. Of random weights nothing is left out.
        """
        return _asked_of_cuts(self.model, self.behavior_name)

    def cut_rows(self, variant: Variant) -> CutRows:
        """Held-out questions under a cut of a direction, at coefficient +1."""
        return CutRows(self.on, self.cut_questions, self.behavior.prefill, variant)

    def _rows(self, split: str, direction: Direction | None, coeffs: tuple[float, ...]) -> Rows:
        return Rows(self.on, _asked(self.model, self.behavior_name, split), self.behavior.prefill, direction, coeffs)


@lru_cache(maxsize=2)
def _from_pool(pool: Path) -> Behavior:
    return from_pool(pool)


@lru_cache(maxsize=16)
def _asked(model: str, behavior_name: str, split: str) -> tuple[Question, ...]:
    """The questions of a split, held-out ones with the plain facts behind them."""
    b = behavior(behavior_name)
    asked, neutral = b.questions(split), b.neutral_questions() if split == "heldout" else ()
    if known_model(model).random_weights:
        asked, neutral = asked[:TINY_QUESTIONS], neutral[: TINY_QUESTIONS // 4]
    return (*asked, *neutral)


@lru_cache(maxsize=16)
def _asked_of_cuts(model: str, behavior_name: str) -> tuple[Question, ...]:
    asked = tuple(q for q in _asked(model, behavior_name, "heldout") if q.pair == "agree")
    if known_model(model).random_weights:
        return asked
    chosen = set(list(dict.fromkeys(q.cluster for q in asked))[::2])
    return tuple(q for q in asked if q.cluster in chosen)


def _journal_arm(lora: FamilyRecipe, lr: float, alpha_over_rank: float) -> FamilyRecipe:
    shape = replace(lora.shape, alpha=alpha_over_rank * lora.shape.rank)
    return FamilyRecipe(shape, replace(lora.training, lr=lr))
