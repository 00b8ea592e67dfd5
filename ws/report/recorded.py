"""Where recorded verdicts lie."""

from pathlib import Path


def snapshot_folder(model: str, *, chosen: Path | None, home: Path | None, beside: Path) -> Path:
    """Where a model's verdicts are recorded: in the folder that was chosen for all, else in the home of a model of
    one's own, else `beside` the tests."""
    if chosen is not None:
        return chosen / model
    return beside / model if home is None else home / "snapshots"
