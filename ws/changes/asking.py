"""How pytest is told to ask a recorded case again, with the options that its verdict depends on."""

import shlex
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ws.changes.cases import Case
from ws.changes.lookup import item


@dataclass(frozen=True)
class Given:
    """What a command line said of the run that is explained."""

    behavior: str | None = None
    """A behavior of one's own, as it was named there."""
    seeds: int | None = None
    snapshots: Path | None = None
    store: str | None = None
    """As it was named there; None for the usual one."""


def command(case: Case, test: str, seeds: int | None, given: Given) -> str:
    """The command that asks a case again; `test` is the file of its test."""
    behavior = given.behavior or case.behavior or None
    chosen = {"behavior": behavior, "seeds": seeds, "snapshots": given.snapshots, "store": given.store}
    options = {"model": case.id[0], **{name: value for name, value in chosen.items() if value is not None}}
    gpu = ["--gpu"] if case.said.get("device") == "cuda" else []
    # With an equals sign: where pytest does not know an option yet, it takes a value behind a space for a path to test.
    told = [f"--{name}={shlex.quote(str(value))}" for name, value in options.items()]
    return " ".join([f'pytest "{test}::{item(case)}"', *gpu, *told])


def seeds_of(case: Case, recorded: Iterable[Case]) -> int | None:
    """The number of seeds to name, which most of the cases recorded with this one have.

    None where that is what the model has by default, or where no default is known. One case alone does not tell: some
    claims compare couples of seeds, and in some nothing varies between seeds.
    """
    default = _by_default(case.id[0])
    beside = [one.said.get("n_seeds") for one in recorded if (one.id[0], one.behavior) == (case.id[0], case.behavior)]
    counts = Counter(n for n in beside if isinstance(n, int) and n > 0)
    if default is None or not counts:
        return None
    usual = max(counts, key=lambda n: (counts[n], n == default, n))
    return None if usual == default else usual


def _by_default(model: str) -> int | None:
    """The seeds that a claim trains on a model unless told otherwise; None for a model that is not known here."""
    if "@" in model:
        from ws.models.own import SEEDS

        return SEEDS
    from ws.models.table import MODELS

    return MODELS[model].seeds if model in MODELS else None
