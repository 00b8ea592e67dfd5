"""What `ws diff` does, from the words of a command line to the text that is printed."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ws.changes.compare import diff
from ws.changes.markdown import comment
from ws.changes.sides import Place, Side
from ws.changes.text import on_a_screen
from ws.errors import UnknownNameError


def compared(
    old: str,
    new: str | None,
    tests: Path,
    *,
    store: Path,
    claims: Sequence[str] = (),
    markdown: bool = False,
    whole: bool = False,
) -> str:
    """The comparison of two sides, as text for a terminal or as Markdown."""
    place = Place(tests, store)
    sides = place.side(old), place.now() if new is None else place.side(new)
    before, now = (_of_claims(side, claims, sides) for side in sides)
    evidence = place.evidence if any(side.is_run for side in sides) else {}
    found = diff(before, now, place, stores=there(store), evidence=(*evidence.values(),))
    return comment(found) if markdown else on_a_screen(found, whole=whole)


def _of_claims(side: Side, claims: Sequence[str], sides: Sequence[Side]) -> Side:
    """A side with the cases of some claims alone.

    Raises: UnknownNameError for a claim of which neither side has a case.
    """
    if not claims:
        return side
    wanted = {claim.upper() for claim in claims}
    known = {case.claim for one in sides for case in one.cases.values()}
    if unknown := sorted(wanted - known):
        raise UnknownNameError("claim", unknown[0], known)
    return replace(side, cases={id: case for id, case in side.cases.items() if case.claim in wanted})


def there(store: Path) -> tuple[Path, ...]:
    """The store, if there is one."""
    return (store,) if store.is_dir() else ()
