"""Refactorings change no key: applied to a copy of all modules that recipes reach, which is imported in our place."""

import ast
import importlib
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import ws
from ws.store.code.machinery import MACHINERY
from ws.tests.refactorings import NEUTRAL, Trees

HOME = Path(ws.__file__).parent
UNTOUCHED = ("ws.store", "ws.errors", "ws.tests", "ws.bench", "ws.cli")
"""What no recipe reaches, or no key covers by the name of its room."""


@contextmanager
def in_place_of_ours(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another copy of the package is the one that is imported."""
    ours = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "ws"}
    for name in ours:
        del sys.modules[name]
    with monkeypatch.context() as patch:
        patch.syspath_prepend(root)
        patch.setattr(sys, "dont_write_bytecode", True)
        # Types are not checked in a copy: the checker knows classes by their names and would take ours for them.
        unchecked = [finder for finder in sys.meta_path if type(finder).__module__ != "fixtures.shapes"]
        patch.setattr(sys, "meta_path", unchecked)
        try:
            yield
        finally:
            for name in [name for name in sys.modules if name.partition(".")[0] == "ws"]:
                del sys.modules[name]
            sys.modules.update(ours)


def keys_of(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The keys of one recipe of every kind, as the copy of the package at `root` makes them."""
    with in_place_of_ours(root, monkeypatch):
        samples = importlib.import_module("ws.tests.recipe_samples").recipe_samples()
        # Hashes of code that an earlier run kept would prove nothing.
        monkeypatch.setattr(importlib.import_module("ws.store.known"), "code_digest", lambda: None)
        store = importlib.import_module("ws.store").Store(Path("unused"))
        assert Path(sys.modules["ws.store.sources"].__file__).is_relative_to(root)
        return {name: store.key(made) for name, made in samples.items()}


def trees() -> Trees:
    """The modules of the package that refactorings may touch."""
    found = {}
    for path in sorted(HOME.rglob("*.py")):
        parts = path.relative_to(HOME.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if not name.startswith(UNTOUCHED):
            found[name] = ast.parse(path.read_text())
    return found


def written(root: Path, changed: Trees) -> Path:
    """A copy of the package with these modules in place of those of ours."""
    shutil.copytree(HOME, root / "ws", ignore=shutil.ignore_patterns("__pycache__", "test_*", "*.jsonl"))
    for name in trees():
        _file(root, name).unlink()
    for name, tree in changed.items():
        is_package = (root / Path(*name.split("."))).is_dir()
        path = root / Path(*name.split(".")) / "__init__.py" if is_package else root / f"{name.replace('.', '/')}.py"
        path.write_text(ast.unparse(ast.fix_missing_locations(tree)))
    return root


def _file(root: Path, name: str) -> Path:
    path = root / Path(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def test_refactorings_change_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = trees()
    counts = {kind: refactor(changed) for kind, refactor in NEUTRAL.items()}
    before = keys_of(HOME.parent, monkeypatch)
    after = keys_of(written(tmp_path, changed), monkeypatch)
    assert after.keys() == before.keys()
    assert [name for name in before if after[name] != before[name]] == []
    assert min(counts.values()) >= 5, counts
    assert sum(counts.values()) >= 1000, counts


def test_machinery_is_where_it_is_said_to_be() -> None:
    for place in MACHINERY:
        module, _, name = place.partition(":")
        assert not name or hasattr(importlib.import_module(module), name), place
