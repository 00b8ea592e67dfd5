"""Values as text: numbers, strings and containers by content, definitions by the number at which they were found."""

import enum
import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from ws.code.forms import Signature, signature_of
from ws.code.machinery import is_machinery
from ws.code.trees import written

SCALARS = frozenset({type(None), bool, int, float, complex, str, bytes, range})


class Opaque(Exception):
    """A value that cannot be written as text; the statement that makes it is used instead."""


class Values:
    """Writes values; a subclass decides what is written for definitions, registries and modules."""

    def __init__(self, packages: frozenset[str]) -> None:
        """`packages` are those whose code counts."""
        self.packages = packages
        self.changeable = False
        """Whether something that was written since this was reset may later hold something else."""
        self._open_closures: set[int] = set()

    def place(self, thing: Any, module: ModuleType, free: tuple[str, ...]) -> str:
        """The text for a function or class of ours; `free` are names that the functions around it bind."""
        raise NotImplementedError

    def free_order(self, thing: Any) -> tuple[str, ...]:
        """The free names of a function, in the order in which it uses them."""
        raise NotImplementedError

    def registry(self, label: str, made: object, entries: Callable[[], Mapping[str, Any]]) -> str:
        """What stands for a registry; `made` is the object that it is."""
        raise NotImplementedError

    def namespace(self, module: ModuleType) -> str:
        """The text for a module of ours that is passed around as a value."""
        raise NotImplementedError

    def write(self, label: str, value: object) -> str:
        """A value as text. `label` says where the value was found."""
        write = self.write
        match value:
            case _ if type(value) in SCALARS:
                return repr(value)
            case ModuleType():
                return self.namespace(value) if self.follows(value.__name__) else f"module {value.__name__}"
            case enum.Enum():
                return f"{write(label, type(value))}.{value.name}"
            case type():
                return self.definition(value)
            case FunctionType():
                return self.function(value)
            case BuiltinFunctionType():
                return name_of(value)
            case MethodType():
                return f"{write(label, value.__self__)}.{self.function(value.__func__)}"
            case functools.partial():
                return f"partial({write(label, (value.func, value.args, tuple(value.keywords.items())))})"
            case tuple() | list():
                self.changeable |= isinstance(value, list)
                parts = [write(f"{label}[{place}]", item) for place, item in enumerate(value)]
                return f"{self.definition(type(value))}({', '.join(parts)})"
            case set() | frozenset():
                self.changeable |= isinstance(value, set)
                return f"{self.definition(type(value))}({', '.join(sorted(write(label, item) for item in value))})"
            case WeakKeyDictionary() | WeakValueDictionary():
                # A cache: its present content is no part of the code, so the statement that makes it is used instead.
                raise Opaque(f"{label} is a {type(value).__name__}")
            case Mapping():
                return self._mapping(label, value)
            case _ if callable(getattr(value, "__wrapped__", None)):
                return write(label, inspect.unwrap(value))  # type: ignore[arg-type]
            case _ if is_dataclass(value) and self.is_ours(type(value).__module__):
                parts = [f"{key}={write(f'{label}.{key}', held)}" for key, held in _fields(value)]
                return f"{self.definition(type(value))}({', '.join(parts)})"
            case _:
                raise Opaque(f"{label} is a {type(value).__name__}")

    def _mapping(self, label: str, value: Mapping[Any, Any]) -> str:
        if is_registry(value):
            return self.registry(label, value, lambda: value)
        self.changeable = True
        parts = [f"{self.write(label, key)}: {self.write(label, item)}" for key, item in value.items()]
        return f"{{{', '.join(parts)}}}"

    def function(self, fn: Any, *, root: bool = False) -> str:
        """A function, with the values it closes over and the functions it dispatches to."""
        inner = inspect.unwrap(fn)
        held = _closure(inner) if root or self.is_ours(inner.__module__) else {}
        text = self.definition(inner, root=root, free=tuple(held))
        if hasattr(fn, "registry") and hasattr(fn, "dispatch"):
            text = f"{text} dispatching {self.registry(f'{name_of(fn)}.registry', fn, lambda: self._kinds(fn))}"
        if not held or id(inner) in self._open_closures:
            return text
        self.changeable = True
        self._open_closures.add(id(inner))
        order = [name for name in self.free_order(inner) if name in held]
        values = [self.write(f"{name_of(inner)}<{name}>", held[name]) for name in order]
        self._open_closures.discard(id(inner))
        return f"{text} with ({', '.join(values)})"

    def _kinds(self, fn: Any) -> dict[str, Any]:
        """What a function dispatches to, by the classes it goes by."""
        items = fn.registry.items()
        return {kind.__qualname__ if self.is_ours(kind.__module__) else name_of(kind): made for kind, made in items}

    def definition(self, thing: Any, *, root: bool = False, free: tuple[str, ...] = ()) -> str:
        """A function or class: one of ours by the number of its place, any other by its name."""
        if not root and not self.is_ours(thing.__module__):
            return name_of(thing)
        if not root and is_machinery(thing.__module__, thing.__qualname__):
            return str(thing.__qualname__)
        return self.place(thing, importlib.import_module(thing.__module__), free)

    def is_ours(self, module: str | None) -> bool:
        return module is not None and module.partition(".")[0] in self.packages

    def signature(self, value: Any) -> Signature | None:
        """What a caller of a thing may name; None where those names are not ours to choose."""
        inner = value.func if isinstance(value, functools.partial) else value
        is_known = isinstance(inner, type | FunctionType) or hasattr(inner, "__wrapped__")
        return signature_at(inner) if is_known and self.is_ours(getattr(inner, "__module__", None)) else None

    def follows(self, module: str, name: str = "") -> bool:
        return self.is_ours(module) and not is_machinery(module, name)


