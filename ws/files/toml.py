"""TOML that somebody else wrote, read within the bounds of `ws.files.notation`."""

import re
import tomllib
from typing import Any

from ws.files.notation import MOST_DEPTH, Unreadable, decoded, nesting
from ws.files.showing import brief_line

DOTTED = re.compile(rf"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{MOST_DEPTH}}}""")
"""A key that leads through so many tables."""


def parsed_toml(text: bytes) -> dict[str, Any]:
    """The table that a text of TOML holds. Raises: Unreadable if it is none, or nested too deep."""
    said = decoded(text)
    if nesting(text) > MOST_DEPTH or DOTTED.search(said):
        raise Unreadable(f"tables or lists are nested more than {MOST_DEPTH} deep")
    try:
        return tomllib.loads(said)
    except tomllib.TOMLDecodeError as error:
        found = re.fullmatch(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column \d+|end of document)\)", str(error))
        what, line = (found["what"], found["line"]) if found else (brief_line(error), None)
        raise Unreadable(what[:300], int(line or said.count("\n") + 1)) from error
    except (ValueError, RecursionError) as error:
        # A number of thousands of digits.
        raise Unreadable(brief_line(error)) from error
