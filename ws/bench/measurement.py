"""One measurement of one way of doing something, in the form that is passed between processes and recorded."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ws.bench.probe import Speed
from ws.bench.settings import Section, Settings

PLAIN = {"train": ("hf", "hf-tuned"), "eval": ("plain",), "svd": ("plain",)}
"""The plain ways of each section; `hf-tuned` is the Trainer with eager attention and a tuned allocator."""
UNITS = {"train": "tokens", "eval": "rows", "svd": "crops"}


@dataclass(frozen=True)
class Job:
    """A measurement to make."""

    section: Section
    way: str
    """`ours` or one of PLAIN."""
    family: str
    repeat: int
    settings: Settings
    store: str

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Job":
        fields = json.loads(text)
        settings = fields.pop("settings")
        settings["families"] = tuple(settings["families"])
        return cls(**fields, settings=Settings(**settings))


@dataclass(frozen=True)
class Work:
    """What one way did: how much, in how long, with what results."""

    amount: int
    """Real tokens trained on, rows scored or crops made."""
    seconds: float
    results: tuple[float, ...]
    """The loss of each step, the log-ratio of each row, or a number for each crop: both ways must agree on them."""
    capacity: float | None = None
    """GFLOP that matrix products could have done in these seconds; None unless speed was measured between steps."""
    flops: int | None = None
    once_seconds: float | None = None
    """Seconds up to the end of the first step, minus those of a usual step."""
    memory: int = 0
    """Peak memory of the process, in bytes."""


@dataclass(frozen=True)
class Measurement:
    """A job's work, and the speed of the machine's matrix products before and after it, in GFLOP/s."""

    section: Section
    way: str
    family: str
    repeat: int
    work: Work
    speeds: tuple[Speed, Speed]

    @property
    def rate(self) -> float:
        """Tokens, rows or crops a second."""
        return self.work.amount / self.work.seconds

    @property
    def speed(self) -> float:
        """The machine's speed at the model's own shape during the work, in GFLOP/s."""
        return self.capacity / self.work.seconds

    @property
    def capacity(self) -> float:
        """GFLOP that matrix products of the model's own shape could have done in the time of the work."""
        around = sum(speed.model for speed in self.speeds) / len(self.speeds)
        return self.work.seconds * around if self.work.capacity is None else self.work.capacity

    @property
    def pace(self) -> float:
        """Tokens, rows or crops per GFLOP that the machine could have done meanwhile: unaffected by its speed."""
        return self.work.amount / self.capacity

    @property
    def share(self) -> float | None:
        """Operations done, as a share of what matrix products could have done at the faster of the two shapes."""
        if self.work.flops is None:
            return None
        square_over_model = sum(s.square for s in self.speeds) / sum(s.model for s in self.speeds)
        return self.work.flops / 1e9 / self.capacity / max(1.0, square_over_model)

    def record(self) -> dict[str, object]:
        """The JSON form, without `results` if they are too many to read."""
        fields = asdict(self) | {"rate": self.rate, "speed": self.speed, "share": self.share}
        if self.section != "train":
            fields["work"].pop("results")
        return fields


def save(measurement: Measurement, path: Path) -> None:
    """Hands a measurement to the process that asked for it."""
    path.write_text(json.dumps(asdict(measurement)), encoding="utf-8")


def load(path: Path) -> Measurement:
    """The measurement that another process saved."""
    fields = json.loads(path.read_text(encoding="utf-8"))
    work = fields.pop("work")
    work["results"] = tuple(work["results"])
    return Measurement(
        **{name: value for name, value in fields.items() if name != "speeds"},
        work=Work(**work),
        speeds=tuple(Speed(**speed) for speed in fields["speeds"]),
    )
