"""The two sides of a comparison, from the words that a user names them by."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from ws.changes.cases import Case, Id
from ws.changes.commits import Commit, commit_named, contents, is_shallow, root_of, written
from ws.changes.files import cases_of_file
from ws.errors import CommandError, DataError, near
from ws.evidence import FOLDER as EVIDENCE
from ws.evidence.folder import INDEX, Evidence
from ws.evidence.homes import home_of
from ws.files.notation import MOST_BYTES
from ws.files.opening import content
from ws.upkeep.standing import homes_in

SNAPSHOTS = "__snapshots__"
CONFIG = "config.json"

FORMS = (
    "a commit, a folder (recorded verdicts, evidence, claims, a store), a file of `pytest --results FILE` or a model "
    "with recorded verdicts; what is written as a path (./NAME) is a folder or file, refs/heads/NAME a branch"
)


@dataclass(frozen=True)
class Side:
    """One side: recorded cases, evidence, a store, or several of these."""

    asked: str
    """How the user named it."""
    told: str
    """What it is, in words."""
    cases: Mapping[Id, Case] = field(default_factory=dict, repr=False)
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    """By model."""
    store: Path | None = None
    commit: Commit | None = None
    is_run: bool = False
    """Whether its cases are those that a run selected, so that nothing follows from one that is missing."""
    _scratch: TemporaryDirectory[str] | None = field(default=None, repr=False)
    """Where files of a commit lie for as long as the side is used."""

    @property
    def models(self) -> list[str]:
        return sorted({model for model, _ in self.cases})


@dataclass(frozen=True)
class Place:
    """Where names are looked up: the folder of claims, and the repository around it."""

    tests: Path
    store: Path | None = None
    """The user's store, where models of one's own are kept; None for the usual one."""

    @property
    def repository(self) -> Path | None:
        return root_of(self.tests)

    @property
    def inside(self) -> str:
        """The folder of the claims as its repository names it."""
        root = self.repository
        return "" if root is None else self.tests.resolve().relative_to(root.resolve()).as_posix()

    @property
    def evidence(self) -> Mapping[str, Evidence]:
        """The evidence beside the tests, by model."""
        return dict(_evidence_in(self.tests / EVIDENCE))

    def side(self, text: str) -> Side:
        """What a text names.

        Raises: CommandError if it names nothing, or several things; DataError for a folder of something else.
        """
        folder = Path(text).expanduser()
        is_folder, is_file = bool(text) and folder.is_dir(), bool(text) and folder.is_file()
        if (is_folder or is_file) and ("/" in text or text in (".", "..")):
            return self._at(text, folder)
        commit = commit_named(self.repository, text) if self.repository is not None and text else None
        model = self.tests / SNAPSHOTS / text
        is_model = bool(text) and "/" not in text and text not in (".", "..") and model.is_dir()
        at = {f"the folder ./{text}": is_folder, f"the file ./{text}": is_file}
        found = {**at, f"the model in {model}": is_model, "a commit": commit is not None}
        named = [name for name, is_there in found.items() if is_there]
        if len(named) > 1:
            raise CommandError(
                f"{text} is {' and '.join(named)}; say which: ./{text}, {model}, or refs/heads/{text} or its hash"
            )
        if commit is not None:
            return side_of_commit(text, commit, self.inside)
        if is_model:
            return side_of_model(text, self.tests)
        if is_folder or is_file:
            return self._at(text, folder)
        raise CommandError(self._unknown(text))

    def _at(self, text: str, path: Path) -> Side:
        if path.is_file():
            return Side(text, f"verdicts in the file {path}", cases_of_file(path), is_run=True)
        is_own_model = (path / CONFIG).is_file() and not (path / INDEX).is_file()
        return _of_own_model(text, self) if is_own_model else side_of_folder(text, path)

    def now(self) -> Side:
        """The claims as they are in the working tree."""
        return side_of_folder("the working tree", self.tests)

    def _unknown(self, text: str) -> str:
        models = [path.name for path in (self.tests / SNAPSHOTS).glob("*") if path.is_dir()]
        close = near(text, models)
        meant = f"; did you mean {' or '.join(close)}?" if close else ""
        root = self.repository
        if root is None:
            return f"nothing is called {text!r}, and {self.tests} is in no repository with commits; name {FORMS}{meant}"
        older = "; this clone is shallow: `git fetch --unshallow` brings older commits" if is_shallow(root) else ""
        return f"nothing is called {text!r}; name {FORMS}{older}{meant}"


def side_of_commit(text: str, commit: Commit, tests: str) -> Side:
    """The recorded cases and the evidence of a commit, below its folder of claims."""
    base = "" if tests in ("", ".") else f"{tests}/"
    recorded, evidence = f"{base}{SNAPSHOTS}/", f"{base}{EVIDENCE}/"
    blobs = commit.blobs(recorded, evidence)
    files = {path: blob for path, blob in blobs.items() if path.startswith(recorded) and path.endswith(".json")}
    texts = contents(commit.repository, files.values())
    cases = [
        Case((parts[-2], parts[-1].removesuffix(".json")), texts[blob], f"{commit.short}:{path}")
        for path, blob in files.items()
        if len(parts := path.split("/")) == len(recorded.split("/")) + 1
    ]
    packed = {path.removeprefix(evidence): blob for path, blob in blobs.items() if path.startswith(evidence)}
    scratch: TemporaryDirectory[str] | None = None
    found: dict[str, Evidence] = {}
    if packed:
        scratch = TemporaryDirectory(prefix="ws-commit-")
        written(commit.repository, packed, Path(scratch.name))
        found = dict(_evidence_in(Path(scratch.name)))
    if not cases and not found:
        raise DataError(f"commit {commit.short} ({text}) has no recorded verdicts in {recorded}; name a later one")
    return Side(text, commit.told, {case.id: case for case in cases}, found, None, commit, _scratch=scratch)


def side_of_model(text: str, tests: Path) -> Side:
    """The recorded cases and the evidence of one model."""
    folder = tests / SNAPSHOTS / text
    evidence = {model: one for model, one in _evidence_in(tests / EVIDENCE) if model == text}
    return Side(text, f"model {text}, as in {folder}", dict(cases_in(folder)), evidence)


def side_of_folder(text: str, folder: Path) -> Side:
    """What a folder holds, whatever it is.

    Raises: DataError if it holds nothing that can be compared.
    """
    if (folder / INDEX).is_file():
        return Side(text, f"evidence in {folder}", evidence={folder.resolve().name: Evidence(folder)})
    tests = next((one for one in (folder, folder / "claims") if (one / SNAPSHOTS).is_dir()), None)
    if tests is not None:
        cases = {id: case for model in _folders(tests / SNAPSHOTS) for id, case in cases_in(model)}
        return Side(text, f"claims in {tests}", cases, dict(_evidence_in(tests / EVIDENCE)))
    cases = dict(cases_in(folder)) or {id: case for model in _folders(folder) for id, case in cases_in(model)}
    if cases:
        return Side(text, f"verdicts in {folder}", cases)
    if evidence := dict(_evidence_in(folder)):
        return Side(text, f"evidence in {folder}", evidence=evidence)
    if next(homes_in(folder), None) is not None:
        return Side(text, f"store in {folder}", store=folder)
    raise DataError(f"{folder} has no recorded verdicts, no evidence and no artifacts of a store; name {FORMS}")


def _of_own_model(text: str, place: Place) -> Side:
    """The verdicts on a model of one's own that these tests recorded, which lie in the user's store."""
    from ws.models.own import named_model
    from ws.remote import open_store

    model = named_model(text, open_store(place.store))
    folder = home_of(place.tests, model.home) / "snapshots" if model.home else None
    cases = dict(cases_in(folder, model=model.name)) if folder else {}
    if not cases:
        raise DataError(
            f"{place.tests} has recorded nothing of the model {text}; record it: pytest {place.tests} --model={text} "
            "--snapshot-update"
        )
    return Side(text, f"model {model.name}", cases)


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())


def cases_in(folder: Path, *, model: str | None = None) -> Iterator[tuple[Id, Case]]:
    """The cases of a folder of recorded verdicts, which has the name of the model unless that is given."""
    for path in sorted(folder.glob("test_*.json")):
        id = model or folder.resolve().name, path.stem
        said = content(path, most=MOST_BYTES, what="a recorded verdict", refuse=DataError)
        yield id, Case(id, said, str(path))


def _evidence_in(folder: Path) -> Iterator[tuple[str, Evidence]]:
    if folder.is_dir():
        yield from ((one.name, Evidence(one)) for one in _folders(folder) if (one / INDEX).is_file())
