"""How far the top directions of several updates agree, on the left and on the right side, compared with chance.

Proposed in the journal and never run ("lens search on hold", 2026-04-27): the one weight-space test that does not
depend on a family's parameters. The journal warns that families that start from the same random A (lora, dora and
delora of one seed) share input directions before they have learnt anything, so compare different seeds, or left sides
only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain, combinations
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from ws.delta.update import Update
from ws.delta.weight_delta import WeightDelta
from ws.engine.loading import loaded
from ws.errors import MismatchError, ShapeError
from ws.lenses.chance import ALL, Chance, Random, chance
from ws.lenses.modules import kind_of, layer_of
from ws.store import Recipe, Store
from ws.store.progress import track
from ws.store.tables import read_table
from ws.training.direction import Direction, direction_delta

Sides = tuple[Float[Tensor, "_ k"], Float[Tensor, "_ k"]]


def principal_cosines(a: Float[Tensor, "d k"], b: Float[Tensor, "d l"]) -> Float[Tensor, " m"]:
    """Cosines of the principal angles between the spans of two orthonormal bases, falling."""
    return torch.linalg.svdvals(a.T @ b).clamp(max=1.0)


def overlap(a: Float[Tensor, "d k"], b: Float[Tensor, "d l"]) -> float:
    """|A^T B|^2 / min(k, l): 1 if one span holds the other, 0 if they are orthogonal (journal, subspace overlap)."""
    return ((a.T @ b).square().sum() / min(a.shape[1], b.shape[1])).item()


@cache
def overlap_by_chance(k: int, *, d: int) -> Chance:
    """The overlap of two random subspaces of k directions among d: mean k / d and standard deviation."""
    return chance(torch.ones(k), left=Random(k, d), right=ALL)


def overlaps(deltas: Mapping[str, WeightDelta], k: int) -> pd.DataFrame:
    """The overlap of every two updates' top k singular directions, a row per pair, tensor and side.

    Columns: first, second, tensor, layer, kind, side (left: outputs, right: inputs), k, width, overlap, chance,
    chance_sd, z (standard deviations above chance) and angle, the smallest principal angle in degrees.
    Raises: MismatchError for less than two updates or updates of different tensors; ShapeError if k is more than the
    rank of one of them.
    """
    if len(deltas) < 2:
        raise MismatchError(f"the overlap of {list(deltas)}; expected two updates or more")
    return _table({name: _tops(name, delta, k) for name, delta in deltas.items()}, combinations(deltas, 2), k)


@dataclass(frozen=True)
class Overlaps(Recipe):
    """`overlaps.parquet`: the table of `overlaps` for these pairs of directions.

    The columns first and second hold names made by `overlap_name`.
    """

    pairs: tuple[tuple[Direction, Direction], ...]
    k: int

    def __post_init__(self) -> None:
        if not self.pairs:
            raise MismatchError("the overlaps of no pairs of directions; expected one pair or more")

    def describe(self) -> str:
        return f"top {self.k} of {len(self.pairs)} pairs of directions on {self.pairs[0][0].on.describe()}"

    def build(self, out: Path, store: Store) -> None:
        lm = loaded(self.pairs[0][0].on, store)
        tops: dict[str, dict[str, Sides]] = {}
        for one in track(list(dict.fromkeys(chain.from_iterable(self.pairs))), f"read {self.describe()}"):
            name = overlap_name(one)
            tops[name] = _tops(name, direction_delta(one, lm, store), self.k)
        named = ((overlap_name(first), overlap_name(second)) for first, second in self.pairs)
        _table(tops, named, self.k).to_parquet(out / "overlaps.parquet")


def overlap_name(direction: Direction) -> str:
    """A direction's name in a table of overlaps: lora/0, or random lora/0 for its random control."""
    kind = "" if direction.random_seed is None else "random "
    return f"{kind}{direction.plus.shape.family}/{direction.plus.seed}"


@lru_cache(maxsize=8)
def read_overlaps(store: Store, recipe: Overlaps) -> pd.DataFrame:
    """The table of a recipe's pairs of directions, with their seeds in first_seed and second_seed.

    Read once a process; whoever asks must leave the table as it is.
    """
    table = read_table(store.get(recipe) / "overlaps.parquet")
    # A few names stand in thousands of lines, so each is taken apart once.
    for side in ("first", "second"):
        places, names = pd.factorize(table[side])
        parts = [name.rpartition("/") for name in names]
        families = pd.Categorical([family for family, _, _ in parts])
        table[side], table[f"{side}_seed"] = families[places], np.array([int(seed) for _, _, seed in parts])[places]
    return table


def _table(tops: Mapping[str, Mapping[str, Sides]], pairs: Iterable[tuple[str, str]], k: int) -> pd.DataFrame:
    rows = [
        {"first": first, "second": second, **row}
        for first, second in pairs
        for row in _pair(first, tops[first], second, tops[second], k)
    ]
    return pd.DataFrame(rows)


def _tops(name: str, delta: WeightDelta, k: int) -> dict[str, Sides]:
    return {path: _top(f"{path} of {name}", update, k) for path, update in delta.tensors.items()}


def _top(name: str, update: Update, k: int) -> Sides:
    spectrum = update.svd()
    if not 1 <= k <= spectrum.rank:
        raise ShapeError(
            f"K = {k} directions of {name}, which has rank {spectrum.rank}; choose K from 1 to that, or train wider"
        )
    # Copies, as a view would keep all directions in memory.
    return spectrum.left[:, :k].clone(), spectrum.right[:k].T.clone()


def _pair(
    first: str, mine: Mapping[str, Sides], second: str, its: Mapping[str, Sides], k: int
) -> list[dict[str, object]]:
    if mine.keys() != its.keys():
        raise MismatchError(
            f"{first} and {second} are updates of different tensors; train them from one recipe, on one model"
        )
    return [
        {"tensor": path, "layer": layer_of(path), "kind": kind_of(path), "side": side, **_row(a, b, k)}
        for path in mine
        for side, a, b in zip(("left", "right"), mine[path], its[path], strict=True)
    ]


def _row(a: Float[Tensor, "d k"], b: Float[Tensor, "d k"], k: int) -> dict[str, int | float]:
    width, seen = len(a), overlap(a, b)
    null = overlap_by_chance(k, d=width)
    return {
        "k": k,
        "width": width,
        "overlap": seen,
        "chance": null.mean,
        "chance_sd": null.sd,
        "z": (seen - null.mean) / null.sd if null.sd else float("nan"),
        "angle": principal_cosines(a, b)[0].acos().rad2deg().item(),
    }
