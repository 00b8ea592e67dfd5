"""Judging what a GPU found, where there is none: a receipt is held against its evidence and against today's code."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ws.errors import StoreError
from ws.evidence.folder import INDEX, MOST_OF_PART, Evidence
from ws.evidence.records import Kept, Recipes
from ws.evidence.supply import EvidenceSupply
from ws.files.opening import content
from ws.receipts import receipt as receipts
from ws.receipts.receipt import FILE, Receipt
from ws.store import Recipe, Store
from ws.upkeep.recall import RecipeGone

AGAIN = "record the receipt again with `pytest --gpu`"


class JudgingStore(Store):
    """A store that has what receipts came with, and builds nothing."""

    @contextmanager
    def building(self, recipe: Recipe, key: str) -> Iterator[None]:
        """Raises: StoreError for what the receipts lack."""
        if not any(supply.has(key) for supply in self.supplies):
            raise StoreError(
                f"no receipt has {recipe.describe()} (key {key}), and nothing is built to judge one; choose the cases "
                f"that it was recorded for, or {AGAIN}"
            )
        with super().building(recipe, key):
            yield


def found(folder: Path) -> dict[Path, Receipt]:
    """The receipts in a folder, one a model, by the folder of their evidence.

    Raises: StoreError if there is none, one is no receipt, or two are of one model.
    """
    files = sorted(folder.glob(f"*/{FILE}"))
    if not files:
        raise StoreError(f"{folder} has no receipt: expected {folder.name}/MODEL/{FILE}, as `pytest --gpu` writes it")
    read = {file.parent: receipts.read(file) for file in files}
    names = [one.model for one in read.values()]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise StoreError(f"{folder} has two receipts of {twice[0]}; keep one")
    return read


def store_of(folders: Mapping[Path, Receipt], root: Path) -> JudgingStore:
    """A store of what these receipts came with alone: apart from what else a machine has built."""
    said = hashlib.sha256("".join(sorted(map(repr, folders.values()))).encode()).hexdigest()
    supplies = [EvidenceSupply(Evidence(folder)) for folder in folders]
    return JudgingStore(root / "receipts" / "judged" / said[:16], supplies=supplies)


def check(folder: Path, receipt: Receipt, store: Store) -> None:
    """Hold a receipt against its evidence and against the code that runs.

    Raises: StoreError naming what does not fit.
    """
    check_evidence(folder, receipt)
    evidence = Evidence(folder)
    kept = {one.key: one for group in evidence.groups for one in evidence.group(group, recipes=True)}
    held = {key for key, one in kept.items() if one.files}
    if odd := sorted(held ^ receipt.artifacts.keys()):
        where = "evidence, and not in the receipt" if odd[0] in held else "receipt, and not in the evidence"
        raise StoreError(f"{folder}: the artifact {odd[0]} is in the {where}; they do not belong together, so {AGAIN}")
    recipes = Recipes(kept.values())
    for key in sorted(held):
        check_code(folder, receipt, kept[key], recipes, store)


def check_evidence(folder: Path, receipt: Receipt) -> None:
    """Raises: StoreError naming a file of the evidence that is missing, other than the receipt says, or not in it."""
    there = {INDEX, *(path.relative_to(folder).as_posix() for path in folder.glob("*/*") if not path.is_dir())}
    for name in sorted(there | receipt.evidence.keys()):
        path = folder / name
        if name not in receipt.evidence:
            raise StoreError(f"{path} is not in the receipt beside it; remove it, or {AGAIN}")
        if path.is_symlink() or path.parent.is_symlink() or not path.is_file():
            raise StoreError(f"{path} is in the receipt, and missing; fetch it again, or {AGAIN}")
        found = content(path, most=MOST_OF_PART, what="a part of evidence", refuse=StoreError)
        if (seen := hashlib.sha256(found).hexdigest()) != receipt.evidence[name]:
            said = f"{path} has sha256 {seen[:12]}..., the receipt says {receipt.evidence[name][:12]}..."
            raise StoreError(f"{said}; fetch it again, or {AGAIN}")


def check_code(folder: Path, receipt: Receipt, one: Kept, recipes: Recipes, store: Store) -> None:
    """Raises: StoreError if today's code makes an artifact of another key from the same recipe, or none."""
    try:
        today = store.key(recipes.recipe(one.key))
    except RecipeGone as gone:
        today = f"none ({gone})"
    if today != one.key:
        made = f"commit {receipt.commit}" if receipt.commit else "code without a commit"
        raise StoreError(
            f"the receipt in {folder} was made by other code, {made}: {one.phrase} had the key {one.key}, and has "
            f"{today} today; check that commit out to judge it, or {AGAIN}"
        )
