"""The meaning of a name in a module: a thing of our own, or a thing of another library, by its full name."""

import builtins
import importlib
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any, NamedTuple

from ws.code.forms import Ref
from ws.code.trees import imports_of, package_of, tree_of

MISSING = object()
"""What a module holds under a name that it does not have."""


class Guard(NamedTuple):
    """What a module held under a name when it was looked up; what came of it is true as long as it does."""

    holder: Mapping[str, object]
    name: str
    value: object


class Own(NamedTuple):
    """A thing in a module of our own; `rest` are the attributes read from it."""

    value: object
    module: ModuleType
    name: str
    rest: tuple[str, ...]


class Foreign(NamedTuple):
    """A thing of another library or of Python, by the name it is imported under."""

    path: str


class Unknown(NamedTuple):
    """A name that its module does not have: Python's own names of a module, and names of a class around a method."""

    path: str


Meaning = Own | Foreign | Unknown


def package_names(package: str) -> frozenset[str]:
    """The top-level packages whose code is part of keys: ours, and the one that a recipe comes from."""
    return frozenset({"ws", package.partition(".")[0]})


def meaning(ref: Ref, module: ModuleType, packages: frozenset[str], guards: list[Guard]) -> Meaning:
    """What a name means to code of a module, followed through modules and imports of our own."""
    if ref.imported is None:
        return _inside(ref.chain, module, packages, guards)
    source, taken = ref.imported
    rest = ref.chain[1:]
    if source.partition(".")[0] not in packages:
        return Foreign(_path(source, taken, *rest))
    return _module(importlib.import_module(source), (*([taken] if taken else []), *rest), packages, guards)


def _path(*names: str) -> str:
    return ".".join(filter(None, names))


def _module(module: ModuleType, rest: tuple[str, ...], packages: frozenset[str], guards: list[Guard]) -> Meaning:
    if rest:
        return _inside(rest, module, packages, guards)
    return Own(module, module, module.__name__.rpartition(".")[2], ())


def _inside(chain: tuple[str, ...], module: ModuleType, packages: frozenset[str], guards: list[Guard]) -> Meaning:
    name, *others = chain
    rest = tuple(others)
    value = _attribute(module, name)
    guards.append(Guard(vars(module), name, vars(module).get(name, MISSING)))
    if name.startswith("__") and name.endswith("__"):
        return Unknown(_path(*chain))
    if value is MISSING:
        return Foreign(_path(*chain)) if hasattr(builtins, name) else Unknown(_path(*chain))
    if isinstance(value, ModuleType) and value.__name__.partition(".")[0] in packages:
        return _module(value, rest, packages, guards)
    imported = imports_of(tree_of(module), package_of(module)).get(name)
    if imported is not None and _still_there(imported.source, imported.taken, value, guards):
        if imported.source.partition(".")[0] not in packages:
            return Foreign(_path(imported.source, imported.taken, *rest))
        if imported.taken:
            return _inside((imported.taken, *rest), sys.modules[imported.source], packages, guards)
    return Own(value, module, name, rest)


def _attribute(module: ModuleType, name: str) -> object:
    """A module's attribute; a submodule that nobody has imported yet counts as one."""
    if name in vars(module):
        return vars(module)[name]
    found = getattr(module, name, MISSING)
    spec = module.__spec__
    if found is MISSING and spec is not None and spec.submodule_search_locations is not None:
        try:
            return importlib.import_module(f"{module.__name__}.{name}")
        except ModuleNotFoundError:
            return MISSING
    return found


def _still_there(source: str, taken: str, value: object, guards: list[Guard]) -> bool:
    """Whether a name holds what its import bound it to, and nobody has put something else there."""
    module = sys.modules.get(source)
    if module is None:
        return False
    if not taken:
        return value is module
    guards.append(Guard(vars(module), taken, vars(module).get(taken, MISSING)))
    held = vars(module).get(taken, sys.modules.get(f"{source}.{taken}", MISSING))
    return held is value or (held is MISSING and not isinstance(value, type | ModuleType))


def live(ref: Ref, module: ModuleType) -> Any:
    """The object that a name stands for; None if it is not loaded yet or does not exist."""
    found: object = sys.modules.get(ref.imported.source) if ref.imported else module
    steps = [ref.imported.taken, *ref.chain[1:]] if ref.imported and ref.imported.taken else list(ref.chain[1:])
    if ref.imported is None:
        steps = list(ref.chain)
        if steps[0] not in vars(module):
            found = builtins
    for step in steps:
        # Not getattr on a module, which can make a lazy library import large parts of itself.
        found = vars(found).get(step) if isinstance(found, ModuleType) else getattr(found, step, None)
    return found
