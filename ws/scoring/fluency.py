"""How far a model can be steered before it breaks: the coefficients that leave it fluent.

A model counts as fluent while it passes two gates: enough of the next-token probability at a Yes/No question is an
answer (pmass), and the perplexity of neutral prose is low enough. A walk away from coefficient 0 ends at the first
coefficient that fails one of them.
"""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ws.behaviors import Question
from ws.engine.choice import prepared
from ws.engine.loading import loaded
from ws.errors import DataError
from ws.models.language import LanguageModel, Placed
from ws.scoring.rows import answers_of, prompts_of, score
from ws.scoring.side_effects import check_made_for, check_passages, passages_at, perplexity
from ws.stats.sweep import PMASS_GATE
from ws.steering.interventions import Intervention, Ready
from ws.store import Recipe, Store
from ws.store.progress import track

GRID = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Each coefficient is twice the one before, so the coefficient at which a model breaks is known to a factor of 2."""


class Fluency(NamedTuple):
    """The two measures that tell a fluent model from a broken one; NaN if the model's numbers are not finite."""

    pmass: float
    """Mean probability of the next token being a Yes or a No."""
    perplexity: float
    """Perplexity over all tokens of all passages."""


class Point(NamedTuple):
    """A coefficient, and whether the model is fluent there."""

    coeff: float
    pmass: float
    perplexity: float
    within: bool


class Walk(NamedTuple):
    """The points on one side of 0."""

    points: tuple[Point, ...]
    """Nearest to 0 first; only the last may be outside the gates."""

    @property
    def reach(self) -> float:
        """The last coefficient within the gates; 0 if there is none."""
        return next((point.coeff for point in reversed(self.points) if point.within), 0.0)

    @property
    def open(self) -> bool:
        """Whether the walk met no gate, so that the true reach may lie further out."""
        return all(point.within for point in self.points)


@dataclass(frozen=True)
class FluencyRange:
    """The coefficients at which a model stays fluent, as far as the grid shows.

    On each side the first coefficient outside the gates is among `points`. A side is open if the grid ended while the
    model was still fluent; then low or high is only the last coefficient that was tried, not a limit of the model.
    """

    low: float
    """0 if the model is not fluent at the first coefficient on this side."""
    high: float
    open_low: bool
    open_high: bool
    base: Fluency
    """The measures at coefficient 0."""
    points: tuple[Point, ...]
    """All other coefficients that were evaluated, lowest first."""


@dataclass(frozen=True)
class FluentRange(Recipe):
    """`range.json`: the largest fluent coefficient on each side of 0, and the measures at all that were tried.

    The mean pmass of the questions must be at least `pmass_gate`, and the perplexity of the passages (read as in
    `ws.scoring.side_effects.SideEffects`) at most `perplexity_ratio` times the base model's. Coefficients beyond the
    first that fails are not evaluated.
    """

    on: Placed
    intervention: Intervention
    questions: tuple[Question, ...]
    prefill: str
    passages: tuple[str, ...]
    grid: tuple[float, ...] = GRID
    """Coefficients of the positive side; the negative side has the same with a minus sign."""
    pmass_gate: float = PMASS_GATE
    perplexity_ratio: float = 2.0

    def __post_init__(self) -> None:
        if not self.questions:
            raise DataError("0 questions to ask; give one or more")
        if not self.grid or any(not low < high for low, high in zip((0.0, *self.grid), self.grid, strict=False)):
            raise DataError(f"the grid is {self.grid}; expected positive coefficients that rise: give some, as {GRID}")
        if not (0 <= self.pmass_gate <= 1 and self.perplexity_ratio >= 1):
            raise DataError(
                f"gates at a pmass of {self.pmass_gate} and {self.perplexity_ratio} times the base perplexity; "
                "expected a share from 0 to 1, and 1 or more times: give those"
            )
        check_passages(self.passages)
        check_made_for(self.intervention, self.on)
        for coeff in self.grid:
            self.intervention.check(coeff)
            self.intervention.check(-coeff)

    def describe(self) -> str:
        return f"fluent range up to {self.grid[-1]:g}, {self.intervention.describe()}"

    def build(self, out: Path, store: Store) -> None:
        lm = loaded(self.on, store)
        ready = self.intervention.ready(lm, store)
        base = fluency_at(lm, self, ready, 0.0)
        if not base.pmass >= self.pmass_gate:
            raise DataError(
                f"the base model puts {base.pmass:.2g} of its next-token probability on Yes and No, less than the gate "
                f"of {self.pmass_gate:g}, so no coefficient could pass; begin the answer (prefill) or ask for Yes or No"
            )

        def point(coeff: float) -> Point:
            found = fluency_at(lm, self, ready, coeff)
            within = found.pmass >= self.pmass_gate and found.perplexity <= self.perplexity_ratio * base.perplexity
            return Point(coeff, *found, within)

        up = walked(track(self.grid, f"{self.describe()}, upwards"), point)
        down = walked(track([-coeff for coeff in self.grid], f"{self.describe()}, downwards"), point)
        points = tuple(reversed(down.points)) + up.points
        found = FluencyRange(down.reach, up.reach, down.open, up.open, base, points)
        (out / "range.json").write_text(json.dumps(_record(found), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_range(store: Store, recipe: FluentRange) -> FluencyRange:
    """The range that was found."""
    record = json.loads((store.get(recipe) / "range.json").read_text(encoding="utf-8"))
    points = tuple(Point(**_numbers(point)) for point in record.pop("points"))
    return FluencyRange(**record | {"base": Fluency(**_numbers(record["base"])), "points": points})


def walked(grid: Iterable[float], point: Callable[[float], Point]) -> Walk:
    """The points of a grid up to and including the first outside the gates; those beyond it are not computed."""
    points: list[Point] = []
    for coeff in grid:
        points.append(point(coeff))
        if not points[-1].within:
            break
    return Walk(tuple(points))


def fluency_at(lm: LanguageModel, recipe: FluentRange, ready: Ready, coeff: float) -> Fluency:
    """Both measures at one coefficient."""
    system = recipe.intervention.system(coeff)
    batch = prepared(lm, prompts_of(lm, recipe.questions, recipe.prefill, system=system), start=ready.start)
    with ready.at(coeff, tokens=batch.nodes):
        pmass = float(score(lm, batch, answers_of(lm)).pmass.mean())
    return Fluency(pmass, perplexity(passages_at(lm, recipe.passages, ready, coeff, system=system)))


def _record(found: FluencyRange) -> dict[str, Any]:
    """The JSON form, which has no NaN."""
    points = [_without_nan(point) for point in found.points]
    return asdict(found) | {"base": _without_nan(found.base), "points": points}


def _without_nan(numbers: Fluency | Point) -> dict[str, Any]:
    return {name: value if math.isfinite(value) else None for name, value in numbers._asdict().items()}


def _numbers(record: dict[str, Any]) -> dict[str, Any]:
    return {name: math.nan if value is None else value for name, value in record.items()}