@cache
def signature_at(value: Any) -> Signature | None:
    """What a caller of a function or class of ours may name; None where those names are not free to choose."""
    if isinstance(value, type):
        made = next((vars(base)["__init__"] for base in value.__mro__ if "__init__" in vars(base)), None)
        known = signature_at(made) if isinstance(made, FunctionType) else None
        return Signature(known.names[1:]) if known is not None else None
    inner = inspect.unwrap(value)
    if not isinstance(inner, FunctionType):
        return None
    nodes = written(importlib.import_module(inner.__module__), inner)
    return signature_of(nodes[0].args) if nodes else None  # type: ignore[attr-defined]


def name_of(thing: Any) -> str:
    return f"{thing.__module__}:{thing.__qualname__}"


def is_registry(value: object) -> bool:
    """Whether a value is a dict that offers modules, functions, classes or records by name."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        return False
    return not all(map(is_plain, value.values()))


def is_plain(value: object) -> bool:
    """Whether a value consists of numbers and strings only."""
    if isinstance(value, Mapping):
        return all(map(is_plain, (*value.keys(), *value.values())))
    if isinstance(value, tuple | list | set | frozenset):
        return all(map(is_plain, value))
    return type(value) in SCALARS


def member_of(value: Any) -> Any:
    """The function behind a property, cached property, class or static method."""
    match value:
        case property():
            return value.fget
        case functools.cached_property():
            return value.func
        case classmethod() | staticmethod():
            return value.__func__
        case _:
            return value


def _fields(value: Any) -> list[tuple[str, Any]]:
    return [(field.name, getattr(value, field.name)) for field in fields(value)]


def _closure(fn: Any) -> dict[str, Any]:
    """The variables of outer functions that a function uses, except what `super()` needs."""
    cells = getattr(fn, "__closure__", None) or ()
    names = fn.__code__.co_freevars if cells else ()
    held = {name: cell.cell_contents for name, cell in zip(names, cells, strict=True)}
    return {name: value for name, value in held.items() if name != "__class__" and value is not fn}
