"""The folder of a model's evidence: an index, and parts whose sha256 the index has.

    <folder>/index.json                     format, model, and of each part: sha256, bytes, number of artifacts
    <folder>/<group>/records.parquet        of each artifact and each of its inputs: what it is and how it was made
    <folder>/<group>/<Class>.<file>.parquet the tables of all artifacts of a class
    <folder>/<group>/files.parquet          files that are no tables, such as JSON, as they were

A group is what has one seed, so that another seed adds files and changes none.
"""

import hashlib
import json
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from ws.errors import StoreError
from ws.evidence.records import Kept, read_records
from ws.files.notation import parsed
from ws.files.opening import content
from ws.files.showing import brief, brief_line
from ws.files.tables import check_size

T = TypeVar("T")

INDEX = "index.json"
RECORDS, FILES = "records.parquet", "files.parquet"
FORMAT = 1
"""Another number is another form, which this code cannot read."""

NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*\.parquet", re.ASCII)
"""A part's name: a file in a folder of the evidence, and nowhere else."""

MOST_OF_INDEX, MOST_OF_PART = 8 << 20, 64 << 20
"""The largest index and the largest part that are read: more than all the evidence of a model may have."""

MOST_BYTES = 20_000_000
"""How large the evidence of one model may be: it is part of every clone, for good."""


class EvidenceWarning(UserWarning):
    """Evidence that cannot be used; what it held is built."""


@dataclass(frozen=True)
class PartSaid:
    """What the index says of a part."""

    sha256: str
    bytes: int
    artifacts: int


class Evidence:
    """The evidence of one model as it lies in its folder; what is damaged there is told once and left alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: list[str] = []
        """In words, everything that is wrong with it, as far as it was looked at."""
        self._lost: set[str] = set()

    @cached_property
    def index(self) -> Mapping[str, PartSaid]:
        """What the index says of each part, by name; nothing if the index is missing or cannot be trusted."""
        if not (self.folder / INDEX).exists():
            self._tell(f"{INDEX} is missing", "nothing is taken from it")
            return {}
        try:
            return read_index(self.folder / INDEX)
        except IndexRefused as refused:
            self._tell(f"{INDEX} {refused}", "nothing is taken from it")
        return {}

    @cached_property
    def records(self) -> Mapping[str, Kept]:
        """By key, the artifacts that are here, without their recipes."""
        return {one.key: one for group in self.groups for one in self.group(group) if one.files}

    @property
    def groups(self) -> list[str]:
        """The names of all groups."""
        return sorted({name.partition("/")[0] for name in self.index})

    def group(self, name: str, *, recipes: bool = False) -> list[Kept]:
        """The records of a group, inputs too; none if they are damaged."""
        found = self.read(f"{name}/{RECORDS}", partial(read_records, recipes=recipes))
        return [] if found is None else found

    def read(self, name: str, reader: Callable[[pa.NativeFile], T]) -> T | None:
        """A part as `reader` reads it; None if it is missing, or another than the index says."""
        if name in self._lost:
            return None
        try:
            found = self._content(name)
            check_size(found)
            return reader(pa.BufferReader(found))
        except _Damage as damage:
            fault = str(damage)
        except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, MemoryError) as error:
            fault = f"cannot be read ({brief_line(error)})"
        self._lost.add(name)
        held = self.index[name].artifacts if name in self.index else 0
        self._tell(f"{name} {fault}", f"what it held of {held} artifacts is built again where it is asked for")
        return None

    def _content(self, name: str) -> bytes:
        path, said = self.folder / name, self.index.get(name)
        if said is None:
            raise _Damage(f"is not in {INDEX}")
        if path.is_symlink() or path.parent.is_symlink() or not path.is_file():
            raise _Damage("is missing")
        found = content(path, most=MOST_OF_PART, what="a part of evidence", refuse=_Damage)
        if hashlib.sha256(found).hexdigest() != said.sha256:
            raise _Damage(f"does not have the sha256 that {INDEX} says")
        return found

    def check(self) -> list[str]:
        """Look at every part; returns all faults."""
        for name in self.index:
            self.read(name, lambda _: True)
        return self.faults

    def _tell(self, fault: str, consequence: str) -> None:
        self.faults.append(fault)
        warnings.warn(
            f"the evidence in {self.folder} is damaged: {fault}; {consequence}", EvidenceWarning, stacklevel=4
        )


class _Damage(StoreError):
    """What is wrong with a part, in words."""


class IndexRefused(StoreError):
    """Why an index is not used, in words."""


def read_index(file: Path) -> dict[str, PartSaid]:
    """The parts that an index names. Raises: IndexRefused if it is not of this form or names files elsewhere."""
    found = content(file, most=MOST_OF_INDEX, what="the index of evidence", refuse=IndexRefused)
    try:
        said = parsed(found)
        form, parts = said["format"], {name: _part(one) for name, one in said["parts"].items()}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise IndexRefused(f"cannot be read ({brief_line(error)})") from error
    if form != FORMAT:
        raise IndexRefused(f"has format {brief(form)}, where this version reads {FORMAT}")
    odd = [name for name in parts if not NAME.fullmatch(name)]
    if odd:
        raise IndexRefused(f"names {brief(odd[0])}, which is no part of it")
    return parts


def write_index(file: Path, model: str, parts: Mapping[str, PartSaid]) -> None:
    """Write an index; parts are listed by name."""
    said = {"format": FORMAT, "model": model, "parts": {name: asdict(parts[name]) for name in sorted(parts)}}
    file.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


def _part(said: dict[str, Any]) -> PartSaid:
    """What an index says of a part. Raises: TypeError or LookupError if it is anything else."""
    digest, size, artifacts = said["sha256"], said["bytes"], said["artifacts"]
    if not (isinstance(digest, str) and isinstance(size, int) and isinstance(artifacts, int)):
        raise TypeError(f"{brief(said)} is no part")
    return PartSaid(digest, size, artifacts)
