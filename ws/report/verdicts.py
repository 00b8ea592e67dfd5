"""The records of a run's verdicts, comparisons of twin cases, and the wording that all tables share.

Twins differ in one parameter only: raw and corrected, or coefficient 1 and equal KL.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ws.behaviors.table import BEHAVIORS
from ws.errors import DataError
from ws.files.notation import read_json
from ws.files.showing import brief_line
from ws.report.numbers import number as number
from ws.stats.cases import Sibling
from ws.stats.spreads import Spread
from ws.stats.verdict import RULE_OF_ONE, RULE_OF_ROWS, Outcome, Verdict, could_have_told, in_full, one_sided

Outcomes = dict[tuple[str | None, ...], str]
"""The outcome of each case, by model, claim, test, case, measure and footing."""

OURS = rf"\b({'|'.join(BEHAVIORS)})\b"
"""The names of our behaviors in a sentence."""

RAW_ONLY = "holds raw only"
ONE, ISO_KL = "one", "iso-kl"
RANDOM_WEIGHTS = "random weights: numbers are compared, verdicts are shown but not asserted"


@dataclass(frozen=True)
class Record:
    """A verdict on one case of one claim, where it came from, and how it compares with its snapshot."""

    claim: str
    test: str
    case: str
    """The test's parameters without the model, such as `delora-lora-corrected`; empty if it has none."""
    measure: str | None
    """`raw` or `corrected`, if the test is parametrized by the measure."""
    footing: str | None = field(default=None, kw_only=True)
    """`one` (coefficient 1) or `iso-kl` (equal KL), if the test is parametrized by the footing."""
    model: str
    random_weights: bool
    outcome: str
    value: float | None
    """This number and the following ones are None if they are not finite, which JSON cannot express."""
    low: float | None
    high: float | None
    level: float | None
    threshold: float | None
    relation: str
    matters: float | None
    """The smallest difference of two estimates that matters: one that is surely less is refuted. None if that is 0."""
    part: str
    tolerance: float | None
    tolerance_from: str
    noise: float | None
    """How far the arithmetic of another machine may move the value."""
    n_rows: int
    n_clusters: int
    n_seeds: int
    gates: list[str]
    p_holds: float
    """The p-value of the hypothesis in this case alone, all its parts considered."""
    p_refuted: float
    """The p-value of its contrary."""
    cases: int
    """How many cases share the error rate, this one included."""
    rows_alone: bool
    """Whether nothing varies between seeds, so that the interval knows other rows, and no other training."""
    smallest: float | None
    """For an open case: how far beyond its threshold a number must be to be told from nothing, 4 times out of 5."""
    needs: str
    """For an open case: what would decide it if the number stayed, such as `9 seeds`."""
    leaves: list[list[float | None]]
    """The means of the tables that the case was computed from, each with how far another machine may move it."""
    spreads: list[list[dict[str, Any]]]
    """How far the numbers of each part may be off, which sibling cases learn from: the one shown, then its sides."""
    published: str
    device: str
    versions: dict[str, str]
    keys: list[str]
    """The store's keys of everything the numbers were computed from."""
    beside: list[str] = field(default_factory=list)
    """Notes that a reader should see beside the number, such as the push towards Yes on plain facts."""
    builds: str = ""
    """A digest of which builds of these artifacts the numbers were computed from; empty if that is not known."""
    behavior: str = ""
    """The behavior of one's own that it was tested on; empty for those that the claim was made about."""
    recorded: dict[str, Any] = field(default_factory=dict)
    """Commit, machine, releases and date of the recording; empty in a run that does not record."""
    snapshot: str = ""
    """`same`, `new`, `missing`, or what changed as old -> new; never part of the snapshot itself."""

    def to_snapshot(self) -> dict[str, Any]:
        """The fields worth recording, as JSON values."""
        left_out = {"snapshot", *(name for name in ("behavior", "builds") if not getattr(self, name))}
        return {name: value for name, value in asdict(self).items() if name not in left_out}


def numbers(verdict: Verdict) -> dict[str, Any]:
    """The fields of a record that its verdict fills, with None for numbers that are not finite."""
    return {name: _finite(value) for name, value in verdict.to_record().items()}


def _finite(value: object) -> object:
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def recorded(folder: Path) -> list[Record]:
    """The records of a model's snapshots.

    Raises: DataError if the folder holds none, or one that this version did not write.
    """
    files = sorted(folder.glob("*.json"))
    if not files:
        raise DataError(
            f"no snapshots in {folder}; record them with `pytest --snapshot-update`, or, if they are elsewhere, "
            "go to the repository that your claims are in, or name the folder of their tests with --tests"
        )
    return [recorded_in(file) for file in files]


