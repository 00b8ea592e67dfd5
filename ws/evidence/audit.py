"""Auditing evidence: some of it is built again on this machine, from the pairs up, and compared row by row.

Nothing of the evidence is used on the way. What is built again is a random sample: first an artifact of dW for each
family that is always audited, then one artifact of each stratum in random order, until the time is over. Strata are
those of `ws.upkeep.strata`: class of the recipe, model, family, lens and whatever else it holds by name.
"""

import random
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from ws.errors import StoreError, WsError
from ws.evidence.compare import OTHER_ANSWERS, Column, columns
from ws.evidence.folder import Evidence
from ws.evidence.records import SHA256, Kept, Recipes
from ws.evidence.supply import EvidenceSupply
from ws.store import Recipe, Store
from ws.store.manifests import read_manifest
from ws.store.progress import clock, say
from ws.upkeep.recall import RecipeGone
from ws.upkeep.standing import homes_in
from ws.upkeep.strata import Stratum, stratum

FOLDER = "audits"
"""The folder of a store with what audits that are not over have built."""

GIVEN = frozenset({"ModelWeights", "SelfCheck"})
"""Classes that an audit takes from the store: weights have pinned hashes, and the self-check only chooses passes."""

ALWAYS = ("lora", "delora")
"""The families of which an artifact is built from the pairs up, however long that takes."""

PAIRS, TRAINED = "Pairs", "Adapter"
"""The classes of what is trained on, and of what training makes."""

ANSWERS = frozenset({PAIRS, "SampledAnswers", "Thoughts"})
"""Classes whose artifacts are what a model said by chance."""

ROWS = "rows.parquet"
"""The file of scored rows."""

UNKNOWN_SECONDS = 30.0
"""What is assumed of an artifact whose record does not say how long it took."""


@dataclass(frozen=True)
class Candidate:
    """An artifact of the evidence that can be built again."""

    kept: Kept
    recipe: Recipe
    stratum: Stratum
    behind: Mapping[str, Kept]
    """By key, every input behind it, and itself."""

    def pair_of(self) -> frozenset[str]:
        """The families of its adapters, if it is made of one pair of adapters and nothing else is trained for it."""
        kinds = [one.kind for one in self.behind.values()]
        single = kinds.count(TRAINED) == 2 and kinds.count(PAIRS) == 1
        return frozenset(ALWAYS).intersection(self.stratum.about) if single else frozenset()


@dataclass(frozen=True)
class Finding:
    """An artifact that was built again, beside what was recorded."""

    candidate: Candidate
    columns: tuple[Column, ...]
    other_answers: bool = False
    """Whether answers that it rests on were sampled otherwise here, so that numbers may be further apart."""

    @property
    def agrees(self) -> bool:
        return all(one.agrees for one in self.columns)


@dataclass(frozen=True)
class Audit:
    """What an audit found."""

    folder: Path
    """The evidence."""
    seed: int
    findings: tuple[Finding, ...]
    artifacts: int
    """How many the evidence has that today's code can build."""
    strata: int
    stale: int
    """How many it has of other code, which nobody is served."""
    seconds: float

    @property
    def differing(self) -> list[Finding]:
        """What does not agree."""
        return [one for one in self.findings if not one.agrees]


def audit(evidence: Evidence, store: Store, *, minutes: float, seed: int) -> Audit:
    """Build a random sample anew and compare it; what an interrupted audit of this seed has built is only compared.

    Raises: StoreError if the evidence is damaged, or something of the sample cannot be built here.
    """
    if faults := evidence.check():
        raise StoreError(f"the evidence in {evidence.folder} cannot be audited: {faults[0]}; restore or record it")
    candidates, stale = candidates_of(evidence, store)
    folder = store.root / FOLDER / f"{evidence.folder.name}-{seed}"
    started = time.monotonic()
    with _alone(folder):
        found = tuple(_findings(_in_turn(candidates, seed), evidence, store, folder, 60 * minutes))
        done = Audit(
            evidence.folder,
            seed,
            found,
            len(candidates),
            len({one.stratum for one in candidates}),
            stale,
            time.monotonic() - started,
        )
        if not done.differing:
            shutil.rmtree(folder, ignore_errors=True)
    return done


def insist(found: Audit, store: Store) -> None:
    """Raises: StoreError if something differs; what was built stays in the store until the next audit of that seed."""
    if found.differing:
        raise StoreError(
            f"{len(found.differing)} of {len(found.findings)} artifacts of {found.folder} differ from what this "
            f"machine makes of their recipes, which is in {store.root / FOLDER}; if their numbers were changed, "
            "restore them, else record them with `pytest --snapshot-update --record-evidence`"
        )


def candidates_of(evidence: Evidence, store: Store) -> tuple[list[Candidate], int]:
    """What has the same key today, of the evidence, and can be built here; and how much of it is stale."""
    found, stale = [], 0
    for group in evidence.groups:
        records = evidence.group(group, recipes=True)
        recipes, known = Recipes(records), {one.key: one for one in records}
        for one in (kept for kept in records if kept.files):
            try:
                recipe = recipes.recipe(one.key)
            except RecipeGone:
                stale += 1
                continue
            if store.key(recipe) != one.key:
                stale += 1
                continue
            if why := recipe.why_not_here():
                say(f"not audited, {one.phrase}: {why}")
                continue
            found.append(Candidate(one, recipe, stratum(recipe), {key: known[key] for key in _behind(one.key, known)}))
    return sorted(found, key=lambda one: one.kept.key), stale


