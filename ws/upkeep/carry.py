"""Carrying artifacts over to new code that gives them other keys, but the same numbers, after an audit.

A stratified random sample is built again with today's code, from inputs as they are stored, and compared with the
stored artifacts. Only if all of the sample agrees within the tolerance do all artifacts get their new keys. Strata are
the class of the recipe, the model, the adapter family and whatever else a recipe holds by name, such as a lens.

Sampled are artifacts whose own code, fields or libraries are others today. Where only the keys of inputs moved, code
that is as it was would read files that are as they were: those artifacts follow their inputs (`ws.upkeep.following`),
and building one would show nothing. Nor is one sampled of a stratum of which today's code has rebuilt one before.

A sample that covers each model and family, and each lens, is smaller than one that covers their combinations, and
cannot see what happens in one combination alone.
"""

import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ws.store import Recipe, Store, scratch
from ws.store.manifests import Manifest, damage, read_manifest, write_said
from ws.store.origin import committed, now, own_checkout, versions
from ws.store.placing import move_into_place
from ws.store.progress import say, track
from ws.store.texts import keep_texts
from ws.store.written import named, written_down
from ws.upkeep.compare import Gap, gaps
from ws.upkeep.following import Following, inputs_of
from ws.upkeep.garbage import CARRY_LOCK
from ws.upkeep.rebuilding import Rebuild, rebuilt
from ws.upkeep.sampling import Move, drawn
from ws.upkeep.standing import Standing, standings
from ws.upkeep.strata import Stratum, stratum

TOLERANCE = 1e-5
"""Default tolerance; for log-probabilities in float32, a hundred roundings of 1e-7 each."""


