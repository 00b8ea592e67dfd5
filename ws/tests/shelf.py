"""Small recipes, whose code tests change, for tests of `ws.upkeep`; each build is printed."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ws.store import Recipe, Store

ROUNDING = 0.0
"""The error of a changed kernel; every value makes other keys."""

SUFFIX = ""
"""What other text a new version writes."""


@dataclass(frozen=True)
class Config:
    """A record beside the inputs."""

    family: str
    part: str = "top"


@dataclass(frozen=True)
class Numbers(Recipe):
    """A table, and a file of JSON."""

    count: int
    config: Config = Config("lora")

    def build(self, out: Path, store: Store) -> None:
        print(f"numbers {self.count}")
        values = np.arange(self.count, dtype=float) + 1 + ROUNDING
        pd.DataFrame({"value": values, "word": "a"}).to_parquet(out / "rows.parquet")
        (out / "report.json").write_text(json.dumps({"count": self.count, "mean": float(values.mean())}))


@dataclass(frozen=True)
class Sum(Recipe):
    """The sum of several tables as text."""

    parts: tuple[Numbers, ...]

    def build(self, out: Path, store: Store) -> None:
        print("sum")
        tables = [pd.read_parquet(store.get(part) / "rows.parquet") for part in self.parts]
        (out / "sum.txt").write_text(f"{sum(table['value'].sum() for table in tables):.3f}{SUFFIX}")


@dataclass(frozen=True)
class Title(Recipe):
    """Words that no constant changes."""

    words: str

    def build(self, out: Path, store: Store) -> None:
        (out / "title.txt").write_text(self.words)


@dataclass(frozen=True)
class Titled(Recipe):
    """A table under a title."""

    title: Title
    numbers: Numbers

    def build(self, out: Path, store: Store) -> None:
        words = (store.get(self.title) / "title.txt").read_text()
        (out / "titled.txt").write_text(f"{words}: {len(pd.read_parquet(store.get(self.numbers) / 'rows.parquet'))}")


SMALL = Numbers(3)
OTHER = Numbers(4, Config("oft"))
WHOLE = Sum((SMALL, OTHER))
