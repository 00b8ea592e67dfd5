"""The register of claims: what is claimed, by whom, with which figures, and which tests ask it.

A folder of claim tests may hold one, `register.toml`. A table of it, named by the claim's id, reads

    [C05]
    sentence = "DeLoRA spreads furthest, at the price of pmass."
    source = "research journal, 2026-04-26, adapter-family sweep of Qwen3-0.6B"
    [C05.tests]
    "test_families.py::test_delora_spreads_further_than_lora" = "23.85 vs 9.76"

with the figures that each test was published with, or, in place of the tests, `unasked = "why"` and `published`.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeGuard

from ws.errors import DataError

FILE = "register.toml"
"""What a register is called in its folder."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One claim of a register.

    Raises: DataError unless it has either tests or a reason for having none.
    """

    id: str
    sentence: str
    source: str
    tests: Mapping[str, str] = field(default_factory=dict)
    """The published figures of each test, by its place, `test_families.py::test_delora_spreads_further_than_lora`."""
    unasked: str = ""
    """Why no test asks it."""
    published: str = ""
    """The figures of a claim that no test asks."""

    def __post_init__(self) -> None:
        if bool(self.tests) == bool(self.unasked):
            seen = "both tests and unasked" if self.tests else "neither tests nor unasked"
            raise DataError(f"{self.id} has {seen}; expected one: the tests that ask it, or in words why none does")
        if self.tests and self.published:
            raise DataError(f"{self.id} has published beside its tests; give each test its own figures instead")


Register = Mapping[str, Entry]


def read(path: Path) -> Register:
    """The claims of a register by id, in its order.

    Raises: DataError if the file is no TOML, or a claim of it lacks what `Entry` needs or has more.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"the register {path} cannot be read ({error}); restore it, or mend the line") from error
    return {id: _entry(id, table, path) for id, table in tables.items()}


def read_beside(folder: Path) -> Register:
    """The register of a folder of tests; empty if it has none."""
    path = folder / FILE
    return read(path) if path.exists() else {}


def published(register: Register, claim: str, test: str) -> str:
    """The figures that a test of a claim was published with; empty if the register does not list it."""
    return register[claim].tests.get(test, "") if claim in register else ""


def _entry(id: str, table: object, path: Path) -> Entry:
    if not _is_entry(table):
        raise DataError(
            f"{id} in {path} is {table!r}; expected the texts sentence and source, and either tests "
            "(one text of figures each) or unasked and published"
        )
    return Entry(id=id, **table)


def _is_entry(table: object) -> TypeGuard[dict[str, Any]]:
    known = {field.name for field in fields(Entry)} - {"id"}
    if not isinstance(table, dict) or not {"sentence", "source"} <= table.keys() <= known:
        return False
    texts = {**table, **table["tests"]} if isinstance(table.get("tests"), dict) else table
    return all(isinstance(text, str) for name, text in texts.items() if name != "tests" or texts is table)
