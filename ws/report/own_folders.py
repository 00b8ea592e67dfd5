"""What is recorded in a store: the verdicts on models and behaviors of one's own."""

from collections.abc import Iterator
from pathlib import Path

from ws.behaviors.own import FOLDER as BEHAVIORS
from ws.evidence.homes import home_of
from ws.models.weights import OWN_FOLDER


def folders_of_own(store: Path, tests: Path) -> Iterator[tuple[str, Path]]:
    """The folders of what the tests of a folder recorded, there or not, each behind the name of its model."""
    for home in sorted(store.glob(f"{OWN_FOLDER}/*@*/")):
        yield home.name, home_of(tests, home) / "snapshots"
    for home in sorted(store.glob(f"{BEHAVIORS}/*@*/")):
        yield from ((one.name, one) for one in sorted(home_of(tests, home).glob("snapshots/*/")))
