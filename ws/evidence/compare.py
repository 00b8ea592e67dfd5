"""How closely an artifact that was built again agrees with what evidence has of it, number by number.

Another processor rounds otherwise, and training and sampling carry that on: weights come out a little different, and
now and then a sampled answer takes another word. So numbers agree within a tolerance; rows that tell another text than
before count for their mean alone; whatever identifies a row must be the same.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

NATS = frozenset({"log_yes", "log_no", "log_ratio", "log_p", "nll", "kl"})
"""Columns in nats, whose differences are shown as they are; others are divided by the values where those exceed 1."""

TOLD = frozenset({"answer", "tokens", "repetition", "thought_tokens", "closed", "thought", "text", "ids"})
"""Columns with what a model said: they may differ, and their rows are not the same rows then."""

COEFF = "coeff"
"""The column of coefficients, which say what a row is of, as words do."""

MEAN, LARGEST = 0.005, 0.05
"""How far the numbers of a column may be apart, on average and at most, in nats or as a share.

Measured: rows of dW that was trained again with other vector instructions (AVX2 for AVX512) were 6e-5 nats apart on
average and 2.4e-4 at most on the embedded model, 3e-6 and 2.3e-4 on the tiny one.
"""

OTHER_ANSWERS = 10.0
"""How many times as far, where answers that a model was trained or scored on were sampled otherwise here.

Measured: one other answer of the 200 that LoRA is trained on moves the embedded model's rows, at coefficients up to 2,
by .017 nats on average and .078 at most; so there is room for three.
"""

ERRORS = 4.0
"""By how many standard errors the mean of a column may be off beyond that, where texts differ."""


@dataclass(frozen=True)
class Column:
    """One column of numbers, or all numbers of a file of JSON, before and after."""

    name: str
    """File and column."""
    rows: int
    other_text: int
    """How many of the rows tell another text now."""
    mean: float
    """The mean difference of the rows with the same text, without sign."""
    largest: float
    shift: float
    """The difference of the means over all rows, without sign."""
    error: float
    """The standard error of that difference, where texts differ."""
    fault: str = ""
    """Why the rows cannot be compared at all."""
    times: float = 1.0
    """How many times MEAN and LARGEST are allowed."""

    @property
    def agrees(self) -> bool:
        near = self.mean <= MEAN * self.times and self.largest <= LARGEST * self.times
        return not self.fault and near and self.shift <= self.allowed

    @property
    def allowed(self) -> float:
        """How large the shift may be."""
        return MEAN * self.times + ERRORS * self.error

    @property
    def in_nats(self) -> bool:
        return self.name.rpartition(" ")[2] in NATS


def columns(old: Path, new: Path, names: Mapping[str, Any]) -> list[Column]:
    """Every column of an artifact's files, of which `old` has the recorded and `new` the rebuilt ones."""
    found = []
    for name in sorted(names):
        if not (new / name).is_file():
            found.append(_fault(name, "it is not made any more"))
        elif name.endswith(".parquet"):
            found += _of_tables(pd.read_parquet(old / name), pd.read_parquet(new / name), name)
        elif name.endswith(".json"):
            found.append(_of_json(_read(old / name), _read(new / name), name))
        elif name.endswith(".safetensors"):
            found += _of_tensors(old / name, new / name, name)
        elif (old / name).read_bytes() != (new / name).read_bytes():
            found.append(_fault(name, "it has other bytes"))
    return found


def _of_tables(old: pd.DataFrame, new: pd.DataFrame, name: str) -> Iterator[Column]:
    if list(old.columns) != list(new.columns):
        yield _fault(name, f"columns {sorted({*old.columns} ^ {*new.columns})} are in one of them only")
        return
    measured = [column for column in old.columns if _is_measured(old[column])]
    if len(old) != len(new):
        if "kl" not in measured:
            yield _fault(name, f"{len(old)} rows were recorded and {len(new)} are made")
            return
        # A row for every token of an answer: where the answer changes, so does their number.
        for column in measured:
            yield _of_means(old[column], new[column], f"{name} {column}")
        return
    labels = [column for column in old.columns if column not in measured and column not in TOLD]
    if odd := [column for column in labels if not _same(old[column], new[column]).all()]:
        yield _fault(name, f"its rows differ in {', '.join(odd)}")
        return
    told = [_same(old[column], new[column]) for column in old.columns if column in TOLD]
    same = np.logical_and.reduce(told) if told else np.ones(len(old), dtype=bool)
    for column in measured:
        yield _of_rows(old[column].to_numpy(float), new[column].to_numpy(float), same, f"{name} {column}")


