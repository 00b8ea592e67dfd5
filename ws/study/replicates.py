"""Replicates: one subject trained with several seeds, and the store of the artifacts."""

from dataclasses import dataclass
from typing import Literal

from ws.errors import DataError, UnknownNameError
from ws.store import Recipe, Store
from ws.study.subject import Subject
from ws.training.direction import Direction

Control = Literal["random", "same_sign"]


@dataclass(frozen=True)
class Replicates:
    """The subject, the seeds and the store on which a claim is tested."""

    subject: Subject
    store: Store
    seeds: tuple[int, ...]

    def after(self, seed: int) -> int:
        """The seed that follows, the first after the last. Adapters of two seeds share neither start nor text."""
        return self.seeds[(self.seeds.index(seed) + 1) % len(self.seeds)]

    @property
    def couples(self) -> tuple[tuple[int, int], ...]:
        """The seeds two by two, each in one couple only, so that what couples show is independent; an odd one is left.

        Raises: DataError for fewer than two seeds.
        """
        if len(self.seeds) < 2:
            raise DataError(f"seeds {self.seeds} make no couple to compare; run with --seeds 2 or more")
        return tuple(zip(self.seeds[::2], self.seeds[1::2], strict=False))

    def direction(self, family: str, *, seed: int, control: Control | None = None) -> Direction:
        """dW of a family, or a control in its place.

        "random": random values of dW's norm and rank; "same_sign": the plus adapter of one seed minus that of the next.
        Raises: UnknownNameError for another control.
        """
        match control:
            case None:
                return self.subject.direction(family, seed=seed)
            case "random":
                return self.subject.random_direction(family, seed=seed)
            case "same_sign":
                return self.subject.same_sign_direction(family, seed=seed, other=self.after(seed))
        raise UnknownNameError("control", control, ["random", "same_sign"])

    def keys(self, *recipes: Recipe) -> tuple[str, ...]:
        """The store's keys of these recipes, which an estimate carries as its sources."""
        return tuple(map(self.store.key, recipes))
