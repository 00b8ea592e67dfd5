"""A warm store with a fault: some artifacts are missing, and what is built in their place stays apart."""

import gzip
import json
import shutil
from collections.abc import Collection
from pathlib import Path

from ws.store import Recipe, Store


class Warm:
    """A store with all artifacts of the claims, and what each of them is made with."""

    def __init__(self, root: Path, asked: Collection[str]) -> None:
        """`asked` are the keys that the claims ask for; what else the store has is not looked at."""
        self.root = root
        homes = {path.parent.name: path.parent for path in root.glob("*/*/manifest.json")}
        self.inputs: dict[str, frozenset[str]] = {}
        """By key, those of what it is made of, and of what that is made of."""
        self._source: dict[str, str] = {}
        self._seconds: dict[str, float] = {}
        waiting = set(asked) & homes.keys()
        while waiting:
            key = waiting.pop()
            said = json.loads((homes[key] / "manifest.json").read_text())
            self.inputs[key], self._source[key] = frozenset(said["inputs"]), said["source"]
            self._seconds[key] = said["seconds"]
            waiting |= (self.inputs[key] & homes.keys()) - self.inputs.keys()
        self._names = {source: self._names_in(source) for source in set(self._source.values())}
        self.covered = frozenset(name for names in self._names.values() for name in names)

    def _names_in(self, source: str) -> frozenset[str]:
        text = gzip.decompress((self.root / "code" / f"{source}.json.gz").read_bytes())
        return frozenset(name.removeprefix("member ") for name in json.loads(text))

    def reached_by(self, name: str) -> frozenset[str]:
        """The keys of artifacts that a function or constant makes, and of those made of these."""
        own = {key for key, source in self._source.items() if name in self._names[source]}
        return frozenset(key for key, inputs in self.inputs.items() if key in own or not own.isdisjoint(inputs))

    def made_of(self, keys: Collection[str]) -> frozenset[str]:
        """These keys with all their inputs."""
        return frozenset(keys).union(*(self.inputs.get(key, ()) for key in keys))

    def seconds(self, keys: Collection[str]) -> float:
        """How long these artifacts took to build."""
        return sum(self._seconds.get(key, 0.0) for key in keys)


class Faulty(Store):
    """Serves what claims ask a warm store for, apart from what is gone, and builds in a folder of its own."""

    def __init__(self, root: Path, warm: Warm, gone: Collection[str]) -> None:
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        # Hashes of code, of which nothing changes on the disk, are the same for all.
        (root / "sources").symlink_to(warm.root / "sources")
        super().__init__(root)
        self._warm, self._gone = warm, gone

    def home(self, recipe: Recipe, key: str) -> Path:
        is_there = key in self._warm.inputs and key not in self._gone
        return self._warm.root / type(recipe).__name__ / key if is_there else super().home(recipe, key)
