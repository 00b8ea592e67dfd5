"""The folders of recorded verdicts."""

from pathlib import Path

from ws.evidence.homes import home_of


def snapshot_folder(
    model: str, *, chosen: Path | None, home: Path | None, beside: Path, behavior: Path | None = None
) -> Path:
    """The folder of a model's recorded verdicts: the one chosen for all models, else the home of a model of one's own,
    else the folder `beside` the tests. Those on a behavior of one's own, whose home is `behavior`, are in a folder of
    its name of the one chosen, else in its home. In a home each folder of tests has a part of its own."""
    if behavior is not None:
        return (home_of(beside.parent, behavior) / "snapshots" if chosen is None else chosen / behavior.name) / model
    if chosen is not None:
        return chosen / model
    return beside / model if home is None else home_of(beside.parent, home) / "snapshots"
