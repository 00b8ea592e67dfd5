"""The header of a safetensors file, held against the file itself before anything of it is loaded.

Eight bytes give the length of the header, which is JSON: for each tensor its format, its shape and where its bytes lie.
Source: github.com/huggingface/safetensors, README, "Format".
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ws.files.notation import Unreadable, parsed
from ws.files.opening import Refuse, check_written, opened, size_of

START = 8
"""Bytes that hold the length of the header."""

MOST_HEADER = 16 << 20
"""The longest header that is read, enough for 100,000 tensors."""

MOST_NAME = 1_000
"""The longest name of a tensor."""

METADATA = "__metadata__"

BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E5M2FNUZ", "F8_E4M3FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
    "F4": 4,
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
}
"""Bits of one value, by the name of its format."""

WHOLE = frozenset({"BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64"})
"""Formats of whole numbers."""

WHAT = "a safetensors file"
ADVICE = "copy, fetch or save it anew"


class Stored(NamedTuple):
    """What a header says of one tensor."""

    kind: str
    """Its format, such as F32."""
    shape: tuple[int, ...]
    start: int
    end: int
    """Where its bytes lie, counted from the end of the header."""


def stored(path: Path, *, refuse: Refuse) -> Mapping[str, Stored]:
    """The tensors of a file by name, as its header says and its size agrees with.

    Raises: `refuse` if it is no plain file, most of it was never written, or its header is none or says what is not so.
    """
    with opened(path, what=WHAT, refuse=refuse) as file:
        check_written(file, path, what=WHAT, refuse=refuse)
        size = size_of(file)
        length = int.from_bytes(file.read(START), "little")
        rest = size - START - length
        if size < START or rest < 0 or length > MOST_HEADER:
            raise refuse(
                f"{path} has {size:,} bytes and says that {length:,} of them are its header; expected {WHAT}, with a "
                f"header of {MOST_HEADER:,} bytes at most; {ADVICE}"
            )
        text = file.read(length)
    try:
        return _checked(parsed(text), rest)
    except Unreadable as error:
        raise refuse(f"{path} is damaged: in its header {error.said}; expected {WHAT}; {ADVICE}") from error


def _checked(said: Any, size: int) -> dict[str, Stored]:
    """The tensors that a header names, whose bytes fill `size`. Raises: Unreadable if they do not."""
    if not isinstance(said, dict):
        raise Unreadable(f"is a {type(said).__name__}, no object")
    found = {name: _one(name, entry) for name, entry in said.items() if name != METADATA}
    _check_metadata(said.get(METADATA, {}))
    ordered = sorted(found.items(), key=lambda one: (one[1].start, one[1].end))
    ends = [0, *(place.end for _, place in ordered)]
    for (name, place), end in zip(ordered, ends, strict=False):
        if place.start != end:
            raise Unreadable(f"{_named(name)} begins at byte {place.start:,}, where {end:,} is free")
    if ends[-1] != size:
        raise Unreadable(f"the tensors fill {ends[-1]:,} bytes, and {size:,} are there")
    return found


def _one(name: str, said: Any) -> Stored:
    """What a header says of one tensor. Raises: Unreadable if it does not fit together."""
    if len(name) > MOST_NAME:
        raise Unreadable(f"a name has {len(name):,} characters, {MOST_NAME:,} at most are read")
    match said:
        case {"dtype": str(kind), "shape": [*shape], "data_offsets": [int(start), int(end)], **rest} if not rest:
            pass
        case _:
            raise Unreadable(f"{_named(name)} has no dtype, shape and data_offsets, or has more")
    if kind not in BITS:
        raise Unreadable(f"{_named(name)} is of the unknown format {kind[:40]!r}")
    if not all(type(axis) is int and axis >= 0 for axis in shape):
        raise Unreadable(f"{_named(name)} has a shape that is none, {str(shape)[:60]}")
    # Offsets first: a product of many large axes takes long.
    if not 0 <= start <= end or len(shape) > 16 or math.prod(shape) * BITS[kind] != 8 * (end - start):
        raise Unreadable(f"{_named(name)} is {kind} of shape {str(shape)[:60]} in {end - start:,} bytes")
    return Stored(kind, tuple(shape), start, end)


def _check_metadata(said: Any) -> None:
    if not isinstance(said, dict) or not all(isinstance(value, str) for value in said.values()):
        raise Unreadable(f"{METADATA} holds something other than texts")


def _named(name: str) -> str:
    return name if len(name) <= 120 else f"{name[:120]}..."
