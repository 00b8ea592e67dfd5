"""Writing what a GPU found: the evidence that claims read, packed as for a repository, and a receipt beside it."""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from ws.evidence.folder import INDEX, Evidence
from ws.evidence.pack import Packed, pack
from ws.models.table import weights_of
from ws.receipts.device import Seen
from ws.receipts.receipt import Receipt, write
from ws.store import Recipe, Store
from ws.store.manifests import read_manifest
from ws.store.origin import committed, now, own_checkout, releases
from ws.store.recipes import held_in, values_of
from ws.upkeep.recall import recalled
from ws.upkeep.standing import homes_in


def record(
    folder: Path,
    store: Store,
    asked: Mapping[str, Recipe],
    *,
    model: str,
    on: Seen,
    seconds: float,
    peak_bytes: int,
    seeds: int | None,
    engine: str,
) -> tuple[Receipt, Packed]:
    """Pack these artifacts, by key, as the evidence in a folder, and write its receipt.

    Raises: StoreError, with the folder as it was, if they are more than evidence may be.
    """
    packed = pack(store, asked, folder, model=model)
    receipt = Receipt(
        model=model,
        device="cuda",
        **on._asdict(),
        dtype="float32",
        commit=(code := committed(own_checkout()))["commit"],
        uncommitted=bool(code.get("uncommitted")),
        releases=releases(),
        engine=engine,
        seeds=seeds,
        recorded=now(),
        seconds=seconds,
        peak_bytes=peak_bytes,
        artifacts={key: one.seconds or 0.0 for key, one in sorted(Evidence(folder).records.items())},
        evidence=hashes(folder),
    )
    write(receipt, folder)
    return receipt, packed


def hashes(folder: Path) -> dict[str, str]:
    """The sha256 of the index of evidence and of every part that it names, as they lie there."""
    names = [INDEX, *sorted(Evidence(folder).index)]
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def asked_by_key(store: Store, keys: Iterable[str]) -> dict[str, Recipe]:
    """The recipes of artifacts of a store that other processes asked for, made again from their manifests."""
    wanted, found = set(keys), {}
    for home in homes_in(store.root):
        if home.name in wanted and (manifest := read_manifest(home)) is not None:
            found[home.name] = recalled(manifest.said)
    return found


def of_model(asked: Mapping[str, Recipe], model: str) -> dict[str, Recipe]:
    """Those of the artifacts that rest on a model's weights."""
    weights = weights_of(model)

    @cache
    def rests(recipe: Recipe) -> bool:
        held = [inner for value in values_of(recipe).values() for inner in held_in(value)]
        return any(inner == weights or (isinstance(inner, Recipe) and rests(inner)) for inner in held)

    return {key: recipe for key, recipe in asked.items() if rests(recipe)}