@dataclass(frozen=True)
class Plan:
    """What would be carried, and the sample that decides about it."""

    moves: tuple[Move, ...]
    """All artifacts with another key today, including those that an earlier audit has carried."""
    pending: tuple[Move, ...]
    sample: tuple[Move, ...]
    proven: Mapping[Stratum, str]
    """Strata of which today's code has rebuilt an artifact within the tolerance before, and in which audit."""
    tolerance: float
    seed: int
    cover: str
    """What the sample covers, see `ws.upkeep.strata.COVERS`."""
    reached: int
    """Number of artifacts whose key is unchanged."""
    gone: tuple[Standing, ...]
    """Artifacts without a recipe today."""
    damaged: tuple[Manifest, ...]
    """Artifacts that do not match their manifest, and stay where they are."""
    lost: tuple[Move, ...]
    """Artifacts of models whose files are gone, which stay where they are too."""

    @property
    def id(self) -> str:
        """A name for the audit, computed from its content."""
        named = [sorted((one.manifest.key, one.key) for one in self.moves), self.tolerance, self.seed, self.cover]
        drawn = [one.manifest.key for one in self.sample]
        return hashlib.sha256(json.dumps([named, drawn]).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Finding:
    """How one artifact of the sample compares with what is stored."""

    move: Move
    gaps: tuple[Gap, ...]

    @property
    def largest(self) -> float:
        return max((one.size for one in self.gaps), default=0.0)


def plan(
    store: Store,
    *,
    tolerance: float = TOLERANCE,
    sample: int = 0,
    seed: int = 0,
    cover: str = "combinations",
    is_lost: Callable[[Recipe], bool] = lambda recipe: False,
) -> Plan:
    """The plan for a store; `sample` is the number of artifacts to build again, and more if it takes more to cover all
    that `cover` names. What is lost, since nothing can build it anew, neither is in the sample nor is carried."""
    found = standings(store)
    latest: dict[str, Move] = {}
    damaged = []
    for one in sorted(found, key=lambda it: _age(it.manifest)):
        if one.recipe is None or one.key is None or one.is_reached:
            continue
        if damage(one.manifest.home, one.manifest.key) is not None:
            damaged.append(one.manifest)
        else:
            latest[one.key] = Move(one.manifest, one.recipe, one.key, stratum(one.recipe))
    lost = {key for key, move in latest.items() if is_lost(move.recipe)}
    candidates = sorted((latest[key] for key in latest.keys() - lost), key=lambda move: move.manifest.key)
    there = {move.key: read_manifest(store.home(move.recipe, move.key)) for move in candidates}
    moves = _parted([move for move in candidates if _is_carried(move, there[move.key]) is not False], store)
    proven = dict(_proven(moves, there, tolerance))
    own = [move for move in moves if not move.follows and move.stratum not in proven]
    return Plan(
        tuple(moves),
        tuple(move for move in moves if there[move.key] is None),
        tuple(drawn(own, sample=sample, seed=seed, cover=cover)),
        proven,
        tolerance,
        seed,
        cover,
        sum(one.is_reached for one in found),
        tuple(one for one in found if one.key is None),
        tuple(damaged),
        tuple(latest[key] for key in sorted(lost)),
    )


Each = Callable[[Callable[[Move], None], Sequence[Move]], Iterable[object]]
"""How work is done on each of several artifacts, in this process or in several at once; yields as each is done."""


def audit(store: Store, plan: Plan, *, each: Each = map) -> list[Finding]:
    """Builds the sample again and compares it; what an interrupted audit has built already is only compared."""
    rebuild = Rebuild(store.root, {move.key: move.manifest.home for move in plan.moves})
    missing = [move for move in plan.sample if not rebuilt(store.root, move).exists()]
    # In random order, so that the time of those that are done tells that of those that are left.
    random.Random(plan.seed).shuffle(missing)
    for _ in track(each(rebuild, missing), "building the sample anew", len(missing)):
        pass
    return [
        Finding(move, tuple(gaps(move.manifest.home, rebuilt(store.root, move), move.manifest.said["files"])))
        for move in plan.sample
    ]


def agrees(plan: Plan, findings: Sequence[Finding]) -> bool:
    """Whether the whole sample is within the tolerance."""
    return len(findings) == len(plan.sample) and all(one.largest <= plan.tolerance for one in findings)


def carry(store: Store, plan: Plan, findings: Sequence[Finding]) -> int:
    """Give every artifact its key of today, with the evidence in its manifest; returns how many were carried now."""
    entry = {
        **committed(own_checkout()),
        **{"date": now(), "audit": plan.id, "seed": plan.seed, "cover": plan.cover},
        **{"tolerance": plan.tolerance, "largest_difference": max((one.largest for one in findings), default=0.0)},
        **{"of": len(plan.moves), "sample": len(findings)},
        "strata": len({move.stratum for move in plan.moves if not move.follows}),
        "earlier": sorted({plan.proven[move.stratum] for move in plan.moves if move.stratum in plan.proven}),
    }
    anew = {one.move.manifest.key for one in findings}
    done = sum(
        _carry(store, move, {**entry, "rebuilt": move.manifest.key in anew}) for move in track(plan.pending, "carrying")
    )
    for move in plan.sample:
        shutil.rmtree(rebuilt(store.root, move), ignore_errors=True)
    return done


@contextmanager
def alone(store: Store) -> Iterator[None]:
    """The sole right to carry in a store: a second process waits, and then finds what the first has done."""
    store.root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(store.root / CARRY_LOCK)
    try:
        lock.acquire(timeout=1)
    except Timeout:
        say("waiting for another process that carries in this store")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _carry(store: Store, move: Move, entry: Mapping[str, Any]) -> bool:
    """Whether the artifact was carried just now, and not by another process before."""
    home = store.home(move.recipe, move.key)
    with store.building(move.recipe, move.key):
        if read_manifest(home) is not None:
            return False
        with scratch.folder_for(store.root, move.key) as out:
            for name in move.manifest.said["files"]:
                _link(move.manifest.home / name, out / name)
            write_said(out, _said(store, move, entry))
            move_into_place(out, home)
    return True


def _said(store: Store, move: Move, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest under the new key: the origin of the files is unchanged, what the key is made of is today's."""
    described, inputs = written_down(move.recipe, store.key)
    source = store.source(move.recipe)
    keep_texts(store.root, source, lambda: store.code(move.recipe))
    before = {name: value for name, value in move.manifest.said.items() if name != "fields"}
    today = {"class": named(move.recipe), "key": move.key, "recipe": described, "inputs": inputs, "source": source}
    carried = [*move.manifest.carried, {"from": move.manifest.key, **entry}]
    return before | today | {"versions": versions(), "carried": carried}


def _link(file: Path, link: Path) -> None:
    """The same file under another name; a copy if the disk has no hard links."""
    link.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, link)
    except OSError:
        shutil.copyfile(file, link)


def _parted(moves: Sequence[Move], store: Store) -> list[Move]:
    """The moves, with those marked that only follow their inputs, and those that are not whole."""
    following = Following([(move.manifest, move.recipe) for move in moves], store)
    return [
        replace(
            move,
            follows=following.follows(move.manifest, move.recipe),
            whole=all(map(following.is_stored, inputs_of(move.recipe))),
        )
        for move in moves
    ]


def _is_carried(move: Move, there: Manifest | None) -> bool | None:
    """Whether what lies under today's key is this artifact; None if nothing does."""
    return None if there is None else _carried_from(there) == move.manifest.key


def _proven(
    moves: Sequence[Move], there: Mapping[str, Manifest | None], tolerance: float
) -> Iterator[tuple[Stratum, str]]:
    """The strata of artifacts that an audit built anew, with the code that gives them their keys of today."""
    for move in moves:
        carried = there[move.key]
        if carried is not None:
            entry = carried.carried[-1]
            if entry["rebuilt"] and entry["largest_difference"] <= tolerance:
                yield move.stratum, entry["audit"]


def _carried_from(manifest: Manifest) -> str | None:
    return manifest.carried[-1]["from"] if manifest.carried else None


def _age(manifest: Manifest) -> tuple[str, int]:
    """When an artifact got its key, and how often it was carried, to order carries within one second."""
    return max([manifest.created, *(entry["date"] for entry in manifest.carried)]), len(manifest.carried)
