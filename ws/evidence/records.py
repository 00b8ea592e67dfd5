"""What evidence says of each artifact: which it is, which files it has, where, when and from what it was made."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ws.evidence.tables import LEVEL
from ws.files.notation import parsed
from ws.files.showing import brief
from ws.store import Recipe
from ws.store.manifests import condensed
from ws.store.written import Json
from ws.upkeep.recall import Recalling

MADE = ("origin", "created", "seconds", "notes", "carried")
"""What evidence takes over from an artifact's manifest."""

SHA256 = "sha256"
"""In what is said of how an input was made: the sha256 of each of its files."""

PAGE_BYTES = 64 << 20
"""Recipes of one class differ in a few words: within one page that costs almost nothing."""

COLUMNS = ("key", "made_by", "phrase", "made", "files", "recipe")


@dataclass(frozen=True)
class Kept:
    """One artifact of the evidence, or an input of one, whose files the evidence does not have."""

    key: str
    made_by: str
    """The name of the recipe's class, with its module."""
    phrase: str
    """What it is, in words."""
    made: Mapping[str, Any]
    """What the manifest said of how it was made; empty for an input that was no longer there."""
    files: Mapping[str, str]
    """For each of the artifact's files, the part that it is in; none for an input."""
    recipe: Json

    @property
    def kind(self) -> str:
        """The name of the recipe's class."""
        return self.made_by.rpartition(".")[2]

    @property
    def seconds(self) -> float | None:
        """How long it took to build, without its inputs; None if that is not known."""
        return self.made.get("seconds")


def write_records(records: Iterable[Kept], file: Path) -> None:
    """Write records in the order of their keys."""
    ordered = sorted(records, key=lambda one: one.key)
    columns = {name: [_plain(getattr(one, name)) for one in ordered] for name in COLUMNS}
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    pq.write_table(
        table,
        file,
        compression="zstd",
        compression_level=LEVEL,
        use_dictionary=["made_by", "made", "files"],
        data_page_size=PAGE_BYTES,
        row_group_size=max(1, table.num_rows),
        write_statistics=False,
    )


def read_records(file: pa.NativeFile, *, recipes: bool) -> list[Kept]:
    """The records of a file; without the recipes, which are most of it, unless asked for.

    Raises: ArrowInvalid, KeyError or ValueError for a file of another kind.
    """
    wanted = [name for name in COLUMNS if recipes or name != "recipe"]
    return [_kept(row) for row in pq.read_table(file, columns=wanted).to_pylist()]


def _kept(row: Mapping[str, Any]) -> Kept:
    """The record of a row. Raises: ValueError or KeyError for values of another kind."""
    key, made_by, phrase = texts = [row[name] for name in COLUMNS[:3]]
    said = [row.get(name, "{}") for name in COLUMNS[3:]]
    if not all(isinstance(one, str) for one in (*texts, *said)):
        raise ValueError("a record lacks a value")
    made, files, recipe = (parsed(one.encode()) for one in said)
    if not all(isinstance(one, dict) for one in (made, files, recipe)):
        raise ValueError(f"the record of {brief(key)} has no objects in {', '.join(COLUMNS[3:])}")
    if not all(isinstance(part, str) for part in files.values()):
        raise ValueError(f"the record of {brief(key)} names a part that is no text")
    return Kept(key, made_by, phrase, condensed(made), files, recipe)


class Recipes(Mapping[str, Json]):
    """The recipes of records by key, in the form that they are kept in."""

    def __init__(self, records: Iterable[Kept]) -> None:
        self._records = {one.key: one for one in records}
        self._recalling = Recalling(self)

    def __getitem__(self, key: str) -> Json:
        return self._records[key].recipe

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def recipe(self, key: str) -> Recipe:
        """The recipe of a key, made with today's classes. Raises: RecipeGone if they cannot make it."""
        return self._recalling.recipe({"class": self._records[key].made_by, "recipe": self[key]})


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
