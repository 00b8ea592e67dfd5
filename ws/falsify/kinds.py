"""What the tables of each class of recipe hold: which columns are measured, and what a corruption does to them."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd

from ws.errors import UnknownNameError
from ws.exports.llama_rows import LlamaRows, LlamaTextRows
from ws.falsify.files import KEPT, OF
from ws.lenses.cosine import InnerProducts
from ws.lenses.energy import BasisEnergy
from ws.lenses.identity import Identity
from ws.lenses.oracle import OracleOverlaps
from ws.lenses.overlap import Overlaps
from ws.lenses.readout import AxisShares, Readout
from ws.scoring.guards import Guards
from ws.scoring.rows import Rows
from ws.scoring.side_effects import SideEffects
from ws.scoring.text import TextRows
from ws.scoring.thought import ThoughtRows
from ws.scoring.written import WrittenRows
from ws.store import Recipe
from ws.training.direction import Direction

Change = Callable[[pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True)
class Kind:
    """One of the tables that a class of recipes writes."""

    file: str
    measured: tuple[str, ...]
    """The columns of numbers; what is spoilt."""
    row: tuple[str, ...]
    """The columns that name a row, together with `groups` and the coefficient."""
    groups: tuple[str, ...] = ()
    """The columns by which a claim may select rows."""
    turned: Change | None = None
    """The two sides exchanged; None mirrors the numbers at those of the unsteered model."""
    within: tuple[str, ...] = ()
    """The columns that name a cluster, within which labels can be shuffled; empty if no row of it has a label."""
    steered: bool = True
    """Whether the numbers are those of a dW or a rival, and not of the unchanged model."""
    can_lack_rows: bool = True
    """Whether there are rows that could be missing or be there twice; else it is one number."""
    names: str = ""
    """The column that names the arms of a table with all arms in it."""
    derived: Change = lambda table: table
    """Computes columns that follow from the measured ones anew."""


def kinds_of(recipe: Recipe) -> tuple[Kind, ...]:
    """The tables of an artifact. Raises: UnknownNameError if no corruption is known for its class."""
    found = KINDS.get(type(recipe))
    if found is None:
        raise UnknownNameError("kind of evidence", type(recipe).__name__, sorted(kind.__name__ for kind in KINDS))
    return found


def exchanged(one: str, other: str) -> Change:
    """Two columns, each with the numbers of the other."""
    return lambda table: table.assign(**{one: table[other], other: table[one]})


def _answers_exchanged(rows: pd.DataFrame) -> pd.DataFrame:
    return exchanged("log_yes", "log_no")(rows).assign(log_ratio=-rows["log_ratio"])


def _said_by_the_others(rows: pd.DataFrame) -> pd.DataFrame:
    """Each answer with the probability of its counterpart from the other side."""
    twins = rows.sort_values("sign").groupby(["coeff", "cluster", "pair"], sort=False)["log_p"]
    return rows.assign(log_p=twins.transform(lambda both: both.to_numpy()[::-1]))


def _outside(column: str) -> Change:
    """A share, as that of all other directions."""
    return lambda table: table.assign(**{column: 1 - table[column]})


def _against_chance(table: pd.DataFrame) -> pd.DataFrame:
    ratio = {"ratio": table["share"] / table["null"]} if "ratio" in table else {}
    return table.assign(**ratio, z=(table["share"] - table["null"]) / table["null_sd"])


def _read_elsewhere(table: pd.DataFrame) -> pd.DataFrame:
    """Plus and minus in opposition, and the half of the directions that the head reads most."""
    delta = table["plus_sq"] + table["minus_sq"] + 2 * table["dot"]
    return table.assign(dot=-table["dot"], delta_sq=delta, weak_sq=table["delta_sq"] - table["weak_sq"])


def _read_out_turned(table: pd.DataFrame) -> pd.DataFrame:
    """What dh says negated, and dh for the clean state in what has no sign."""
    energies = exchanged("dh_sized", "clean_sized")(exchanged("dh_energy", "clean_energy")(table))
    return energies.assign(lens=-table["lens"], linear=-table["linear"])


def _unlike_the_reference(table: pd.DataFrame) -> pd.DataFrame:
    """Log-ratios turned round in all ways of scoring but those that the others are compared with."""
    reference = table["way"].isin(("alone", "other_header_alone", "thought_token"))
    return table.assign(log_ratio=table["log_ratio"].where(reference, -table["log_ratio"]))


SCORED = Kind(
    "rows.parquet",
    ("log_yes", "log_no", "log_ratio", "pmass", "norm"),
    row=("question_id",),
    groups=("pair", "sign"),
    turned=_answers_exchanged,
    within=("cluster",),
)

TEXT = Kind(
    "rows.parquet",
    ("log_p", "norm"),
    row=("question_id",),
    groups=("pair", "sign"),
    turned=_said_by_the_others,
    within=("cluster", "pair"),
)

WHOLE = Kind(
    "gap.json", (KEPT,), row=(OF,), turned=lambda table: table.assign(kept=-table["kept"]), can_lack_rows=False
)

KINDS: dict[type[Recipe], tuple[Kind, ...]] = {
    Rows: (SCORED,),
    ThoughtRows: (replace(SCORED, measured=("log_yes", "log_no", "log_ratio", "pmass")),),
    TextRows: (TEXT,),
    LlamaRows: (SCORED,),
    LlamaTextRows: (TEXT,),
    WrittenRows: (
        Kind(
            "rows.parquet",
            ("log_ratio", "log_p", "norm"),
            row=("question_id",),
            groups=("pair",),
            turned=lambda rows: rows.assign(log_ratio=-rows["log_ratio"]),
        ),
    ),
    SideEffects: (
        Kind("text.parquet", ("nll",), row=("passage",)),
        Kind("answers.parquet", ("repetition",), row=("message",)),
    ),
    Readout: (
        Kind(
            "layers.parquet",
            ("dh_energy", "dh_sized", "lens", "linear"),
            row=("question_id",),
            groups=("layer", "pair", "sign"),
            turned=_read_out_turned,
            within=("layer", "cluster"),
        ),
        Kind(
            "preserved.parquet",
            ("share",),
            row=("question_id",),
            groups=("basis", "k", "layer"),
            turned=_outside("share"),
        ),
    ),
    Direction: (
        Kind(
            "geometry.parquet",
            ("plus_sq", "minus_sq", "dot", "delta_sq", "weak_sq"),
            row=("tensor",),
            turned=_read_elsewhere,
        ),
    ),
    InnerProducts: (
        # Not the norms beside it: an angle is the same whatever they are.
        Kind("products.parquet", ("dot",), row=("tensor",), turned=lambda table: table.assign(dot=-table["dot"])),
    ),
    OracleOverlaps: (
        Kind("overlaps.parquet", ("overlap",), row=("layer",), groups=("first", "second"), turned=_outside("overlap")),
    ),
    Overlaps: (
        Kind(
            "overlaps.parquet",
            ("overlap",),
            row=("tensor",),
            groups=("first", "second", "side"),
            turned=_outside("overlap"),
            names="first",
        ),
    ),
    BasisEnergy: tuple(
        Kind(f"{name}.parquet", ("share",), row=row, groups=groups, turned=_outside("share"), derived=_against_chance)
        for name, row, groups in (
            ("writes", ("tensor",), ("basis",)),
            ("blocks", ("tensor",), ()),
            ("states", ("layer",), ("basis",)),
        )
    ),
    AxisShares: (
        Kind(
            "axis.parquet",
            ("share",),
            row=("layer",),
            groups=("basis", "draw"),
            turned=_outside("share"),
            steered=False,
            names="basis",
            derived=_against_chance,
        ),
    ),
    Identity: (WHOLE,),
    Guards: (
        Kind(
            "guards.parquet",
            ("log_ratio", "pmass"),
            row=("question_id",),
            groups=("way",),
            turned=_unlike_the_reference,
            steered=False,
            names="way",
        ),
    ),
}
"""For each class whose artifacts a verdict may be made of, its tables."""
