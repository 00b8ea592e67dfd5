"""The folders of recorded verdicts."""

from pathlib import Path


def snapshot_folder(model: str, *, chosen: Path | None, home: Path | None, beside: Path) -> Path:
    """The folder of a model's recorded verdicts: the one chosen for all models, else the home of a model of one's own,
    else the folder `beside` the tests."""
    if chosen is not None:
        return chosen / model
    return beside / model if home is None else home / "snapshots"
