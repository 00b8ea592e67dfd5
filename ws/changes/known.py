"""What evidence and stores say of keys: the recipe behind each, its inputs, and where and by what it was made."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from json import dumps
from pathlib import Path
from typing import Any

from ws.evidence.folder import Evidence
from ws.evidence.records import Kept
from ws.store.manifests import Manifest, read_manifest
from ws.store.origin import KEYED
from ws.store.texts import kept_texts
from ws.store.written import Json
from ws.upkeep.accounts import Account, Accounts
from ws.upkeep.standing import KEY


@dataclass
class Known:
    """Accounts of keys, wherever they are found. A key says itself what it is of, so any source is as good."""

    evidence: tuple[Evidence, ...] = ()
    stores: tuple[Path, ...] = ()
    _records: dict[tuple[int, str], Mapping[str, Kept]] = field(default_factory=dict)
    _found: dict[str, Accounts | None] = field(default_factory=dict)
    _digests: dict[str, str] = field(default_factory=dict)
    _accounts: dict[str, Account] = field(default_factory=dict)
    _texts: dict[str, dict[str, str] | None] = field(default_factory=dict)

    def accounts(self, key: str) -> Accounts | None:
        """What is known of a key and of its inputs; None if nothing is."""
        if key not in self._found:
            self._found[key] = self._of_store(key) or self._of_evidence(key)
        return self._found[key]

    def kept(self, key: str) -> Kept | None:
        """The record of evidence that has a key as one of its artifacts."""
        return next((records[key] for records in self._having(key)), None)

    def phrase(self, key: str) -> str:
        """What an artifact is, in words; empty if evidence does not say."""
        found = self.kept(key)
        return found.phrase if found else ""

    def seconds(self, key: str) -> float | None:
        """How long an artifact took to build, without its inputs; None if nobody says."""
        there = self.manifest(key)
        if there is not None:
            return there.seconds
        found = (records[key].seconds for records in self._records.values() if key in records)
        return next((one for one in found if one is not None), None)

    def digest(self, accounts: Accounts) -> str:
        """A hash of a recipe with all its inputs, which two keys share if only code or versions tell them apart."""
        return self._digest(accounts.top.recipe, accounts, accounts.top.key)

    def _digest(self, recipe: Json, accounts: Accounts, key: str) -> str:
        if key not in self._digests:
            self._digests[key] = sha256(dumps(self._expanded(recipe, accounts), sort_keys=True).encode()).hexdigest()
        return self._digests[key]

    def _expanded(self, said: Any, accounts: Accounts) -> Any:
        match said:
            case {"input": str(key)} if key in accounts.inputs:
                return {"input": self._digest(accounts.inputs[key].recipe, accounts, key)}
            case {"class": str(name), **rest}:
                # Where a class stands is in no key.
                return {
                    "class": name.rpartition(".")[2],
                    **{one: self._expanded(it, accounts) for one, it in rest.items()},
                }
            case dict():
                return {one: self._expanded(it, accounts) for one, it in said.items()}
            case list():
                return [self._expanded(it, accounts) for it in said]
            case _:
                return said

    def with_code(self, account: Account) -> Account:
        """The account with the definitions behind it, if a store has them; each text is read once."""
        if account.source is None or account.texts is not None:
            return account
        if account.source not in self._texts:
            found = (kept_texts(root, account.source) for root in self.stores)
            self._texts[account.source] = next(filter(None, found), None)
        return replace(account, texts=self._texts[account.source])

    def _of_store(self, key: str) -> Accounts | None:
        manifest = self.manifest(key)
        # A manifest of an older store has no inputs; only running today's code would tell them.
        if manifest is None or "recipe" not in manifest.said:
            return None
        inputs = {one: self._stored(one, recipe) for one, recipe in manifest.said["inputs"].items()}
        return Accounts(self._stored(key, manifest.said["recipe"]), inputs)

    def _stored(self, key: str, recipe: Json) -> Account:
        if key not in self._accounts:
            there = self.manifest(key)
            said = {} if there is None else there.said
            self._accounts[key] = Account(key, recipe, said.get("versions"), said.get("source"))
        return self._accounts[key]

    def manifest(self, key: str) -> Manifest | None:
        """The manifest of an artifact that a store has."""
        return next(filter(None, map(read_manifest, self._homes.get(key, ()))), None)

    @cached_property
    def _homes(self) -> Mapping[str, list[Path]]:
        """The folders of every key, which asking each kind of each store for one key would find far slower."""
        found: dict[str, list[Path]] = {}
        for root in self.stores:
            for kind in (one for one in root.iterdir() if one.is_dir()):
                for name in filter(KEY.fullmatch, os.listdir(kind)):
                    found.setdefault(name, []).append(kind / name)
        return found

    def _of_evidence(self, key: str) -> Accounts | None:
        for records in self._having(key):
            inputs = {one: _account(records[one]) for one in _behind(records[key].recipe, records)}
            return Accounts(_account(records[key]), inputs)
        return None

    def _having(self, key: str) -> Iterable[Mapping[str, Kept]]:
        for number, evidence in enumerate(self.evidence):
            if key not in evidence.records:
                continue
            part = next(iter(evidence.records[key].files.values())).partition("/")[0]
            if (number, part) not in self._records:
                self._records[number, part] = {one.key: one for one in evidence.group(part, recipes=True)}
            if key in self._records[number, part]:
                yield self._records[number, part]


def origin_of(known: Known, key: str) -> Mapping[str, Any]:
    """Commit, machine and releases of an artifact, as its record says; empty if that is not known."""
    found = known.kept(key)
    if found is not None:
        return found.made.get("origin", {})
    there = known.manifest(key)
    return {} if there is None else there.said.get("origin", {})


def _account(kept: Kept) -> Account:
    """The account of an artifact as evidence has it, which keeps neither code nor, of what was carried, versions."""
    releases = {} if kept.made.get("carried") else kept.made.get("origin", {}).get("releases", {})
    whole = all(name in releases for name in KEYED)
    versions = {name: ".".join(releases[name].split(".")[:2]) for name in KEYED} if whole else None
    return Account(kept.key, kept.recipe, versions)


def _behind(recipe: Any, records: Mapping[str, Kept]) -> list[str]:
    """The keys of all inputs of a recipe that records have, and of their inputs."""
    found: dict[str, None] = {}
    open_ = list(_inputs(recipe))
    while open_:
        key = open_.pop()
        if key not in found and key in records:
            found[key] = None
            open_ += _inputs(records[key].recipe)
    return list(found)


def _inputs(said: Any) -> Iterable[str]:
    match said:
        case {"input": str(key)}:
            return [key]
        case dict():
            return [key for value in said.values() for key in _inputs(value)]
        case list():
            return [key for value in said for key in _inputs(value)]
        case _:
            return []
