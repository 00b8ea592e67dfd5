"""The meaning of a name in a module: a thing of our own, or a thing of another library, by its full name."""

import builtins
import importlib
import sys
from types import ModuleType
from typing import Any, NamedTuple

from ws.store.code.forms import Ref
from ws.store.code.trees import imports_of, package_of, tree_of

_MISSING = object()


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


def meaning(ref: Ref, module: ModuleType, packages: frozenset[str]) -> Meaning:
    """The meaning of a name in the code of a module, followed through our own modules and their imports."""
    if ref.imported is None:
        return _inside(ref.chain, module, packages)
    source, taken = ref.imported
    rest = ref.chain[1:]
    if source.partition(".")[0] not in packages:
        return Foreign(".".join(filter(None, (source, taken, *rest))))
    return _module(importlib.import_module(source), (*([taken] if taken else []), *rest), packages)


def _module(module: ModuleType, rest: tuple[str, ...], packages: frozenset[str]) -> Meaning:
    return _inside(rest, module, packages) if rest else Own(module, module, module.__name__.rpartition(".")[2], ())


def _inside(chain: tuple[str, ...], module: ModuleType, packages: frozenset[str]) -> Meaning:
    name, *others = chain
    rest = tuple(others)
    value = _attribute(module, name)
    if name.startswith("__") and name.endswith("__"):
        return Unknown(".".join(chain))
    if value is _MISSING:
        return Foreign(".".join(chain)) if hasattr(builtins, name) else Unknown(".".join(chain))
    if isinstance(value, ModuleType) and value.__name__.partition(".")[0] in packages:
        return _module(value, rest, packages)
    imported = imports_of(tree_of(module), package_of(module)).get(name)
    if imported is not None and _still_there(imported.source, imported.taken, value):
        if imported.source.partition(".")[0] not in packages:
            return Foreign(".".join(filter(None, (imported.source, imported.taken, *rest))))
        if imported.taken:
            return _inside((imported.taken, *rest), sys.modules[imported.source], packages)
    return Own(value, module, name, rest)


def _attribute(module: ModuleType, name: str) -> object:
    """A module's attribute; a submodule that nobody has imported yet counts as one."""
    if name in vars(module):
        return vars(module)[name]
    found = getattr(module, name, _MISSING)
    spec = module.__spec__
    if found is _MISSING and spec is not None and spec.submodule_search_locations is not None:
        try:
            return importlib.import_module(f"{module.__name__}.{name}")
        except ModuleNotFoundError:
            return _MISSING
    return found


def _still_there(source: str, taken: str, value: object) -> bool:
    """Whether a name still holds what its import bound it to, and was not replaced."""
    module = sys.modules.get(source)
    if module is None:
        return False
    if not taken:
        return value is module
    held = vars(module).get(taken, sys.modules.get(f"{source}.{taken}", _MISSING))
    return held is value or (held is _MISSING and not isinstance(value, type | ModuleType))


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
