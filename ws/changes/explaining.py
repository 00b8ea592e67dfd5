"""What `ws why` does: it finds the case, and whatever is known of it and of the code of today."""

from collections.abc import Iterator
from pathlib import Path

from ws.behaviors.own import own_behavior
from ws.changes.asking import Given, command, seeds_of
from ws.changes.cases import Case
from ws.changes.commands import there
from ws.changes.commits import commit_named
from ws.changes.compare import clone_of_library
from ws.changes.known import Known
from ws.changes.lookup import meant, test_file
from ws.changes.recordings import Recordings
from ws.changes.sides import SNAPSHOTS, Place, Side, cases_in
from ws.changes.why import Today, why
from ws.errors import CommandError, DataError
from ws.report.own_folders import folders_of_own
from ws.report.register import read_beside
from ws.store import Store
from ws.store.origin import own_checkout

NOTHING = Given()


def explained(asked: str, tests: Path, store: Store, given: Given = NOTHING) -> str:
    """What there is to say of a recorded case, one text for each model and behavior that it is recorded on.

    Raises: UnknownNameError for a case or behavior that there is not; DataError if nothing of a behavior is recorded.
    """
    place = Place(tests, store.root)
    recorded = recorded_cases(place, store, given)
    found = meant(asked, recorded)
    root, clone = place.repository, clone_of_library()
    head = None if clone is None else commit_named(clone, "HEAD")
    code = own_checkout()
    known = Known(tuple(place.evidence.values()), there(store.root))
    recordings = Recordings(root, clone, place.inside or ".")
    commit = {"commit": None if head is None else head.id}
    today = Today(store, known, recordings, commit, () if code is None else code.uncommitted)
    register = read_beside(tests)
    files = [(str(path), path.read_bytes()) for path in sorted(tests.glob("*.py"))]

    def again(case: Case) -> str | None:
        file, seeds = test_file(case.test, files), given.seeds or seeds_of(case, recorded)
        return None if file is None else command(case, file, seeds, given)

    return "\n".join(why(case, today, register.get(case.claim), again(case)) for case in found)


def recorded_cases(place: Place, store: Store, given: Given = NOTHING) -> list[Case]:
    """Every case that these tests recorded: of the working tree, and of models and behaviors of one's own in a store;
    or those of a chosen folder, or on a chosen behavior alone.

    Raises: UnknownNameError or DataError for what is no behavior of one's own, or one of which nothing is recorded.
    """
    name = own_behavior(given.behavior, store).behavior.name if given.behavior else None
    chosen = given.snapshots
    cases = [*_beside(place).cases.values(), *_in_store(place, store)] if chosen is None else _in_folder(chosen)
    found = [case for case in cases if name is None or case.behavior == name]
    if not found:
        what = f"on {name} " if name else ""
        where = chosen or f"{place.tests} and the store {store.root}"
        raise DataError(f"no verdict {what}is recorded in {where}; record it with `pytest --snapshot-update`")
    return found


def _beside(place: Place) -> Side:
    """What is recorded beside the tests; nothing in a repository with verdicts on what is one's own alone."""
    return place.now() if (place.tests / SNAPSHOTS).is_dir() else Side("the working tree", f"claims in {place.tests}")


def _in_store(place: Place, store: Store) -> Iterator[Case]:
    for model, folder in folders_of_own(store.root, place.tests):
        yield from (case for _, case in cases_in(folder, model=model))


def _in_folder(folder: Path) -> list[Case]:
    """The cases of a folder of `pytest --snapshots`, which has one of each behavior of one's own too."""
    if not folder.is_dir():
        raise CommandError(f"--snapshots {folder} is no folder; name the one that `pytest --snapshots` was given")
    homes = sorted(one for one in (*folder.glob("*/"), *folder.glob("*@*/*/")))
    return [case for home in homes for _, case in cases_in(home)]
