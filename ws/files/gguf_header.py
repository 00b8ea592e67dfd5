"""The beginning of a GGUF file, its metadata and its list of tensors, held against the file before a library reads it.

The library takes a file's word for every length in it: an array that says it has 2^60 items is read item by item until
the memory ends. Here each length is held against the bytes that are left.
Source: the GGUF specification, github.com/ggml-org/ggml, docs/gguf.md.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ws.files.notation import Unreadable
from ws.files.opening import Refuse, check_written, opened, size_of

MAGIC = b"GGUF"
VERSIONS = (2, 3)
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""The types of single values, as `struct` writes them."""
TEXT, ARRAY = 8, 9

MOST_FIELDS = 10_000
MOST_TENSORS = 100_000
MOST_AXES = 4
MOST_ITEMS = 1_000_000
"""Items of all arrays: the tokens, their types and the merges of a vocabulary of 128,000 are 540,000. The library keeps
each for itself, in several hundred bytes."""
MOST_TEXT = 64 << 20
"""Bytes of all texts."""

WHAT = "a GGUF file"
ADVICE = "fetch it anew"


class TensorPlace(NamedTuple):
    """What the list says of one tensor."""

    shape: tuple[int, ...]
    """Of the file, the fastest axis first."""
    kind: int
    """The number of its format."""
    offset: int
    """From the end of the list, aligned."""


def placed(path: Path, *, refuse: Refuse) -> Mapping[str, TensorPlace]:
    """The tensors that a file lists, by name; each lies inside the file, and none in another.

    Raises: `refuse` if it is no plain file, most of it was never written, or what it says does not fit it.
    """
    with opened(path, what=WHAT, refuse=refuse) as file:
        check_written(file, path, what=WHAT, refuse=refuse)
        try:
            return _list(_Beginning(file, size_of(file)))
        except Unreadable as error:
            raise refuse(f"{path} is no GGUF file that can be read: {error.said}; expected {WHAT}; {ADVICE}") from error


@dataclass
class _Beginning:
    """Reads a file from its start, in the order of its bytes, and counts what it has read."""

    file: BinaryIO
    size: int
    order: str = "<"
    at: int = 0
    items: int = 0
    text_bytes: int = 0
    blocks: int = 0
    """The blocks of its model, of each of which it holds a tensor at least."""
    keys: set[str] = field(default_factory=set)

    def bytes(self, count: int, what: str) -> bytes:
        """The next bytes. Raises: Unreadable if the file has fewer."""
        if count > self.size - self.at:
            raise Unreadable(f"{what} has {count:,} bytes at byte {self.at:,} of {self.size:,}")
        found = self.file.read(count)
        if len(found) < count:
            raise Unreadable(f"it ends at byte {self.at + len(found):,}, in {what}")
        self.at += count
        return found

    def number(self, kind: str, what: str) -> int:
        """The next number of a format of `struct`."""
        code = self.order + kind
        (found,) = struct.unpack(code, self.bytes(struct.calcsize(code), what))
        return int(found)

    def text(self, what: str) -> str:
        """The next text, after its length."""
        length = self.number("Q", f"the length of {what}")
        self.text_bytes += length
        if self.text_bytes > MOST_TEXT:
            raise Unreadable(f"its texts have {self.text_bytes:,} bytes up to {what}, {MOST_TEXT:,} at most are read")
        start = self.at
        try:
            return self.bytes(length, what).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Unreadable(f"byte {start + error.start:,}, in {what}, is no UTF-8") from error

    def value(self, kind: int, what: str) -> int | None:
        """The next value, of a type by its number; what is no whole number is only passed over."""
        match kind:
            case _ if kind in SCALARS:
                code = self.order + SCALARS[kind]
                (found,) = struct.unpack(code, self.bytes(struct.calcsize(code), what))
                return found if type(found) is int else None
            case _ if kind == TEXT:
                self.text(what)
            case _ if kind == ARRAY:
                self._array(what)
            case _:
                raise Unreadable(f"{what} is of the unknown type {kind}")
        return None

    def _array(self, what: str) -> None:
        kind, count = self.number("I", f"the type of {what}"), self.number("Q", f"the length of {what}")
        self.items += count
        if self.items > MOST_ITEMS:
            raise Unreadable(f"its arrays have {self.items:,} items up to {what}, {MOST_ITEMS:,} at most are read")
        if kind == TEXT:
            for _ in range(count):
                self.text(what)
        elif kind in SCALARS:
            self.bytes(count * struct.calcsize(self.order + SCALARS[kind]), what)
        else:
            raise Unreadable(f"{what} is an array of the type {kind}; numbers and texts are read")


