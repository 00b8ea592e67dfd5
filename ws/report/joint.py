"""The joint keep/drop table: what is left of the steering in each part of dW, and in dW without that part.

The journal's `nbs/ablation_analysis.py` ("two-goal frame and coverage gaps", 2026-04-27) joined its T7 and T8 tables
in this way. Every number is an `Estimate` on the same rows: held-out questions of the "agree" pair at coefficient +1.
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ws.adapters import FAMILIES
from ws.errors import DataError, UnknownNameError
from ws.models.table import known_model
from ws.remote import place_of, spelled
from ws.scoring.rows import Rows, read_rows
from ws.stats.estimate import Estimate
from ws.stats.sweep import Measure, Sweep
from ws.steering.interventions import Weights
from ws.store import Recipe, Store
from ws.store.progress import track
from ws.study.cuts import Along, Named, cut_of, why_not
from ws.study.subject import Subject
from ws.training.direction import Direction, read_geometry, summary

ACTIVATION, FULL_NORM, SHARED, RANDOM = "activation", "full norm", "shared", "random"
"""Kinds of directions: of activations; of activations, with what is kept scaled to full norm; shared by all families;
random ones."""

MEASURES: tuple[Measure, ...] = ("corrected", "raw")


Estimates = Mapping[Measure, Estimate]


@dataclass(frozen=True)
class View:
    """A line of the table: a part of dW, and dW without it."""

    name: str
    group: str
    """The figure it belongs to: spectrum, modules or directions."""
    claims: tuple[str, ...]
    """The claims whose tests build its rows."""
    keep: Named
    drop: Named | None = None
    """dW without the part; None for a control, which is scored only as the kept part."""
    of: str = "whole"
    """The lens whose effect is the denominator of what is retained."""
    families: tuple[str, ...] | None = None
    """The families for which the line is computed; None means all."""
    kind: str = ""
    """For cuts along directions: where the directions come from."""
    k: int = 0
    """For cuts along directions: their number."""

    @property
    def sides(self) -> dict[str, Named]:
        """The cuts that are scored, by side."""
        return {"keep": self.keep} if self.drop is None else {"keep": self.keep, "drop": self.drop}

    def applies(self, family: str) -> bool:
        """Whether the line has a meaning for a family and is computed for it."""
        return (self.families is None or family in self.families) and why_not(family, *self.sides.values()) is None


CROPS = ("top_25", "middle_50", "bottom_25", "top_50_energy", "top_90_energy")
WRITES = "residual_writes"
"""The lens of what is cut along directions; retained shares of such cuts are shares of its effect."""
PLACES = (
    WRITES,
    "residual_reads",
    "attention",
    "mlp",
    "early_layers",
    "middle_layers",
    "late_layers",
)
SHARED_K = (8, 32, 64)
SWEPT = ("lora", "delora")
"""The families of which the journal swept the number of activation directions."""


def views(model: str) -> tuple[View, ...]:
    """The lines of a model's table, in its order. Raises: UnknownNameError for a model that no table lists."""
    ks = known_model(model).scale.ks
    return (
        *(_named(name, "spectrum", "C23") for name in CROPS),
        *(_named(f"base_{name}", "spectrum", "C25") for name in CROPS),
        *(_named(name, "modules", "C22") for name in PLACES),
        *(view for k in ks for view in _moved(k)),
        *(view for k in SHARED_K if k <= max(ks) for view in _shared(k)),
    )


def _named(name: str, group: str, claim: str) -> View:
    return View(name.replace("_", " "), group, (claim,), keep=name, drop=f"drop_{name}")


def _moved(k: int) -> tuple[View, View]:
    common: dict[str, Any] = {"group": "directions", "of": WRITES, "families": SWEPT, "k": k}
    return (
        View(f"activation K={k}", claims=("C14",), keep=Along(k), drop=Along(k, keep=False), kind=ACTIVATION, **common),
        View(f"full norm K={k}", claims=("C15",), keep=Along(k, matched=True), kind=FULL_NORM, **common),
    )


def _shared(k: int) -> tuple[View, View]:
    common: dict[str, Any] = {"group": "directions", "claims": ("C20", "C21"), "of": WRITES, "k": k}
    return (
        View(
            f"shared K={k}", keep=Along(k, of="shared"), drop=Along(k, keep=False, of="shared"), kind=SHARED, **common
        ),
        View(f"random K={k}", keep=Along(k, of="random"), kind=RANDOM, **common),
    )


