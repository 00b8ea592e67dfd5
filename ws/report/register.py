"""The register of claims: what is claimed, by whom, with which figures, and which tests ask it.

A folder of claim tests may hold a register, `register.toml`. It has a table for each claim, named by its id:

    [C05]
    sentence = "DeLoRA spreads furthest, at the price of pmass."
    source = "research journal, 2026-04-26, adapter-family sweep of Qwen3-0.6B"
    [C05.tests]
    "test_families.py::test_delora_spreads_further_than_lora" = "23.85 vs 9.76"

Each test has the figures that were published for what it asks. A claim that no test asks has `unasked = "why"` and
`published` in place of the tests.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeGuard

from ws.errors import DataError
from ws.files.notation import Unreadable
from ws.files.opening import content
from ws.files.showing import brief
from ws.files.toml import parsed_toml

FILE = "register.toml"
"""The file name of a register."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One claim of a register.

    Raises: DataError unless it has either tests or a reason for having none.
    """

    id: str
    sentence: str
    source: str
    tests: Mapping[str, str] = field(default_factory=dict)
    """The published figures of each test, by file and name: `test_families.py::test_delora_spreads_further...`."""
    unasked: str = ""
    """Why no test asks the claim."""
    published: str = ""
    """The published figures, if no test asks the claim."""

    def __post_init__(self) -> None:
        if bool(self.tests) == bool(self.unasked):
            seen = "both tests and unasked" if self.tests else "neither tests nor unasked"
            raise DataError(f"{self.id} has {seen}; expected one: the tests that ask it, or in words why none does")
        if self.tests and self.published:
            raise DataError(f"{self.id} has published beside its tests; give each test its own figures instead")


MOST_BYTES = 1 << 20
"""The largest register."""

Register = Mapping[str, Entry]


def read(path: Path) -> Register:
    """The claims of a register by id, in its order.

    Raises: DataError if the file is no TOML, or a claim in it lacks a field of `Entry` or has an unknown one.
    """
    text = content(path, most=MOST_BYTES, what="a register of claims in TOML", refuse=DataError)
    try:
        tables = parsed_toml(text)
    except Unreadable as error:
        line = f"line {error.line}: " if error.line else ""
        raise DataError(f"the register {path} cannot be read ({line}{error.said}); restore it, or mend it") from error
    return {id: _entry(id, table, path) for id, table in tables.items()}


def read_beside(folder: Path) -> Register:
    """The register of a folder of tests; empty if it has none."""
    path = folder / FILE
    return read(path) if path.exists() else {}


def published(register: Register, claim: str, test: str) -> str:
    """The published figures for a test of a claim; empty if the register does not list the test."""
    return register[claim].tests.get(test, "") if claim in register else ""


def _entry(id: str, table: object, path: Path) -> Entry:
    if not _is_entry(table):
        raise DataError(
            f"{id} in {path} is {brief(table)}; expected the texts sentence and source, and either tests "
            "(one text of figures each) or unasked and published"
        )
    return Entry(id=id, **table)


def _is_entry(table: object) -> TypeGuard[dict[str, Any]]:
    known = {field.name for field in fields(Entry)} - {"id"}
    if not isinstance(table, dict) or not {"sentence", "source"} <= table.keys() <= known:
        return False
    texts = {**table, **table["tests"]} if isinstance(table.get("tests"), dict) else table
    return all(isinstance(text, str) for name, text in texts.items() if name != "tests" or texts is table)
