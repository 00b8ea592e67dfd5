"""Accounts: what each key is made of, as a store recorded it or as this code computes it."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ws.store import Recipe, Store
from ws.store.manifests import Manifest, read_manifest
from ws.store.origin import versions
from ws.store.texts import kept_texts
from ws.store.written import Json, written_down
from ws.upkeep.recall import RecipeGone, recalled


@dataclass(frozen=True)
class Account:
    """What one key is made of; fields that were not recorded are None."""

    key: str
    recipe: Json
    """In the form of `ws.store.written.written_down`; the manifest of an older store has less."""
    versions: dict[str, str] | None = None
    source: str | None = None
    """The hash of all the code that the recipe reaches."""
    texts: dict[str, str] | None = field(default=None, repr=False)
    """The definitions behind `source` by name."""

    @property
    def kind(self) -> str:
        """The name of the recipe's class, without its module."""
        return self.recipe["class"].rpartition(".")[2]


@dataclass(frozen=True)
class Accounts:
    """The account of a key, and of every input behind it."""

    top: Account
    inputs: Mapping[str, Account]

    def dumped(self) -> str:
        """The accounts as JSON, for another process."""
        return json.dumps(asdict(self))

    @classmethod
    def loaded(cls, text: str) -> "Accounts":
        """The accounts from the JSON of `dumped`."""
        said = json.loads(text)
        return cls(Account(**said["top"]), {key: Account(**one) for key, one in said["inputs"].items()})


def kept_accounts(store: Store, manifest: Manifest) -> Accounts:
    """The accounts that a store recorded for an artifact, and for its inputs as far as the store has them."""
    said = manifest.said
    if "recipe" not in said:
        return _of_older(store, manifest)
    inputs = {key: _kept_input(store.root, key, recipe) for key, recipe in said["inputs"].items()}
    return Accounts(_kept(store.root, manifest, said["recipe"]), inputs)


def _of_older(store: Store, manifest: Manifest) -> Accounts:
    """The accounts from an older manifest, which has the recipe only: its inputs are named by today's keys."""
    said = manifest.said
    try:
        described, inputs = written_down(recalled(said), store.key)
    except RecipeGone:
        described, inputs = {"class": said["class"], "fields": said.get("fields", {})}, {}
    top = Account(manifest.key, described, said.get("versions"))
    return Accounts(top, {key: Account(key, recipe) for key, recipe in inputs.items()})


def accounts_now(store: Store, recipe: Recipe) -> Accounts:
    """The accounts of a recipe and its inputs, as this code computes their keys."""
    recipes: dict[str, Recipe] = {}

    def key(one: Recipe) -> str:
        return _remembered(recipes, store.key(one), one)

    described, inputs = written_down(recipe, key)
    return Accounts(
        _now(store, recipe, described), {name: _now(store, recipes[name], said) for name, said in inputs.items()}
    )


def _remembered(recipes: dict[str, Recipe], key: str, recipe: Recipe) -> str:
    recipes[key] = recipe
    return key


def _now(store: Store, recipe: Recipe, described: Json) -> Account:
    return Account(store.key(recipe), described, versions(), store.source(recipe), store.code(recipe))


def _kept(root: Path, manifest: Manifest, recipe: Json) -> Account:
    source = manifest.said.get("source")
    return Account(manifest.key, recipe, manifest.said.get("versions"), source, kept_texts(root, source))


def _kept_input(root: Path, key: str, recipe: Json) -> Account:
    manifest = read_manifest(root / recipe["class"].rpartition(".")[2] / key)
    return Account(key, recipe) if manifest is None else _kept(root, manifest, recipe)


def main() -> None:
    """Read a manifest from standard input, and print the accounts of its recipe by this code, or why there are none."""
    said: dict[str, Any] = json.load(sys.stdin)
    try:
        answer = accounts_now(Store(Path("store")), recalled(said)).dumped()
    except RecipeGone as gone:
        answer = json.dumps({"gone": str(gone)})
    sys.stdout.write(answer)