def _list(file: _Beginning) -> dict[str, TensorPlace]:
    """The tensors that a file lists. Raises: Unreadable if what the file says does not fit it."""
    if (magic := file.bytes(len(MAGIC), "its mark")) != MAGIC:
        raise Unreadable(f"it begins with {magic!r}, not {MAGIC!r}")
    version = file.number("I", "its version")
    if version not in VERSIONS and int.from_bytes(version.to_bytes(4, "little"), "big") in VERSIONS:
        file.order, version = ">", int.from_bytes(version.to_bytes(4, "little"), "big")
    if version not in VERSIONS:
        raise Unreadable(f"it is of version {version:,}; {' and '.join(map(str, VERSIONS))} are read")
    tensors, fields = file.number("Q", "the number of its tensors"), file.number("Q", "the number of its fields")
    if tensors > MOST_TENSORS or fields > MOST_FIELDS:
        raise Unreadable(
            f"it says that it has {tensors:,} tensors and {fields:,} fields; {MOST_TENSORS:,} and {MOST_FIELDS:,} at "
            "most are read"
        )
    alignment = _alignment(file, fields)
    if (blocks := file.blocks) > tensors:
        raise Unreadable(f"it says that it has {blocks:,} blocks, and {tensors:,} tensors")
    found: dict[str, TensorPlace] = {}
    for number in range(1, tensors + 1):
        name = file.text(f"the name of tensor {number}")
        if name in found:
            raise Unreadable(f"the tensor {name[:80]} comes twice")
        found[name] = _one(file, name[:80])
    start = -(-file.at // alignment) * alignment
    _check_places(found, room=max(file.size - start, 0), alignment=alignment)
    return found


def _alignment(file: _Beginning, fields: int) -> int:
    """Read all fields; returns what the start of every tensor is a multiple of."""
    alignment = 32
    for number in range(1, fields + 1):
        key = file.text(f"the key of field {number}")
        if key in file.keys:
            raise Unreadable(f"the field {key[:80]} comes twice")
        file.keys.add(key)
        value = file.value(file.number("I", f"the type of {key[:80]}"), key[:80])
        if key.endswith(".block_count"):
            file.blocks = max(file.blocks, value or 0)
        if key == "general.alignment":
            if value is None or not 0 < value <= 1 << 20 or value % 8:
                raise Unreadable(f"{key} is {value}; a small multiple of 8 is read")
            alignment = value
    return alignment


def _one(file: _Beginning, name: str) -> TensorPlace:
    axes = file.number("I", f"the number of axes of {name}")
    if axes > MOST_AXES:
        raise Unreadable(f"the tensor {name} has {axes:,} axes, {MOST_AXES} at most are read")
    shape = tuple(file.number("Q", f"the shape of {name}") for _ in range(axes))
    return TensorPlace(shape, file.number("I", f"the format of {name}"), file.number("Q", f"the place of {name}"))


def _check_places(found: Mapping[str, TensorPlace], *, room: int, alignment: int) -> None:
    """Raises: Unreadable if a tensor is of an unknown format, leads out of the file or into another one."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    sizes = {int(kind.value): sizes for kind, sizes in GGML_QUANT_SIZES.items() if kind in GGMLQuantizationType}
    end = 0
    for name, one in sorted(found.items(), key=lambda item: item[1].offset):
        if one.kind not in sizes:
            raise Unreadable(f"the tensor {name[:80]} is of the unknown format {one.kind}")
        block, width = sizes[one.kind]
        count = math.prod(one.shape)
        if count % block or (one.shape and one.shape[0] % block):
            raise Unreadable(f"the tensor {name[:80]} of shape {one.shape} is not made of whole blocks of {block}")
        if one.offset % alignment or one.offset < end or one.offset + count // block * width > room:
            raise Unreadable(
                f"the tensor {name[:80]} of shape {one.shape} begins at byte {one.offset:,}, where it is not aligned, "
                f"or lies in another or outside of the {room:,} bytes there are"
            )
        end = one.offset + count // block * width
