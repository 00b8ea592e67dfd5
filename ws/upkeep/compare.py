"""How far two builds of one artifact are apart, file by file.

The gap of two numbers is their difference divided by the largest of 1 and their absolute values: absolute near 0,
relative far from it. The gap of two tensors is their largest difference divided by the root mean square of the stored
one. Integers, strings, and files that are neither table, tensors nor JSON must be equal; else their gap is infinite.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ws.store.manifests import sha256


@dataclass(frozen=True)
class Gap:
    """The largest difference in one column, tensor or place of a file."""

    file: str
    where: str
    size: float
    """0 if both are equal, infinite if they cannot be compared."""
    old: str = ""
    new: str = ""


def gaps(old: Path, new: Path, files: Mapping[str, Any]) -> list[Gap]:
    """All differences between the stored files of an artifact, as its manifest lists them, and those built anew."""
    built = {path.relative_to(new).as_posix() for path in new.rglob("*") if path.is_file()}
    others = [Gap(name, "file", math.inf, *_there(name in files)) for name in sorted(built ^ files.keys())]
    return others + [gap for name in sorted(built & files.keys()) for gap in _of_file(old / name, new / name, name)]


def _there(stored: bool) -> tuple[str, str]:
    return ("there", "missing") if stored else ("missing", "there")


def _of_file(old: Path, new: Path, name: str) -> Iterator[Gap]:
    if sha256(old) == sha256(new):
        return
    read = _READERS.get(old.suffix)
    if read is None:
        yield Gap(name, "bytes", math.inf, f"{old.stat().st_size} bytes", f"{new.stat().st_size} other bytes")
        return
    for where, size, before, after in read(old, new):
        if size > 0:
            yield Gap(name, where, size, _short(before), _short(after))


Found = Iterator[tuple[str, float, object, object]]
"""Differences: place, gap, and the values on both sides."""


def _tables(old: Path, new: Path) -> Found:
    before, after = pd.read_parquet(old), pd.read_parquet(new)
    for name in (*before.columns, *(name for name in after.columns if name not in before.columns)):
        if name not in before.columns or name not in after.columns:
            yield str(name), math.inf, *_there(name in before.columns)
        elif len(before) != len(after):
            yield str(name), math.inf, f"{len(before)} rows", f"{len(after)} rows"
        elif before[name].dtype != after[name].dtype:
            yield str(name), math.inf, before[name].dtype, after[name].dtype
        else:
            yield str(name), *_furthest(before[name].tolist(), after[name].tolist())


def _tensors(old: Path, new: Path) -> Found:
    from safetensors.torch import load_file

    before, after = load_file(old), load_file(new)
    for name in sorted(before.keys() | after.keys()):
        if name not in before or name not in after:
            yield name, math.inf, *_there(name in before)
        elif (before[name].shape, before[name].dtype) != (after[name].shape, after[name].dtype):
            yield name, math.inf, tuple(before[name].shape), tuple(after[name].shape)
        else:
            yield name, *_tensor_gap(before[name].double().numpy(), after[name].double().numpy())


def _tensor_gap(old: np.ndarray, new: np.ndarray) -> tuple[float, object, object]:
    if np.array_equal(old, new, equal_nan=True):
        return 0.0, None, None
    apart = np.abs(old - new)
    scale = float(np.sqrt(np.mean(old**2)))
    if not np.isfinite(apart).all() or scale == 0:
        return math.inf, "not finite or all 0", "other values"
    place = np.unravel_index(int(apart.argmax()), apart.shape)
    return float(apart[place]) / scale, old[place], new[place]


def _json(old: Path, new: Path) -> Found:
    before, after = (json.loads(path.read_text(encoding="utf-8")) for path in (old, new))
    yield from _places(before, after, "")


def _places(old: Any, new: Any, where: str) -> Found:
    """The gap at every place of two JSON values."""
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
        for name in old:
            yield from _places(old[name], new[name], f"{where}.{name}".strip("."))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for place, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _places(before, after, f"{where}[{place}]")
    else:
        yield where or "value", gap(old, new), old, new


def _furthest(old: list[Any], new: list[Any]) -> tuple[float, object, object]:
    """The largest gap between the values of two columns."""
    if all(isinstance(value, float) for value in (*old, *new)):
        return _furthest_float(np.array(old), np.array(new))
    found = [(0.0, None, None), *((size, a, b) for _, size, a, b in _places(_plain(old), _plain(new), ""))]
    return max(found, key=lambda one: one[0])


def _furthest_float(old: np.ndarray, new: np.ndarray) -> tuple[float, object, object]:
    same = (old == new) | (np.isnan(old) & np.isnan(new))
    with np.errstate(invalid="ignore"):
        apart = np.abs(old - new) / np.maximum(1.0, np.maximum(np.abs(old), np.abs(new)))
    sizes = np.where(same, 0.0, np.where(np.isfinite(apart), apart, np.inf))
    if not len(sizes):
        return 0.0, None, None
    place = int(sizes.argmax())
    return float(sizes[place]), old[place], new[place]


def _plain(value: Any) -> Any:
    """Arrays within cells as lists."""
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def gap(old: object, new: object) -> float:
    """How far two plain values are apart: 0 if equal, infinite unless both are numbers and at least one is a float."""
    if old == new and isinstance(old, bool) == isinstance(new, bool):
        return 0.0
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (old, new))
    if not numbers or (isinstance(old, int) and isinstance(new, int)):
        return math.inf
    before, after = float(old), float(new)  # type: ignore[arg-type]
    if math.isnan(before) and math.isnan(after):
        return 0.0
    size = abs(before - after) / max(1.0, abs(before), abs(after))
    return size if math.isfinite(size) else math.inf


def _short(value: object) -> str:
    text = f"{value:.9g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


_READERS: dict[str, Callable[[Path, Path], Found]] = {
    ".parquet": _tables,
    ".safetensors": _tensors,
    ".json": _json,
}
