"""The last run as JSON, one file a device: measuring one section again replaces that section only."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ws.bench.compare import Comparison
from ws.bench.measurement import Measurement
from ws.bench.settings import Settings
from ws.errors import DataError
from ws.models.hardware import facts

SCHEMA = 1
FOLDER = Path(__file__).parent

Record = dict[str, Any]


def last(device: str) -> Path:
    """The file of the last run on a kind of device."""
    return FOLDER / f"latest-{device}.json"


def section(settings: Settings, measurements: Sequence[Measurement], comparisons: Sequence[Comparison]) -> Record:
    """One section of the record: where and how it was measured, every measurement, every line of its table."""
    return stamp(settings) | {
        "measurements": [measurement.record() for measurement in measurements],
        "comparisons": [comparison.record() for comparison in comparisons],
    }


def stamp(settings: Settings) -> Record:
    """When, where and how something was measured."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": facts(),
        "settings": asdict(settings),
    }


def commit() -> str | None:
    """The checked-out commit of this package, with `+` if the tree has changes; None outside a repository."""
    told = [_git("rev-parse", "--short=12", "HEAD"), _git("status", "--porcelain", "--untracked-files=no")]
    return None if told[0] is None else told[0] + ("+" if told[1] else "")


def _git(*args: str) -> str | None:
    try:
        done = subprocess.run(["git", *args], cwd=FOLDER, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def read(path: Path) -> Record:
    """The sections of a record, by name.

    Raises: DataError if there is none, or another version wrote it.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"no benchmark has left its numbers at {path}; run `ws bench` first") from None
    except ValueError as error:
        raise DataError(f"{path} is no JSON ({error}); run `ws bench` again") from None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise DataError(f"{path} is not of schema {SCHEMA}; remove it and run `ws bench` again")
    return record["sections"]


def update(path: Path, name: str, found: Record) -> None:
    """Put one section into the record at `path`; the other sections stay."""
    sections = read(path) if path.exists() else {}
    sections[name] = found
    unfinished = path.with_name(f"{path.name}.new")
    text = json.dumps({"schema": SCHEMA, "sections": sections}, indent=1, allow_nan=False)
    unfinished.write_text(text + "\n", encoding="utf-8")
    unfinished.replace(path)
