"""A study: a subject (model and behavior), the store of its artifacts, and the steps from the behavior to a verdict.

    behavior -> pairs -> adapters -> dW -> rows -> estimate -> verdict

Each step is an artifact of the store, the same one that claims read: what a claim has trained or scored is not computed
again, and a script that was stopped goes on where it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from ws.behaviors.own import chosen_behavior
from ws.delta.weight_delta import WeightDelta
from ws.engine.loading import loaded
from ws.errors import DataError
from ws.models.language import LanguageModel
from ws.models.own import chosen_model
from ws.remote import open_store
from ws.scoring.rows import COEFFS
from ws.scoring.scored import Scored, read_scored
from ws.scoring.side_effects import answers_at
from ws.stats.sweep import Measure, Sweep
from ws.steering.interventions import Intervention, Nothing, Ready, Weights, untouched
from ws.store import Store
from ws.study.subject import Subject
from ws.training.direction import Direction, direction_delta
from ws.training.pairs import read_pairs


def load(
    model: str,
    *,
    behavior: str = "sycophancy",
    device: Literal["cpu", "cuda"] = "cpu",
    store: Path | str | None = None,
) -> "Study":
    """The study of a behavior of a model; nothing that takes long is computed before it is asked for.

    `model` is what `--model` takes: a name of the table, a folder, a GGUF file, a repository of the hub. `behavior` is
    one of ours, or a file with one of your own. `store` is the folder or the URL of artifacts; None is WS_STORE, else
    the user's cache.
    Raises: UnknownNameError for a model or a behavior that is not known; ModelError, ChatError or DownloadError for a
        model that cannot be steered here.
    """
    kept = open_store(store)
    # First, so that a wrong name raises before anything is read.
    of = chosen_behavior(behavior, kept).name
    return Study(Subject(chosen_model(model, kept, device=device).name, device, of), kept)


@dataclass(frozen=True, eq=False)
class Study:
    """One model with one behavior, and the store of their artifacts."""

    subject: Subject
    """The recipes of everything that this class offers, and of controls, cuts and validation rows."""
    store: Store

    @property
    def model(self) -> LanguageModel:
        """The unchanged model in float32, read once a process."""
        return loaded(self.subject.on, self.store)

    def pairs(self, *, seed: int = 0) -> pd.DataFrame:
        """The text that adapters learn from: a line per question and pair of personas, with columns question_id,
        question, persona, plus and minus (the model's own answers), plus_end and minus_end (the tokens that end them).

        Raises: DataError if the personas do not separate on this model.
        """
        return read_pairs(self.store, self.subject.pairs(seed))

    def train(self, family: str, *, seed: int = 0) -> Direction:
        """The direction of two adapters, one trained on the answers that show the behavior, one on their opposites.

        `family` is a name of `ws.adapters.FAMILIES`; `seed` varies pairs, start values and the order of steps.
        Raises: UnknownNameError for a family that does not exist; TrainingError for a run whose numbers are broken.
        """
        direction = self.subject.direction(family, seed=seed)
        for adapter in (direction.plus, direction.minus):
            self.store.get(adapter)
        return direction

    def dW(self, direction: Direction) -> WeightDelta:
        """`theta_plus - theta_minus`, exact in fp32, tensor by tensor; deltas add, subtract and scale as numbers do.

        Units: of the base model's weights.
        Raises: MismatchError if the adapters are of another model, or are identical.
        """
        return direction_delta(direction, self.model, self.store)

    def score(self, *directions: Direction, coeffs: Sequence[float] = COEFFS, measure: Measure = "corrected") -> Sweep:
        """The held-out questions under each direction at each coefficient, and in the unchanged model, coefficient 0.

        Directions are seeds of one training. They are paired by their place when sweeps are compared: the first of one
        call with the first of another. `measure` is "corrected", in which a mere push towards Yes cancels, "raw", as in
        the journal, "text", which reads answers of both sides, or "written", which judges answers of the model's own.
        Units: nats, a row of Yes/No questions or a token of text.
        Raises: DataError without a direction or a coefficient, MismatchError for a direction of another model,
            UnknownNameError for a measure that does not exist.
        """
        if not directions or not coeffs:
            raise DataError(
                f"{len(directions)} directions at {len(coeffs)} coefficients; give one or more of each: "
                'study.score(study.train("lora"))'
            )
        steered = tuple(dict.fromkeys(float(coeff) for coeff in coeffs if coeff))
        tables = [
            read_scored(self.store, recipe).assign(seed=seed)
            for seed, direction in enumerate(directions)
            for recipe in self._scored(measure, direction, steered, seed)
        ]
        return Sweep(pd.concat(tables, ignore_index=True), measure)

    def _scored(self, measure: Measure, direction: Direction, steered: tuple[float, ...], seed: int) -> list[Scored]:
        """What is read of the unchanged model and, if it is steered at all, of the direction."""
        arms: list[tuple[Intervention, tuple[float, ...]]] = [(Nothing(), (0.0,)), (Weights(direction), steered)]
        return [self.subject.scored(measure, arm, seed=seed, coeffs=coeffs) for arm, coeffs in arms if coeffs]


def answers(model: LanguageModel, messages: Sequence[str], *, new_tokens: int = 48) -> list[str]:
    """The model's greedy answer to each user message, steered as it is now.

    Raises: DataError without a message.
    """
    table = answers_at(model, messages, Ready(0, untouched), 0.0, system=None, new_tokens=new_tokens)
    return table["answer"].tolist()
