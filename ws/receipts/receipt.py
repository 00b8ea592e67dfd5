"""A receipt: on what device evidence was made, by which code, and the sha256 of every part of it. Nothing personal."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ws.errors import StoreError
from ws.files.notation import read_json

FILE = "receipt.json"
FORM = 1
"""Another number is another form, which this code cannot read."""

MOST_BYTES = 8 << 20
"""Of a receipt; one of 20,000 artifacts has 1 MB."""

HASH, KEY = "^[0-9a-f]{64}$", "^[0-9a-f]{32}$"

Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "maxLength": 500}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number", "minimum": 0}


def _each(values: Schema, names: str) -> Schema:
    return {"type": "object", "patternProperties": {names: values}, "additionalProperties": False}


FIELDS: dict[str, Schema] = {
    "form": {"const": FORM},
    "model": TEXT,
    "device": {"enum": ["cuda"]},
    "device_name": TEXT,
    "capability": TEXT,
    "device_bytes": COUNT,
    "driver": TEXT,
    "cuda": TEXT,
    "dtype": {"enum": ["float32"]},
    "commit": {"type": ["string", "null"], "pattern": "^[0-9a-f]{40}$"},
    "uncommitted": {"type": "boolean"},
    "releases": _each(TEXT, "^[a-z_]+$"),
    "engine": {"enum": ["native", "peft"]},
    "seeds": {"type": ["integer", "null"], "minimum": 1},
    "recorded": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$"},
    "seconds": NUMBER,
    "peak_bytes": COUNT,
    "artifacts": _each(NUMBER, KEY),
    "evidence": _each({"type": "string", "pattern": HASH}, r"^[\w-][\w.-]*(/[\w-][\w.-]*)?$"),
}
"""What each field holds, as JSON Schema says it."""


@dataclass(frozen=True)
class Receipt:
    """What is said of one model's evidence."""

    model: str
    device: str
    device_name: str
    capability: str
    device_bytes: int
    """Memory of the device."""
    driver: str
    cuda: str
    """The release of CUDA that torch was built with."""
    dtype: str
    """What the model computed in."""
    commit: str | None
    """Of the code; None if it was no checkout."""
    uncommitted: bool
    releases: Mapping[str, str]
    engine: str
    seeds: int | None
    """How many seeds the run chose; None if it left that to the table of models."""
    recorded: str
    """When, in UTC."""
    seconds: float
    """How long the run took."""
    peak_bytes: int
    """The most memory of one device that tensors took at once."""
    artifacts: Mapping[str, float]
    """By key, in how many seconds each artifact of the evidence was built, without its inputs."""
    evidence: Mapping[str, str]
    """The sha256 of each file of the evidence."""
    form: int = FORM

    def describe(self) -> str:
        """A line for people."""
        code = "code without a commit" if self.commit is None else f"commit {self.commit[:12]}"
        return (
            f"{self.model} on {self.device_name} (driver {self.driver}), {self.recorded[:10]}, "
            f"{code}{' with changes' if self.uncommitted else ''}: {len(self.artifacts)} artifacts"
        )


def schema() -> Schema:
    """The JSON Schema of a receipt."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Receipt of evidence that a GPU made",
        "type": "object",
        "properties": FIELDS,
        "required": list(FIELDS),
        "additionalProperties": False,
    }


def write(receipt: Receipt, folder: Path) -> Path:
    """Write a receipt beside its evidence."""
    said = asdict(receipt)
    (folder / FILE).write_text(json.dumps({name: said[name] for name in FIELDS}, indent=1) + "\n", encoding="utf-8")
    return folder / FILE


def read(file: Path) -> Receipt:
    """A receipt from somewhere else. Raises: StoreError naming what it holds that no receipt does."""
    said = read_json(file, what="a receipt", refuse=StoreError, most=MOST_BYTES, advice="record it again")
    if isinstance(said, dict) and said.get("form") != FORM:
        raise StoreError(f"{file} has form {said.get('form')!r}, where this version reads {FORM}; record it again")
    if (fault := mistake(said, schema())) is not None:
        raise StoreError(f"{file} is no receipt: {fault}; expected what `pytest --gpu` writes; record it again")
    return Receipt(**{field.name: said[field.name] for field in fields(Receipt)})


TYPES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: not isinstance(value, bool) and isinstance(value, int | float) and value % 1 == 0,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}


def mistake(value: Any, wanted: Schema, place: str = "it") -> str | None:
    """The first thing in a value that a schema refuses, in words; the parts of JSON Schema that FIELDS uses."""
    kinds = wanted.get("type", [])
    if kinds and not any(TYPES[kind](value) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return f"{place} is {_shown(value)}, expected {kinds if isinstance(kinds, str) else ' or '.join(kinds)}"
    for allowed in ([wanted["const"]] if "const" in wanted else [], wanted.get("enum", [])):
        if allowed and not any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in allowed):
            return f"{place} is {_shown(value)}, expected {' or '.join(map(repr, allowed))}"
    if isinstance(value, str):
        if len(value) > wanted.get("maxLength", MOST_BYTES) or not re.search(wanted.get("pattern", ""), value):
            return f"{place} is {_shown(value)}, which no receipt says there"
    elif isinstance(value, dict):
        return _mistake_inside(value, wanted, place)
    elif value is not None and not isinstance(value, bool) and not wanted.get("minimum", value) <= value < float("inf"):
        return f"{place} is {_shown(value)}, expected a number from {wanted['minimum']} on"
    return None


def _mistake_inside(value: dict[str, Any], wanted: Schema, place: str) -> str | None:
    if missing := [name for name in wanted.get("required", []) if name not in value]:
        return f"{place} lacks {missing[0]!r}"
    for name, inner in value.items():
        patterns = [one for pattern, one in wanted.get("patternProperties", {}).items() if re.search(pattern, name)]
        known = wanted.get("properties", {}).get(name) or next(iter(patterns), None)
        if known is None:
            return f"{place} has {_shown(name)}, which no receipt has"
        if fault := mistake(inner, known, name if place == "it" else f"{place} {name}"):
            return fault
    return None


def _shown(value: Any) -> str:
    return repr(value)[:80]
