"""What `ws evidence` and its commands do: ask `ws.evidence`, print `ws.report.evidence_text`."""

import time
from collections.abc import Iterator
from pathlib import Path

from ws.errors import StoreError
from ws.evidence import FOLDER, evidence_folder
from ws.evidence import audit as auditing
from ws.evidence.folder import Evidence
from ws.evidence.standing import Standing, standing_of
from ws.models.own import named_model
from ws.report import evidence_text
from ws.report.recorded import snapshot_folder
from ws.store import Store


def overview(model: str, tests: Path, chosen: Path | None, store: Store) -> str:
    """What of a model's evidence is of today's code, and what its snapshots name that it lacks."""
    return evidence_text.standing(_standing(model, tests, chosen, store))


def check(model: str, tests: Path, chosen: Path | None, store: Store) -> Iterator[str]:
    """The same. Raises: StoreError, after that, if something is damaged or missing."""
    found = _standing(model, tests, chosen, store)
    yield evidence_text.standing(found)
    if found.evidence.faults or found.missing:
        raise StoreError(
            f"the evidence in {found.evidence.folder} has {len(found.evidence.faults)} faults and lacks "
            f"{len(found.missing)} keys; record it with `pytest --snapshot-update --record-evidence`"
        )


def audit(folder: Path, store: Store, *, minutes: float, seed: int | None = None) -> Iterator[str]:
    """What an audit found; drawn by the date if there is no seed. Raises: StoreError, after that, if numbers differ."""
    drawn_by = int(time.strftime("%Y%m%d")) if seed is None else seed
    found = auditing.audit(Evidence(folder), store, minutes=minutes, seed=drawn_by)
    yield evidence_text.audited(found)
    auditing.insist(found, store)


def folder_of(model: str, tests: Path, chosen: Path | None, store: Store) -> Path:
    """The folder of a model's evidence. Raises: StoreError if it is not there."""
    known = named_model(model, store)
    folder = evidence_folder(known.name, chosen=chosen, home=known.home, beside=tests / FOLDER)
    if not folder.is_dir():
        raise StoreError(
            f"there is no evidence of {model} in {folder}; `pytest {tests} --model={model} --snapshot-update "
            "--record-evidence` packs it"
        )
    return folder


def _standing(model: str, tests: Path, chosen: Path | None, store: Store) -> Standing:
    known, evidence = named_model(model, store), Evidence(folder_of(model, tests, chosen, store))
    snapshots = snapshot_folder(known.name, chosen=None, home=known.home, beside=tests / "__snapshots__")
    return standing_of(evidence, store, snapshots)