def _behind(key: str, known: Mapping[str, Kept]) -> set[str]:
    """The keys of an artifact and of everything that it is made of."""
    found, open_ = {key}, [key]
    while open_:
        for inner in _inputs(known[open_.pop()].recipe):
            if inner not in found:
                found.add(inner)
                open_.append(inner)
    return found


def _inputs(said: object) -> Iterator[str]:
    """The keys of the inputs in a recipe's JSON form."""
    if isinstance(said, dict):
        if said.keys() == {"input"}:
            yield said["input"]
        for value in said.values():
            yield from _inputs(value)
    elif isinstance(said, list):
        for value in said:
            yield from _inputs(value)


def _in_turn(candidates: Sequence[Candidate], seed: int) -> list[tuple[Candidate, bool]]:
    """All candidates in the order in which they are audited, and whether time does not matter for one.

    First a pair of adapters of each family that is always audited, of one seed if there is one that has both; then one
    candidate of each stratum, then a second one, and so on.
    """
    chance = random.Random(seed)
    shuffled = chance.sample(candidates, len(candidates))
    first = _pairs(shuffled)
    strata: dict[Stratum, list[Candidate]] = {}
    for one in (*first, *(one for one in shuffled if one not in first)):
        strata.setdefault(one.stratum, []).append(one)
    places = {one.kept.key: place for those in strata.values() for place, one in enumerate(those)}
    others = sorted((one for one in shuffled if one not in first), key=lambda one: places[one.kept.key])
    return [*((one, True) for one in first), *((one, False) for one in others)]


def _pairs(shuffled: Sequence[Candidate]) -> list[Candidate]:
    """For each family that is always audited, the first candidate of its dW; of the same pairs if possible."""
    chosen: list[Candidate] = []
    for family in ALWAYS:
        of_family = [one for one in shuffled if one.pair_of() == {family} and ROWS in one.kept.files]
        shared = {key for one in chosen for key, kept in one.behind.items() if kept.kind == PAIRS}
        alike = [one for one in of_family if shared & one.behind.keys()]
        chosen += (alike or of_family)[:1]
    return chosen


def _findings(
    turns: Sequence[tuple[Candidate, bool]], evidence: Evidence, store: Store, folder: Path, seconds: float
) -> Iterator[Finding]:
    """What is found of as many candidates as there is time for."""
    anew, recorded = _Anew(folder / "anew", store), EvidenceSupply(evidence)
    time_left = _Clock(seconds, anew, (candidate for candidate, _ in turns))
    for candidate, always in turns:
        if not always and not time_left.has_time_for(candidate):
            continue
        say(f"audit, {clock(time_left.spent)} of {clock(seconds)}: {candidate.kept.phrase}")
        try:
            home = anew.get(candidate.recipe)
        except WsError as error:
            raise StoreError(f"the audit cannot build {candidate.kept.phrase} here: {error}") from error
        before = folder / "recorded" / candidate.kept.key
        shutil.rmtree(before, ignore_errors=True)
        before.mkdir(parents=True)
        recorded.bring(candidate.kept.key, before)
        other = _other_answers(candidate, anew)
        times = OTHER_ANSWERS if other else 1.0
        found = [replace(one, times=times) for one in columns(before, home, candidate.kept.files)]
        yield Finding(candidate, tuple(found), other)


def _other_answers(candidate: Candidate, anew: Store) -> bool:
    """Whether some of the sampled answers behind a candidate have other bytes here than where it was recorded."""
    answers = {key: kept for key, kept in candidate.behind.items() if kept.kind in ANSWERS and SHA256 in kept.made}
    return any(_hashes(anew.root / kept.kind / key) != kept.made[SHA256] for key, kept in answers.items())


def _hashes(home: Path) -> dict[str, str]:
    there = read_manifest(home)
    return {} if there is None else {name: entry["sha256"] for name, entry in there.said["files"].items()}


class _Clock:
    """How much of the time is over, and how long this machine will take for what took others so many seconds."""

    def __init__(self, seconds: float, anew: Store, candidates: Iterable[Candidate]) -> None:
        self._seconds, self._anew, self._started = seconds, anew, time.monotonic()
        behind = {key: kept for one in candidates for key, kept in one.behind.items() if kept.kind not in GIVEN}
        self._expected = {
            key: UNKNOWN_SECONDS if kept.seconds is None else kept.seconds for key, kept in behind.items()
        }
        for home in homes_in(anew.root):
            self._expected[home.name] = 0.0

    @property
    def spent(self) -> float:
        return time.monotonic() - self._started

    def has_time_for(self, candidate: Candidate) -> bool:
        built = {one.key: one.seconds for one in self._anew.built}
        before = sum(self._expected.get(key, 0.0) for key in built)
        pace = sum(built.values()) / before if before else 1.0
        to_come = sum(self._expected.get(key, 0.0) for key in candidate.behind if key not in built)
        return self.spent + pace * to_come <= self._seconds


class _Anew(Store):
    """A store that has nothing but what is given, and builds all else."""

    def __init__(self, root: Path, store: Store) -> None:
        super().__init__(root)
        self._store = store

    def key(self, recipe: Recipe) -> str:
        return self._store.key(recipe)

    def has(self, recipe: Recipe) -> bool:
        return self._store.has(recipe) if type(recipe).__name__ in GIVEN else super().has(recipe)

    def get(self, recipe: Recipe) -> Path:
        return self._store.get(recipe) if type(recipe).__name__ in GIVEN else super().get(recipe)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The sole right to an audit's folder: a second process waits, and then finds what the first has built."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f"{folder.name}.lock"))
    try:
        lock.acquire(timeout=1)
    except Timeout:
        say(f"waiting for another process that audits {folder.name}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
