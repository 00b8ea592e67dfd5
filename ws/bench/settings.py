"""What a benchmark measures, and the recipes and rows it measures on."""

from dataclasses import dataclass, replace
from typing import Literal

from ws.adapters import FAMILIES
from ws.scoring.rows import COEFFS, Rows
from ws.study.subject import Subject
from ws.training.train import Adapter

Section = Literal["train", "eval", "svd", "claims", "parity"]
SECTIONS: tuple[Section, ...] = ("train", "eval", "svd")
"""What is measured unless told otherwise; `claims` and `parity` take an hour and are asked for by name."""

ALL_COEFFS = (0.0, *COEFFS)
CROPS_A_SIDE = 20
"""Number of crops that keep the top of the spectrum, and of crops that keep the rest: 40 together."""
PLAIN_BATCH = 8
SEED = 0


@dataclass(frozen=True)
class Settings:
    """How much is measured; the defaults take about 40 minutes on two cores."""

    model: str = "smollm2-135m"
    device: str = "cpu"
    families: tuple[str, ...] = tuple(FAMILIES)
    repeats: int = 3
    """Measurements of each way; the ways take turns."""
    questions: int = 12
    """Questions of the training pairs; every tenth is held out."""
    epochs: int = 1
    questions_per_step: int = 3
    """Three questions with five answers each are the batch nearest to 16 rows."""
    rows: int = 120
    """Held-out questions scored at each coefficient."""

    @property
    def subject(self) -> Subject:
        return Subject(self.model, self.device)


def quick(settings: Settings) -> Settings:
    """Settings with the fewest steps and rows that still measure something."""
    return replace(settings, families=("lora",), repeats=1, questions=10, epochs=1, rows=12)


def training(settings: Settings, family: str) -> Adapter:
    """The adapter that both ways train: a family's own recipe, but shorter and with a constant learning rate."""
    adapter = settings.subject.adapter(family, sign="plus", seed=SEED)
    config = replace(
        adapter.training,
        epochs=settings.epochs,
        warmup_steps=0,
        questions_per_step=settings.questions_per_step,
    )
    return replace(adapter, training=config)


def scoring(settings: Settings) -> Rows:
    """The rows of the first held-out questions, steered by dW of LoRA."""
    rows = settings.subject.rows(settings.subject.weights("lora", seed=SEED))
    return replace(rows, questions=rows.questions[: settings.rows])


def crops(rank: int) -> tuple[slice, ...]:
    """40 cuts through a spectrum with `rank` values that are not zero."""
    tops = [max(1, round(rank * (i + 1) / CROPS_A_SIDE)) for i in range(CROPS_A_SIDE)]
    return (*(slice(0, top) for top in tops), *(slice(top, None) for top in tops))
