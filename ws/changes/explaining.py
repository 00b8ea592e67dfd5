"""What `ws why` does: it finds the case, and whatever is known of it and of the code of today."""

from pathlib import Path

from ws.changes.cases import Case
from ws.changes.commands import there
from ws.changes.commits import commit_named
from ws.changes.compare import clone_of_library
from ws.changes.known import Known
from ws.changes.lookup import meant, test_file
from ws.changes.recordings import Recordings
from ws.changes.sides import Place, cases_in
from ws.changes.why import Today, why
from ws.report.own_folders import folders_of_own
from ws.report.register import read_beside
from ws.store import Store
from ws.store.origin import own_checkout


def explained(asked: str, tests: Path, store: Store) -> str:
    """What there is to say of a recorded case, one text for each model that it is recorded on."""
    place = Place(tests)
    found = meant(asked, recorded_cases(place, store.root))
    root, clone = place.repository, clone_of_library()
    head = None if clone is None else commit_named(clone, "HEAD")
    code = own_checkout()
    known = Known(tuple(place.now().evidence.values()), there(store.root))
    recordings = Recordings(root, clone, place.inside or ".")
    recorded = {"commit": None if head is None else head.id}
    today = Today(store, known, recordings, recorded, () if code is None else code.uncommitted)
    register = read_beside(tests)
    files = [(str(path), path.read_bytes()) for path in sorted(tests.glob("*.py"))]
    return "\n".join(why(case, today, register.get(case.claim), test_file(case.test, files)) for case in found)


def recorded_cases(place: Place, store: Path) -> list[Case]:
    """Every case of the working tree, and of models and behaviors of one's own, which a store has."""
    own = folders_of_own(store, place.tests)
    found = [case for model, folder in own for _, case in cases_in(folder, model=model)]
    return [*place.now().cases.values(), *found]
