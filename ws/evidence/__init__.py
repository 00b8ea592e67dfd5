"""Evidence: what the claims of a model read, in a few small files that go with the code."""

from pathlib import Path

from ws.evidence.homes import home_of

FOLDER = "__evidence__"
"""The folder, beside the tests of claims, that has a folder for each model."""


def evidence_folder(
    model: str, *, chosen: Path | None, home: Path | None, beside: Path, behavior: Path | None = None
) -> Path:
    """The folder of a model's evidence: in the one chosen for all models, else in the home of a model of one's own,
    else in `beside`, which is beside the tests. Of a behavior of one's own, whose home is `behavior`: in a folder of
    its name of the one chosen, else in its home. In a home each folder of tests has a part of its own."""
    if behavior is not None:
        return (home_of(beside.parent, behavior) / "evidence" if chosen is None else chosen / behavior.name) / model
    if chosen is not None:
        return chosen / model
    return beside / model if home is None else home_of(beside.parent, home) / "evidence"