WHOLE_CLAIMS = ("C04", "C05")
"""The claims whose tests build the rows and the norm of each family's whole dW."""


@dataclass(frozen=True, eq=False)
class Side:
    """One side of a line under one measure."""

    effect: Estimate
    """Mean at coefficient +1 minus mean at 0, in nats per row."""
    retained: Estimate
    """`effect` over the line's denominator: a ratio of paired means."""
    norm_share: float
    """Frobenius norm of this side over that of dW, mean over seeds."""


@dataclass(frozen=True, eq=False)
class Line:
    """One family, part and measure."""

    family: str
    view: View
    measure: Measure
    whole: Estimate
    """The effect of the whole dW, in nats per row."""
    denominator: Estimate
    """The effect that `retained` is a share of: the whole dW's, or its residual writes' if only these are cut."""
    sides: Mapping[str, Side]
    """`keep`, and `drop` unless the view is a control."""

    @property
    def has_denominator(self) -> bool:
        """Whether the denominator is far enough from 0 for a share of it to mean something."""
        low, high = self.denominator.interval()
        return not low <= 0 <= high

    @property
    def gates(self) -> tuple[str, ...]:
        """Why an effect of the line cannot be trusted, in words."""
        return tuple(sorted({gate for one in self.sides.values() for gate in one.effect.gates} | {*self.whole.gates}))


@dataclass(frozen=True, eq=False)
class Joint:
    """The table of one model."""

    model: str
    lines: tuple[Line, ...]

    @property
    def families(self) -> list[str]:
        """The families of the table, in its order."""
        return list(dict.fromkeys(line.family for line in self.lines))

    @property
    def n_seeds(self) -> int:
        """How many seeds every number rests on."""
        return self.lines[0].whole.n_seeds

    def of(self, **wanted: str) -> list[Line]:
        """The lines of a family, a measure or a group."""
        return [line for line in self.lines if all(_field(line, name) == value for name, value in wanted.items())]


def _field(line: Line, name: str) -> str:
    return line.view.group if name == "group" else getattr(line, name)


@dataclass(frozen=True)
class Asked:
    """What to compute a table for: some families and seeds on one model."""

    subject: Subject
    families: tuple[str, ...]
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        if unknown := [name for name in self.families if name not in FAMILIES]:
            raise UnknownNameError("adapter family", unknown[0], FAMILIES)
        if not self.families or not self.seeds:
            seen = f"{len(self.families)} families and {len(self.seeds)} seeds"
            raise DataError(f"{seen} make no table; name at least one family and one seed")

    def views(self, family: str) -> list[View]:
        """The lines of a family."""
        return [view for view in views(self.subject.model) if view.applies(family)]

    def directions(self, family: str) -> list[Direction]:
        """The family's dW, seed by seed."""
        return [self.subject.direction(family, seed=seed) for seed in self.seeds]

    def cuts(self, family: str, cut: Named) -> list[Rows]:
        """The scored rows of a cut, seed by seed."""
        return [self.subject.cut_rows(cut_of(self.subject, family, cut, seed=seed)) for seed in self.seeds]

    def recipes(self) -> dict[Recipe, tuple[str, ...]]:
        """Every artifact that the table reads, and the claims whose tests build it."""
        found: dict[Recipe, tuple[str, ...]] = {self.subject.base_rows: WHOLE_CLAIMS}
        for family in self.families:
            directions = self.directions(family)
            whole = (self.subject.rows(Weights(one)) for one in directions)
            found |= dict.fromkeys([*directions, *whole], WHOLE_CLAIMS)
            for view in self.views(family):
                cuts = [cut for cut in (view.of, *view.sides.values()) if cut != "whole"]
                for rows in (rows for cut in cuts for rows in self.cuts(family, cut)):
                    found.setdefault(rows, view.claims)
        return found


def build(asked: Asked, store: Store) -> None:
    """Make every artifact of the table that the store lacks."""
    for recipe in asked.recipes():
        store.get(recipe)