def _of_rows(old: np.ndarray, new: np.ndarray, same: np.ndarray, name: str) -> Column:
    nats = name.rpartition(" ")[2] in NATS
    apart = _apart(old, new, nats=nats)
    if not np.isfinite(apart).all():
        return _fault(name, f"{int((~np.isfinite(apart)).sum())} of {len(apart)} numbers are finite on one side only")
    of_same, signed = apart[same], np.where(new < old, -apart, apart)
    error = 0.0 if same.all() else float(np.std(signed)) / math.sqrt(len(signed))
    mean = float(of_same.mean()) if len(of_same) else 0.0
    largest = float(of_same.max()) if len(of_same) else 0.0
    shift = abs(float(signed.mean())) if len(signed) else 0.0
    return Column(name, len(old), int((~same).sum()), mean, largest, shift, error)


def _of_means(old: pd.Series, new: pd.Series, name: str) -> Column:
    error = math.sqrt(old.var() / len(old) + new.var() / len(new))
    shift = abs(float(new.mean() - old.mean()))
    return Column(name, len(old), len(old), 0.0, 0.0, shift, error)


def _of_json(old: Any, new: Any, name: str) -> Column:
    try:
        leaves = list(_leaves(old, new, ""))
    except _Unlike as unlike:
        return _fault(name, str(unlike))
    numbers = [pair for pair in leaves if all(isinstance(one, float) for one in pair)]
    texts = [pair for pair in leaves if all(isinstance(one, str) for one in pair)]
    then, now = (np.array([pair[side] for pair in numbers], dtype=float) for side in (0, 1))
    found = _of_rows(then, now, np.ones(len(numbers), dtype=bool), name)
    return replace(found, rows=len(numbers) + len(texts), other_text=sum(a != b for a, b in texts))


def _of_tensors(old: Path, new: Path, name: str) -> Iterator[Column]:
    from safetensors.numpy import load_file

    before, after = load_file(old), load_file(new)
    if {one: value.shape for one, value in before.items()} != {one: value.shape for one, value in after.items()}:
        yield _fault(name, "its tensors have other names or shapes")
        return
    for one, value in sorted(before.items()):
        yield _of_rows(value.ravel(), after[one].ravel(), np.ones(value.size, dtype=bool), f"{name} {one}")


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


class _Unlike(Exception):
    """Why two files of JSON have other places."""


def _leaves(old: Any, new: Any, place: str) -> Iterator[tuple[Any, Any]]:
    """The values at the same places; a list, such as of what was tried, may have become longer or shorter."""
    if isinstance(old, dict) and isinstance(new, dict):
        if odd := sorted(old.keys() ^ new.keys()):
            raise _Unlike(f"{place or 'it'} has {', '.join(odd)} on one side only")
        for name in old:
            yield from _leaves(old[name], new[name], f"{place}.{name}".strip("."))
    elif isinstance(old, list) and isinstance(new, list):
        for number, (before, after) in enumerate(zip(old, new, strict=False)):
            yield from _leaves(before, after, f"{place}[{number}]")
    else:
        yield old, new


def _is_measured(column: pd.Series) -> bool:
    return pd.api.types.is_float_dtype(column) and column.name not in TOLD and column.name != COEFF


def _same(old: pd.Series, new: pd.Series) -> np.ndarray:
    if old.map(type).eq(np.ndarray).any():
        return np.array([np.array_equal(a, b) for a, b in zip(old, new, strict=True)], dtype=bool)
    return ((old == new) | (old.isna() & new.isna())).to_numpy(bool)


def _apart(old: np.ndarray, new: np.ndarray, *, nats: bool) -> np.ndarray:
    """The differences without sign; nothing where both are the same, infinite where only one is finite."""
    same = (old == new) | (np.isnan(old) & np.isnan(new))
    with np.errstate(invalid="ignore"):
        apart = np.abs(old - new) / (1.0 if nats else np.maximum(1.0, np.maximum(np.abs(old), np.abs(new))))
    return np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart))


def _fault(name: str, fault: str) -> Column:
    return Column(name, 0, 0, 0.0, 0.0, 0.0, 0.0, fault)
