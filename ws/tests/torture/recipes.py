"""Recipes that take milliseconds, shaped as real ones are: texts, tensors of them, and what is read of several."""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from ws.store import Recipe, Store
from ws.store.recipes import held_in, values_of

A_MOMENT = 0.002
"""Seconds that each build takes, so that others come in between."""


@dataclass(frozen=True)
class Word(Recipe):
    """A text, and one in a folder."""

    name: str
    lines: int

    def build(self, out: Path, store: Store) -> None:
        (out / "more").mkdir()
        (out / "more" / "name.txt").write_text(self.name)
        time.sleep(A_MOMENT)
        (out / "text.txt").write_text("\n".join(f"{self.name} {line}" for line in range(self.lines)))


@dataclass(frozen=True)
class Tensors(Recipe):
    """Numbers drawn by a text."""

    of: Word

    def build(self, out: Path, store: Store) -> None:
        text = (store.get(self.of) / "text.txt").read_bytes()
        seed = int.from_bytes(hashlib.sha256(text).digest()[:4], "little")
        time.sleep(A_MOMENT)
        drawn = np.random.default_rng(seed).normal(size=(16, 8))
        words = {"family": "lora", "sign": "plus", "name": self.of.name, "seed": str(seed)}
        save_file({"a": drawn, "b": drawn.astype(np.float32)}, out / "tensors.safetensors", metadata=words)


@dataclass(frozen=True)
class Means(Recipe):
    """The means of several tensors."""

    parts: tuple[Tensors, ...]

    def build(self, out: Path, store: Store) -> None:
        found = [float(load_file(store.get(part) / "tensors.safetensors")["a"].mean()) for part in self.parts]
        time.sleep(A_MOMENT)
        (out / "means.json").write_text(json.dumps(found))


def quick(count: int) -> list[Recipe]:
    """So many recipes that are asked for; each takes two of as many tensors."""
    tensors = [Tensors(Word(f"word {number}", 20 + number)) for number in range(count)]
    return [Means((tensors[number], tensors[number - 1])) for number in range(count)]


def all_of(recipes: Iterable[Recipe]) -> list[Recipe]:
    """These recipes and all their inputs, each once, inputs first."""
    return list(dict.fromkeys(one for recipe in recipes for one in _inputs_first(recipe)))


def _inputs_first(recipe: Recipe) -> Iterator[Recipe]:
    for field in values_of(recipe).values():
        for value in _recipes_in(field):
            yield from _inputs_first(value)
    yield recipe


def _recipes_in(field: object) -> Iterator[Recipe]:
    return (value for value in held_in(field) if isinstance(value, Recipe))
