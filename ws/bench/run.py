"""The benchmark: measure section by section, keep each as soon as it is done."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from ws.adapters import family
from ws.bench import claims, parity, record
from ws.bench.compare import compared
from ws.bench.process import jobs, measure, prepared
from ws.bench.settings import SECTIONS, Section, Settings, quick
from ws.bench.table import markdown, with_benchmark
from ws.models.hardware import available_device
from ws.models.table import known_model
from ws.store import Store
from ws.store.progress import say, track


def bench(
    sections: Sequence[Section],
    *,
    model: str,
    device: str,
    families: Sequence[str],
    repeats: int | None,
    quickly: bool,
    store: Store,
    out: Path | None,
) -> str:
    """Measure the sections (default: SECTIONS) and return their tables; a quick run is recorded only in `out`.

    Raises: UnknownNameError for an unknown model or family; DeviceError for a device this machine does not have.
    """
    known_model(model)
    available_device(device)
    settings = Settings(model=model, device=device)
    settings = quick(settings) if quickly else settings
    if families:
        settings = replace(settings, families=tuple(family(name).NAME for name in families))
    if repeats is not None:
        settings = replace(settings, repeats=repeats)
    kept = record.last(device) if out is None and not quickly else out
    return markdown(measured(sections or SECTIONS, settings, store, out=kept))


def write(page: Path) -> None:
    """Put the tables of the last run on each device between the page's markers.

    Raises: DataError if no run was kept, or the page lacks the markers.
    """
    runs = [record.read(path) for path in map(record.last, ("cpu", "cuda")) if path.exists()]
    runs = runs or [record.read(record.last("cpu"))]
    text = "\n".join(markdown(run) for run in runs)
    page.write_text(with_benchmark(page.read_text(encoding="utf-8"), text), encoding="utf-8")


def measured(sections: Sequence[Section], settings: Settings, store: Store, *, out: Path | None) -> record.Record:
    """The records of the sections, each written into `out` as soon as it is measured, if `out` is given."""
    found = {}
    for name in sections:
        found[name] = MEASURED.get(name, partial(_compared, name))(settings, store)
        if out is not None:
            record.update(out, name, found[name])
            say(f"wrote section {name} of {out}")
    return found


def _compared(name: Section, settings: Settings, store: Store) -> record.Record:
    prepared(name, settings, store.root)
    measurements = [measure(job) for job in track(jobs(name, settings, store.root), f"bench {name}")]
    return record.section(settings, measurements, compared(measurements))


def _timed_claims(settings: Settings, store: Store) -> record.Record:
    runs = [timing.record() for timing in claims.timings(settings, store)]
    return record.stamp(settings) | {"runs": runs}


def _agreed(settings: Settings, store: Store) -> record.Record:
    families = [agreement.record() for agreement in parity.agreements(settings, store)]
    return record.stamp(settings) | {"families": families}


MEASURED = {"claims": _timed_claims, "parity": _agreed}
"""Sections that do not compare the times of two ways."""
