"""The published schema of results, and whether a value is what it asks for.

`schema.json` is JSON Schema of the draft 2020-12. What is written follows it, and what is read is held against it, with
the words of it that are used there.
"""

import json
import math
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

Asked = Mapping[str, Any]
"""A schema, or a part of one."""

KINDS: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}


def text() -> str:
    """The schema as it is published."""
    return files(__package__).joinpath("schema.json").read_text(encoding="utf-8")


@cache
def schema() -> Asked:
    """The schema of a document, with what it refers to in place of each reference."""
    asked = json.loads(text())
    return _resolved(asked, asked["$defs"])


def _resolved(part: Any, defs: Asked) -> Any:
    if isinstance(part, list):
        return [_resolved(one, defs) for one in part]
    if not isinstance(part, dict):
        return part
    said = {name: _resolved(one, defs) for name, one in part.items() if name != "$ref"}
    return {**_resolved(defs[part["$ref"].removeprefix("#/$defs/")], defs), **said} if "$ref" in part else said


def format_name() -> str:
    """What a document says it is."""
    return schema()["properties"]["format"]["const"]


def version() -> int:
    """The version of the schema, which every document and every verdict in it names."""
    return schema()["properties"]["version"]["const"]


def verdict_schema() -> Asked:
    """The schema of one verdict."""
    return schema()["$defs"]["verdict"]


def kinds(asked: Asked) -> list[str]:
    """The types that a value may have."""
    said = asked.get("type")
    if said is None:
        choices = asked["enum"] if "enum" in asked else [asked["const"]]
        return sorted({"integer" if isinstance(one, int) else "string" for one in choices})
    return [said] if isinstance(said, str) else list(said)


def faults(value: object, asked: Asked, at: str) -> Iterator[str]:
    """In words, where a value is not what the schema asks for; `at` names the value."""
    if not any(_is(value, kind) for kind in kinds(asked)):
        yield f"{at} is {_shown(value)}; expected {' or '.join(kinds(asked))}"
    elif "const" in asked and value != asked["const"]:
        yield f"{at} is {_shown(value)}; expected {json.dumps(asked['const'])}"
    elif "enum" in asked and value not in asked["enum"]:
        yield f"{at} is {_shown(value)}; expected one of {', '.join(asked['enum'])}"
    elif isinstance(value, dict):
        yield from _of_object(value, asked, at)
    elif isinstance(value, list):
        least, most = asked.get("minItems", 0), asked.get("maxItems", math.inf)
        if not least <= len(value) <= most:
            yield f"{at} has {len(value)} items; expected {least}"
        for place, one in enumerate(value):
            yield from faults(one, asked["items"], f"{at}[{place}]")


def _of_object(value: Mapping[str, object], asked: Asked, at: str) -> Iterator[str]:
    known = asked["properties"]
    yield from (f"{at} lacks {name!r}" for name in asked["required"] if name not in value)
    yield from (f"{at} has {name!r}, which version {version()} does not know" for name in value if name not in known)
    for name, one in value.items():
        if name in known:
            yield from faults(one, known[name], f"{at}.{name}")


def _is(value: object, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, KINDS[kind]) and not (isinstance(value, float) and not math.isfinite(value))


def _shown(value: object) -> str:
    said = json.dumps(value, default=repr)
    return said if len(said) <= 60 else f"{said[:57]}..."
