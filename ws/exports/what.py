"""What is exported: a steering by family, seed and behavior, by two folders, or by an activation direction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from ws.contest.own_steering import alone, check_blocks, check_seeded
from ws.contest.vectors import vectors_by
from ws.delta.weight_delta import WeightDelta
from ws.errors import DataError
from ws.models.language import LanguageModel
from ws.steering.interventions import Activations, Intervention, Ready, Weights, folder_weights, read_vectors
from ws.store import Store
from ws.study.subject import Subject


@dataclass(frozen=True)
class Source:
    """How a user names a steering."""

    family: str | None = None
    seed: int = 0
    plus: Path | None = None
    minus: Path | None = None
    activation: str | None = None
    blocks: tuple[int, ...] = ()
    coeff: float = 1.0
    """How much of it is exported."""

    def __post_init__(self) -> None:
        folders = self.plus is not None or self.minus is not None
        ways = {"--family": self.family, "--plus and --minus": folders or None, "--activation": self.activation}
        given = [name for name, value in ways.items() if value is not None]
        if len(given) != 1:
            raise DataError(f"{' with '.join(given) or 'nothing'} to export; give one of {'; '.join(ways)}")
        if folders and (self.plus is None or self.minus is None):
            raise DataError(alone(self.plus, self.minus))
        check_blocks(self.activation, self.blocks)
        check_seeded(self.activation, {"--seed": self.seed})
        if self.seed and folders:
            raise DataError(f"--seed {self.seed} of --plus and --minus, which are not trained here; drop it")
        if not self.coeff:
            raise DataError("--coeff 0 exports the model as it is; give another coefficient")

    def intervention(self, subject: Subject) -> Intervention:
        """The steering itself. Raises: UnknownNameError for a family or a way to find directions that is not known."""
        if self.family is not None:
            return Weights(subject.direction(self.family, seed=self.seed))
        if self.activation is not None:
            return Activations(vectors_by(subject, self.activation, seed=self.seed), self.blocks)
        return folder_weights(*filter(None, (self.plus, self.minus)))


@dataclass(frozen=True, eq=False)
class Exported:
    """A steering in memory, with its model."""

    lm: LanguageModel
    ready: Ready
    coeff: float
    name: str
    """One phrase for people."""
    steps: Mapping[int, Float[Tensor, " d_model"]] = field(default_factory=dict)
    """What is added to the stream behind each block, `coeff` applied; nothing if weights are changed instead."""

    @property
    def delta(self) -> WeightDelta:
        """What is added to the weights, `coeff` applied. Raises: DataError for an activation direction."""
        if self.ready.added is None:
            raise DataError(f"{self.name} changes no weights; export it with --to control-vector")
        return self.ready.added if self.coeff == 1 else self.coeff * self.ready.added


def exported(source: Source, subject: Subject, lm: LanguageModel, store: Store) -> Exported:
    """The steering that a user named, trained if need be.

    Raises: ShapeError or MismatchError if it does not fit the model.
    """
    chosen = source.intervention(subject)
    ready = chosen.ready(lm, store)
    times = "" if source.coeff == 1 else f"{source.coeff:+g} times "
    behavior = "" if source.plus is not None else f", {subject.behavior_name}"
    steps = {}
    if isinstance(chosen, Activations):
        vectors = read_vectors(store, chosen.vectors)
        steps = {block: source.coeff * vectors[block] for block in chosen.layers}
    return Exported(lm, ready, source.coeff, f"{times}{chosen.describe()}{behavior}", steps)