def check(asked: Asked, store: Store) -> None:
    """Raises: DataError if the store lacks an artifact of the table, with the command that builds it."""
    recipes = asked.recipes()
    missing = {recipe: claims for recipe, claims in recipes.items() if not store.has(recipe)}
    if missing:
        first = next(iter(missing)).describe()
        raise DataError(
            f"{len(missing)} of {len(recipes)} artifacts of this table are not in {place_of(store)}, the first is: "
            f"{first}; `{_command(asked, store, missing.values())}` builds what these claims read, --build all of it"
        )


def _command(asked: Asked, store: Store, claims: Iterable[tuple[str, ...]]) -> str:
    ids = " or ".join(sorted({claim.lower() for some in claims for claim in some}))
    gpu = "--gpu " if asked.subject.device == "cuda" else ""
    on = known_model(asked.subject.model)
    model = "--smoke" if on.untrained else f"{gpu}--model={shlex.quote(on.typed)}"
    place = spelled(store)
    where = "" if place is None else f" --store={place}"
    return f'pytest claims/ -k "{ids}" {model} --seeds {len(asked.seeds)}{where}'


def joint(asked: Asked, store: Store) -> Joint:
    """The table, from what the store holds; what it lacks is built."""
    still = means([_of_cuts(asked.subject, asked.subject.base_rows, store)] * len(asked.seeds), asked.seeds, coeff=0.0)
    lines = [_lines(asked, family, still, store) for family in track(asked.families, "estimate effects of cuts")]
    return Joint(asked.subject.model, tuple(line for of_family in lines for line in of_family))


def _lines(asked: Asked, family: str, still: Estimates, store: Store) -> list[Line]:
    directions = asked.directions(family)
    norms = [summary(read_geometry(store, one))["norm"] for one in directions]
    whole = [_of_cuts(asked.subject, asked.subject.rows(Weights(one)), store) for one in directions]
    known: dict[Named, Estimates] = {"whole": effects(whole, still, asked.seeds)}
    shares: dict[Named, float] = {}
    for cut in dict.fromkeys(cut for view in asked.views(family) for cut in (view.of, *view.sides.values())):
        if cut not in known:
            rows = [read_rows(store, recipe) for recipe in asked.cuts(family, cut)]
            known[cut], shares[cut] = effects(rows, still, asked.seeds), norm_share(rows, norms)
    return [line for view in asked.views(family) for line in _of_view(family, view, known, shares)]


def _of_cuts(subject: Subject, rows: Rows, store: Store) -> pd.DataFrame:
    """The rows of the questions that cuts are scored on."""
    table = read_rows(store, rows)
    return table[table["question_id"].isin({question.id for question in subject.cut_questions})]


def _of_view(
    family: str, view: View, known: Mapping[Named, Estimates], shares: Mapping[Named, float]
) -> Iterator[Line]:
    for measure in MEASURES:
        of = known[view.of][measure]
        sides = {name: side(known[cut][measure], of, shares[cut]) for name, cut in view.sides.items()}
        yield Line(family, view, measure, known["whole"][measure], of, sides)


def means(tables: Sequence[pd.DataFrame], seeds: Sequence[int], *, coeff: float) -> Estimates:
    """The mean on the agree pair at one coefficient, from the rows of each seed; nats per row."""
    rows = pd.concat([one.assign(seed=seed) for seed, one in zip(seeds, tables, strict=True)], ignore_index=True)
    return {measure: Sweep(rows, measure, pair="agree").at(coeff) for measure in MEASURES}


def effects(steered: Sequence[pd.DataFrame], still: Estimates, seeds: Sequence[int]) -> Estimates:
    """As `Sweep.effect`, given the means of the unchanged model, which are the same for all cuts."""
    moved = means(steered, seeds, coeff=1.0)
    return {measure: moved[measure] - still[measure] for measure in MEASURES}


def side(part: Estimate, of: Estimate, norm_share: float) -> Side:
    """One side of a line: the effect of a part of dW, and its share of the effect `of`."""
    return Side(part, part / of, norm_share)


def norm_share(cuts: Sequence[pd.DataFrame], norms: Sequence[float]) -> float:
    """The norm of what was added over the norm of dW, mean over seeds."""
    shares = [rows["norm"].iloc[0] / norm for rows, norm in zip(cuts, norms, strict=True)]
    return float(sum(shares) / len(shares))