def recorded_in(file: Path) -> Record:
    """The record of one snapshot.

    Raises: DataError if this version did not write it.
    """
    said = read_json(file, what="a recorded verdict", refuse=DataError, advice="record it anew")
    try:
        return Record(**{**said, "snapshot": "recorded"})
    except TypeError as error:
        raise DataError(
            f"{file.name} in {file.parent} is not what this version writes ({brief_line(error)}); record it anew"
        ) from None


def sibling(record: Record) -> Sibling:
    """What a recorded case tells the other cases of its claim."""
    spreads = tuple(
        tuple(Spread(tuple(one["seeds"]), one["rest"], one["clusters"]) for one in part) for part in record.spreads
    )
    return Sibling(record.p_holds, record.p_refuted, spreads)


def ordered(records: Iterable[Record]) -> list[Record]:
    """The records sorted by model, claim, test and case, with the footings of a case side by side."""
    return sorted(records, key=_place)


def _place(record: Record) -> tuple[str | bool, ...]:
    case = _swapped(record.case, record.footing, "*")
    return record.model, record.claim, record.test, case, record.footing != ONE, record.case


def outcomes(records: Iterable[Record]) -> Outcomes:
    """The outcome of each case, for looking up the twin of a record."""
    return {_name(record): record.outcome for record in records}


def is_raw_only(record: Record, found: Outcomes) -> bool:
    """Whether a corrected record does not hold although its raw twin in `found` does."""
    fails = record.measure == "corrected" and record.outcome != Outcome.HOLDS
    return fails and _of_twin(record, found, measure="raw") == Outcome.HOLDS


def flipped_from(record: Record, found: Outcomes) -> str | None:
    """For a record at iso-KL: its case's outcome at coefficient 1 if that is a different one. None otherwise."""
    twin = _at_one(record, found)
    return None if twin == record.outcome else twin


def _at_one(record: Record, found: Outcomes) -> str | None:
    return _of_twin(record, found, footing=ONE) if record.footing == ISO_KL else None


def _of_twin(record: Record, found: Outcomes, **other: Any) -> str | None:
    """The outcome of a record's twin, which differs in the parameter `other` only; None if there is no twin."""
    [(parameter, value)] = other.items()
    case = _swapped(record.case, getattr(record, parameter), value)
    return found.get(_name(replace(record, case=case, **other)))


def _name(record: Record) -> tuple[str | None, ...]:
    return record.model, record.claim, record.test, record.case, record.measure, record.footing


def _swapped(case: str, part: str | None, other: str) -> str:
    """A case's name with one of its parts (between hyphens) replaced by another."""
    return case if part is None else re.sub(rf"(?<![^-]){re.escape(part)}(?![^-])", other, case)


def notes(record: Record, found: Outcomes) -> list[str]:
    """Notes about a record whose twin came out differently."""
    raw_only = [RAW_ONLY] if is_raw_only(record, found) else []
    before = flipped_from(record, found)
    return raw_only + ([f"flipped from {before}"] if before else [])


def flips(records: list[Record]) -> str:
    """How many of the cases judged at both footings flip, as text; empty if no case was judged at both."""
    found = outcomes(records)
    both = [record for record in records if _at_one(record, found)]
    return f"{sum(flipped_from(record, found) is not None for record in both)} of {len(both)}" if both else ""


def sentence(test: str, behavior: str = "") -> str:
    """A test's name as words, in which a behavior of one's own has the place of ours."""
    words = test.removeprefix("test_").replace("_", " ")
    return re.sub(OURS, lambda _: behavior.partition("@")[0], words) if behavior else words


def in_words(record: Record) -> str:
    """The value, its interval, what it is compared with, why it cannot be trusted or what it could have seen, notes."""
    part = f" ({record.part})" if record.part else ""
    shown = f"{number(record.value)} [{number(record.low)}, {number(record.high)}] {in_full(record)}{part}"
    open_case = [] if record.smallest is None else [could_have_told(record.smallest, record.needs)]
    knows = [RULE_OF_ONE if record.n_seeds == 1 else RULE_OF_ROWS] if record.rows_alone else []
    return "\n".join([shown, *record.gates, *open_case, *one_sided(record), *knows, *record.beside])


def title(records: list[Record]) -> str:
    devices = ", ".join(sorted({record.device for record in records}))
    seeds = " or ".join(str(n) for n in sorted({record.n_seeds for record in records}))
    behavior = f", {records[0].behavior}" if records[0].behavior else ""
    return f"{records[0].model}{behavior} ({devices}, {seeds} seed{'' if seeds == '1' else 's'})"


def tally(records: list[Record]) -> str:
    counts = Counter(record.outcome for record in records)
    found = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome])
    lines = [f"{len(records)} case{'' if len(records) == 1 else 's'}: {found}"]
    if turned := flips(records):
        lines.append(f"verdicts that flip from coefficient 1 to iso-KL: {turned}")
    if any(record.random_weights for record in records):
        lines.append(RANDOM_WEIGHTS)
    return "\n".join(lines)
