"""Refactorings change no key: applied to a copy of all modules that recipes reach, which is imported in our place."""

import ast
import importlib
import json
import os
import shutil
import sys
import traceback
import warnings
from pathlib import Path

import pytest

import ws
from ws.code.machinery import MACHINERY
from ws.tests.refactorings import NEUTRAL, Trees

HOME = Path(ws.__file__).parent
UNTOUCHED = ("ws.store", "ws.code", "ws.errors", "ws.live", "ws.tests", "ws.bench", "ws.cli")
"""What no recipe reaches, or no key covers by the name of its room."""


def keys_of(root: Path, out: Path) -> dict[str, str]:
    """The keys of one recipe of every kind, as the copy of the package at `root` makes them.

    A forked process imports the copy in place of the package, so that this one holds nothing of the copy.
    """
    with warnings.catch_warnings():
        # Newer releases of Python warn of a fork where threads are; the child runs no tensor operation.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            out.write_text(json.dumps(_keys_here(root)))
        except BaseException:
            out.write_text(json.dumps({"raised": traceback.format_exc()}))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    keys: dict[str, str] = json.loads(out.read_text())
    if "raised" in keys:
        pytest.fail(keys["raised"], pytrace=False)
    return keys


def _keys_here(root: Path) -> dict[str, str]:
    for name in [name for name in sys.modules if name.partition(".")[0] == "ws"]:
        del sys.modules[name]
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(root))
    # Types are not checked in a copy: the checker knows classes by their names and would take ours for them.
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "fixtures.shapes"]
    importlib.invalidate_caches()
    samples = importlib.import_module("ws.tests.recipe_samples").recipe_samples()
    # Hashes of code that an earlier run kept would prove nothing.
    importlib.import_module("ws.store.known").code_digest = lambda: None
    store = importlib.import_module("ws.store").Store(Path("unused"))
    assert Path(sys.modules["ws.code.sources"].__file__).is_relative_to(root)
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


def test_refactorings_change_no_key(tmp_path: Path) -> None:
    changed = trees()
    counts = {kind: refactor(changed) for kind, refactor in NEUTRAL.items()}
    before = keys_of(HOME.parent, tmp_path / "before.json")
    after = keys_of(written(tmp_path, changed), tmp_path / "after.json")
    assert after.keys() == before.keys()
    assert [name for name in before if after[name] != before[name]] == []
    assert min(counts.values()) >= 5, counts
    assert sum(counts.values()) >= 1000, counts


def test_machinery_is_where_it_is_said_to_be() -> None:
    for place in MACHINERY:
        module, _, name = place.partition(":")
        assert not name or hasattr(importlib.import_module(module), name), place
