"""From measurements to the lines of the table: ratios of ours to the plain way, shares of the peak, differences.

A ratio pairs the two measurements of one round. Each is first divided by the machine's matrix-product speed during it,
so that a machine that slows down between the two counts against neither.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Literal

from ws.bench.measurement import UNITS, Measurement
from ws.bench.settings import Section
from ws.errors import MismatchError

OVER_LORA = {"hf": 4.0, "hf-tuned": 1.7}
OVER_OTHERS = {"hf": 2.5}
OVER = {"eval": {"plain": 6.0}, "svd": {"plain": 50.0}}
SHARE = {"train": 0.50, "eval": 0.65}
MEMORY = {"train": 1.0}
LOSS_DIFFERENCE = 0.003
"""Largest allowed difference between the losses of the two ways at any step, in nats per token."""

TASKS = {"train": "training", "eval": "evaluation, 7 coefficients", "svd": "40 spectrum crops of one dW"}
WAYS = {
    "hf": "PEFT + HF Trainer",
    "hf-tuned": "the same, eager attention and tuned malloc",
    "plain": "the plain way",
}
RESULTS = {"train": "losses, nats per token", "eval": "log-ratios, nats", "svd": "crops, relative"}

Kind = Literal["ratio", "share", "difference", "seconds"]


@dataclass(frozen=True)
class Comparison:
    """A line of the table."""

    section: Section
    family: str
    way: str
    """The plain way that ours is compared with."""
    what: str
    kind: Kind
    """A ratio or share should reach its target, a difference should not exceed it; seconds are for information."""
    ours: float | None
    plain: float | None
    unit: str
    """The unit of `ours` and `plain`, which are medians of all rounds."""
    rounds: tuple[float, ...]
    """The ratio or difference of both ways, or our share or seconds, in each round."""
    target: float | None = None

    @property
    def value(self) -> float:
        """The number that is compared with the target: the median of the rounds."""
        return median(self.rounds)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None if there is none."""
        if self.target is None:
            return None
        return self.value <= self.target if self.kind == "difference" else self.value >= self.target

    def record(self) -> dict[str, object]:
        """The JSON form."""
        return asdict(self) | {"value": self.value, "met": self.met}


def compared(measurements: Sequence[Measurement]) -> list[Comparison]:
    """Every line of one section.

    Raises: MismatchError if two ways did not do the same amount of work.
    """
    lines = []
    for family in dict.fromkeys(m.family for m in measurements):
        of = {way: [m for m in measurements if (m.family, m.way) == (family, way)] for way in ("ours", *WAYS)}
        first, *others = (of[way] for way in WAYS if of[way])
        lines += [line(of["ours"], first) for line in (rate, memory, difference, share, once)]
        lines += [line(of["ours"], theirs) for theirs in others for line in (rate, difference)]
    return [line for line in lines if line is not None]


def rate(ours: Sequence[Measurement], theirs: Sequence[Measurement]) -> Comparison:
    """How many times as fast as the plain way ours is, with the machine's own changes of speed divided out."""
    section, family, way = theirs[0].section, theirs[0].family, theirs[0].way
    amounts = {m.work.amount for m in (*ours, *theirs)}
    if len(amounts) > 1:
        raise MismatchError(
            f"{section} {family}: ours and {way} did {sorted(amounts)} {UNITS[section]}, expected one number; "
            "the two must be given the same answers"
        )
    return _line(
        theirs[0],
        what="speed",
        kind="ratio",
        medians=(median(m.rate for m in ours), median(m.rate for m in theirs)),
        unit=f"{UNITS[section]}/s",
        rounds=[a.pace / b.pace for a, b in zip(ours, theirs, strict=True)],
        target=OVER.get(section, OVER_LORA if family == "lora" else OVER_OTHERS).get(way),
    )


def memory(ours: Sequence[Measurement], theirs: Sequence[Measurement]) -> Comparison:
    """The plain way's peak memory divided by ours."""
    return _line(
        theirs[0],
        what="peak memory",
        kind="ratio",
        medians=(median(m.work.memory / 1e9 for m in ours), median(m.work.memory / 1e9 for m in theirs)),
        unit="GB",
        rounds=[b.work.memory / a.work.memory for a, b in zip(ours, theirs, strict=True)],
        target=MEMORY.get(theirs[0].section),
    )


def difference(ours: Sequence[Measurement], theirs: Sequence[Measurement]) -> Comparison:
    """The largest difference between the results of both ways; for crops relative to the largest number."""
    section = theirs[0].section
    rounds = []
    for a, b in zip(ours, theirs, strict=True):
        largest = max(map(abs, b.work.results)) if section == "svd" else 1.0
        rounds.append(max(abs(x - y) for x, y in zip(a.work.results, b.work.results, strict=True)) / largest)
    return _line(
        theirs[0],
        what=f"largest difference of {RESULTS[section]}",
        kind="difference",
        rounds=rounds,
        target=LOSS_DIFFERENCE if section == "train" else None,
    )


def share(ours: Sequence[Measurement], theirs: Sequence[Measurement]) -> Comparison | None:
    """The share of the machine's matrix-product peak that each way reaches with the operations it needs."""
    if ours[0].share is None:
        return None
    return _line(
        theirs[0],
        what="share of the matrix-product peak",
        kind="share",
        medians=(100 * median(m.share for m in ours), 100 * median(m.share for m in theirs)),
        unit="%",
        rounds=[m.share for m in ours],
        target=SHARE.get(theirs[0].section),
    )


def once(ours: Sequence[Measurement], theirs: Sequence[Measurement]) -> Comparison | None:
    """Seconds that a training spends once: up to the end of its first step, minus a usual step. Speed excludes them."""
    if ours[0].work.once_seconds is None:
        return None
    mine, others = ([m.work.once_seconds for m in measurements] for measurements in (ours, theirs))
    medians = median(mine), median(others)
    return _line(theirs[0], what="once a training", kind="seconds", medians=medians, unit="s", rounds=mine)


def _line(
    theirs: Measurement,
    *,
    what: str,
    kind: Kind,
    rounds: Sequence[float],
    medians: tuple[float | None, float | None] = (None, None),
    unit: str = "",
    target: float | None = None,
) -> Comparison:
    return Comparison(theirs.section, theirs.family, theirs.way, what, kind, *medians, unit, tuple(rounds), target)
