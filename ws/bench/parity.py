"""How far a claim's numbers change if PEFT trains the adapters: the same recipes through both engines, side by side.

pytest's `--engine peft` trains with the PEFT library, the reference. For each family, both engines train both signs of
one seed from equal start values; compared are the numbers that claims read.
"""

from dataclasses import asdict, dataclass

import pandas as pd

from ws.bench.settings import SEED, Settings
from ws.engine.loading import loaded
from ws.scoring.rows import Rows, read_rows
from ws.stats.sweep import OF_YES_AND_NO, Sweep
from ws.store import Store
from ws.study.subject import Subject
from ws.training.direction import direction_delta
from ws.training.train import read_curves

CURVES = ("loss", "validation_loss")


@dataclass(frozen=True)
class Agreement:
    """How far the two engines' numbers for one family are apart."""

    family: str
    loss: float
    """Largest difference of any training or validation loss of either sign; nats per token."""
    update: float
    """|dW of PEFT - dW of ours| / |dW of ours|."""
    log_ratio: float
    """Largest difference of any row's log-ratio at coefficient +1; nats."""
    raw: tuple[float, float]
    """Raw effect, ours and PEFT's; nats per row."""
    corrected: tuple[float, float]
    """Bias-corrected effect, ours and PEFT's; nats per row."""

    def record(self) -> dict[str, object]:
        """The JSON form."""
        return asdict(self)


def agreements(settings: Settings, store: Store) -> list[Agreement]:
    """The agreement of every family; adapters that are in the store already are not trained again."""
    ours, theirs = (Subject(settings.model, settings.device, engine=engine) for engine in ("native", "peft"))
    return [agreement(family, ours, theirs, store) for family in settings.families]


def agreement(family: str, ours: Subject, theirs: Subject, store: Store) -> Agreement:
    """The agreement of one family."""
    # Ours are the rows that claims score, at every coefficient; PEFT's are scored only for this comparison.
    mine = _with_base(ours, ours.rows(ours.weights(family, seed=SEED)), store)
    its = _with_base(theirs, theirs.rows(theirs.weights(family, seed=SEED), coeffs=(1.0,)), store)
    raw, corrected = ([Sweep(table, measure).effect.value for table in (mine, its)] for measure in OF_YES_AND_NO)
    return Agreement(
        family=family,
        loss=max(_loss_gap(family, sign, ours, theirs, store) for sign in ("plus", "minus")),
        update=_update_gap(family, ours, theirs, store),
        log_ratio=float((mine["log_ratio"] - its["log_ratio"]).abs().max()),
        raw=tuple(raw),
        corrected=tuple(corrected),
    )


def _with_base(subject: Subject, rows: Rows, store: Store) -> pd.DataFrame:
    """Rows at coefficients 0 and +1."""
    table = pd.concat([read_rows(store, recipe) for recipe in (subject.base_rows, rows)], ignore_index=True)
    return table[table["coeff"].isin((0.0, 1.0))].reset_index(drop=True).assign(seed=SEED)


def _loss_gap(family: str, sign: str, ours: Subject, theirs: Subject, store: Store) -> float:
    mine, its = (read_curves(store, subject.adapter(family, sign=sign, seed=SEED)) for subject in (ours, theirs))
    return max(abs(a - b) for name in CURVES for a, b in zip(mine[name], its[name], strict=True))


def _update_gap(family: str, ours: Subject, theirs: Subject, store: Store) -> float:
    lm = loaded(ours.on, store)
    mine, its = (direction_delta(subject.direction(family, seed=SEED), lm, store) for subject in (ours, theirs))
    return (its - mine).norm / mine.norm
