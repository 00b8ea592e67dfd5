"""Which of the artifacts that are to be carried an audit builds anew."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ws.store import Recipe
from ws.store.manifests import Manifest
from ws.upkeep.strata import COVERS, Stratum


@dataclass(frozen=True)
class Move:
    """An artifact whose recipe has another key today."""

    manifest: Manifest
    recipe: Recipe
    key: str
    """Today's key."""
    stratum: Stratum
    follows: bool = False
    """Whether only the keys of its inputs moved its own."""
    whole: bool = True
    """Whether all that it is made of is stored, so that nothing else has to be built to build it."""


def drawn(moves: Sequence[Move], *, sample: int, seed: int, cover: str = "combinations") -> list[Move]:
    """One random artifact of all that `cover` names, a whole one if there is one, and random others until there are
    `sample`."""
    chance = random.Random(seed)
    found: list[Move] = []
    for named_by in COVERS[cover]:
        covered = {named_by(move.stratum) for move in found}
        groups: dict[Any, list[Move]] = {}
        for move in moves:
            groups.setdefault(named_by(move.stratum), []).append(move)
        found += [chance.choice(_whole_first(groups[name])) for name in sorted(groups.keys() - covered)]
    taken = {move.manifest.key for move in found}
    others = [move for move in moves if move.manifest.key not in taken]
    return found + chance.sample(others, min(len(others), max(0, sample - len(found))))


def _whole_first(moves: Sequence[Move]) -> Sequence[Move]:
    return [move for move in moves if move.whole] or moves
