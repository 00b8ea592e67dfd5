"""The source code behind a result, as one hash that changes exactly if the code could change the result.

The walk starts at one function and follows every global name to code or constants of `ws` or of the function's own
package, until nothing new is found. Definitions are hashed in their normal form (`ws.store.code.normal`), in which they
refer to each other by the number at which the walk found them. So their names, modules and order do not matter.
Constants are hashed by value, things of other libraries by the name they are imported under. Not followed: other
libraries, data files and modules imported under a computed name.

A dict of modules, functions, classes or records is a registry: code that asks for one entry does not depend on others.
"""

import hashlib
import importlib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, is_dataclass
from types import ModuleType
from typing import Any

from ws.errors import StoreError
from ws.store.code.forms import Ref
from ws.store.code.items import Filling, Item
from ws.store.code.machinery import WORDING
from ws.store.code.names import Foreign, Own, meaning, package_names
from ws.store.code.normal import form_of, statements_form
from ws.store.code.trees import changed, statements_of, tree_of, uses, written
from ws.store.code.values import Opaque, Values, is_registry, member_of, name_of

_MARK = "\0"
"""Put around the number of a definition; it cannot occur in a normal form, where strings are written with escapes."""

_CHECKS = "__post_init__"
"""The method that only checks fields; it cannot change a result, since the fields are in the key."""


def source_hash(fn: Callable[..., Any], *, only: Collection[str] = (), owners: Collection[type] = ()) -> str:
    """The sha256 of all the source that `fn` can reach.

    `only` are names that narrow registries: a registry with some of these names counts only with their entries and
    with entries that reached code asks for by a literal name; a registry with none of them counts whole. `owners` are
    classes of objects passed to `fn`: a member of theirs counts if reached code reads an attribute of its name.

    Raises: StoreError if the source of something reached is not found, or was edited since the process began.
    """
    return _walked(fn, only, owners).hash()


def reached(fn: Callable[..., Any], *, only: Collection[str] = (), owners: Collection[type] = ()) -> dict[str, str]:
    """The texts that `source_hash` of the same arguments covers, by name: compare two to see why a key changed."""
    return _walked(fn, only, owners).parts()


def _walked(fn: Callable[..., Any], only: Collection[str], owners: Collection[type]) -> "_Walk":
    walk = _Walk(package_names(fn.__module__), frozenset(only), tuple(owners))
    walk.start(fn)
    return walk


class _Walk(Values):
    """The definitions found so far, and those still to be followed."""

    def __init__(self, packages: frozenset[str], only: frozenset[str], owners: tuple[type, ...]) -> None:
        super().__init__()
        self.packages = packages
        self._only = only
        self._owners = sorted({base for owner in owners for base in owner.__mro__}, key=_by_name)
        self._items: list[Item] = []
        self._places: dict[object, int] = {}
        self._globals: dict[tuple[str, str], str] = {}
        self._lines: dict[str, str] = {}
        """Entries of registries, and members of modules and of owners."""
        self._registries: dict[str, Mapping[str, Any]] = {}
        self._namespaces: dict[str, ModuleType] = {}
        self._attributes: set[str] = set()
        self._asked: set[str] = set()

    def start(self, fn: Callable[..., Any]) -> None:
        """Follow everything from `fn` on, in rounds, since code found late may use entries or members seen early."""
        try:
            self._lines["root"] = self.function(fn, root=True)
        except Opaque as missing:
            raise StoreError(
                f"cannot find the source of {name_of(fn)} ({missing}), so no key covers it; "
                "define it with def, at the top of a module in a file"
            ) from None
        looked, known = 0, -1
        while known != len(self._lines) + len(self._items):
            known = len(self._lines) + len(self._items)
            while looked < len(self._items):
                self._follow(self._items[looked])
                looked += 1
            self._open_registries()
            self._open_namespaces()
            self._open_owners()

    def hash(self) -> str:
        """The hash of every definition, in the order of finding, and of every line."""
        filling = Filling(self._items)
        texts = (*map(filling.text, self._items), *self._lines.values())
        return hashlib.sha256("\n".join(texts).encode()).hexdigest()

    def parts(self) -> dict[str, str]:
        """The text of every definition, constant and line by its name, with names instead of numbers."""
        filling = Filling(self._items)
        constants = {".".join(key): text for key, text in self._globals.items() if not text.startswith(_MARK)}
        texts = constants | self._lines
        for place, item in enumerate(self._items):
            label = item.label if item.label not in texts else f"{item.label} ({place})"
            texts[label] = filling.text(item)
        return {label: re.sub(f"{_MARK}(\\d+){_MARK}", self._label, text) for label, text in texts.items()}

    def _label(self, mark: re.Match[str]) -> str:
        return f"<{self._items[int(mark[1])].label}>"

    def _follow(self, item: Item) -> None:
        self._attributes |= item.form.attributes
        self._asked |= item.form.asked
        for ref in item.form.refs:
            if ref.chain[0] in item.free and ref.imported is None:
                order = self._free_of(item).index(ref.chain[0])
                item.texts[ref] = ".".join((f"free{order}", *ref.chain[1:]))
            else:
                self._name(item, ref)

    def _name(self, item: Item, ref: Ref) -> None:
        """What a name in a definition means, as text and as something to call."""
        found = meaning(ref, item.module, self.packages)
        if not isinstance(found, Own):
            item.texts[ref] = found.path
            if isinstance(found, Foreign):
                item.signatures[ref] = None
            return
        self._attributes.update(ref.chain[1:])
        item.texts[ref] = ".".join((self._global(found.module, found.name, found.value), *found.rest))
        if not found.rest and callable(found.value):
            item.signatures[ref] = self.signature(found.value)

    def _global(self, module: ModuleType, name: str, value: object) -> str:
        """A global of a module of ours as text."""
        if not self.follows(module.__name__, name):
            return name
        key = module.__name__, name
        if key not in self._globals and name in changed(tree_of(module)) and not is_registry(value):
            self._globals[key] = self._statements(module, name)
        if key not in self._globals:
            try:
                self._globals[key] = self.write(".".join(key), value)
            except Opaque:
                self._globals[key] = self._statements(module, name)
        return self._globals[key]

    def _statements(self, module: ModuleType, name: str) -> str:
        """The statements that make a global."""
        statements = statements_of(tree_of(module), name)
        if not statements:
            raise StoreError(
                f"cannot tell how {module.__name__}.{name} is made, so no key covers it; "
                "assign it, or import it by name, at the top of its module"
            )
        key = "statements", module.__name__, name
        if key not in self._places:
            form = statements_form(tuple(statements), name, module)
            self._add(key, Item(f"{module.__name__}.{name}, as it is made", form, module))
        return self._marked(key)

    # What values are made of

    def place(self, thing: Any, module: ModuleType, free: tuple[str, ...]) -> str:
        nodes = written(module, thing)
        if not nodes:
            raise Opaque(f"{name_of(thing)} is not written in {module.__name__}")
        for node in nodes:
            if id(node) not in self._places:
                self._add(id(node), Item(name_of(thing), form_of(node, module), module, is_method(thing, node), free))
        return "|".join(self._marked(id(node)) for node in nodes)

    def free_order(self, thing: Any) -> tuple[str, ...]:
        nodes = written(importlib.import_module(thing.__module__), thing)
        return self._free_of(self._items[self._places[id(nodes[0])]])

    def _free_of(self, item: Item) -> tuple[str, ...]:
        used = (ref.chain[0] for ref in item.form.refs if ref.imported is None)
        return tuple(dict.fromkeys(name for name in used if name in item.free))

    def _add(self, key: object, item: Item) -> None:
        self._places[key] = len(self._items)
        self._items.append(item)

    def _marked(self, key: object) -> str:
        return f"{_MARK}{self._places[key]}{_MARK}"

    def registry(self, label: str, value: Mapping[str, Any]) -> str:
        self._registries.setdefault(label, value)
        return f"registry {list(self._registries).index(label)}"

    def namespace(self, module: ModuleType) -> str:
        self._namespaces.setdefault(module.__name__, module)
        return f"module {list(self._namespaces).index(module.__name__)}"

    # What is opened by the names that are asked for

    def _open_registries(self) -> None:
        for place, (label, registry) in enumerate(list(self._registries.items())):
            asked = self._only & registry.keys()
            kept = asked | (self._asked & registry.keys()) if asked else registry.keys()
            for name in sorted(kept):
                self._entry(f"{label}[{name!r}]", f"registry {place}[{name!r}]", registry[name])

    def _open_namespaces(self) -> None:
        """Of a module that is passed around, members count whose names reached code reads as attributes."""
        for place, module in enumerate(list(self._namespaces.values())):
            self._lines.setdefault(f"module {module.__name__}", f"module {place}")
            for name in sorted(self._attributes & vars(module).keys()):
                found = meaning(Ref((name,)), module, self.packages)
                label = f"member {module.__name__}.{name}"
                if isinstance(found, Own) and label not in self._lines:
                    text = self._global(found.module, found.name, found.value)
                    self._lines[label] = f"module {place}.{name} = {text}"
                elif isinstance(found, Foreign) and name not in uses(tree_of(module)):
                    self._lines[label] = f"module {place}.{name} = {found.path}"

    def _open_owners(self) -> None:
        for cls in self._owners:
            if self.follows(cls.__module__, cls.__qualname__):
                for name in self._members(cls):
                    label = f"{cls.__qualname__}.{name}"
                    self._entry(f"member {cls.__module__}:{label}", f"member {label}", member_of(vars(cls)[name]))

    def _members(self, cls: type) -> list[str]:
        """The members of an owner that count: those that are read by name, and those that Python itself calls."""
        state = {field.name for field in fields(cls)} if is_dataclass(cls) else set()
        own = {name for name in vars(cls) if name.startswith("__") and self._is_written(cls, name)}
        read = {name for name in self._attributes & vars(cls).keys() if not name.startswith("__")}
        return sorted((own | read) - state - WORDING - {_CHECKS})

    def _is_written(self, cls: type, name: str) -> bool:
        value = member_of(vars(cls)[name])
        return hasattr(value, "__code__") and bool(written(importlib.import_module(cls.__module__), value))

    def _entry(self, label: str, place: str, value: object) -> None:
        if label in self._lines:
            return
        try:
            self._lines[label] = f"{place} = {self.write(label, value)}"
        except Opaque as opaque:
            raise StoreError(
                f"no key can cover {label}: {opaque}; registries and recipe classes hold "
                "modules, functions, classes, dataclasses and plain values"
            ) from None


def _by_name(cls: type) -> tuple[str, str]:
    return cls.__qualname__, cls.__module__


def is_method(thing: Any, node: Any) -> bool:
    """Whether a function is written in a class and is handed the object it is read from."""
    inside = thing.__qualname__.rpartition(".")[0]
    is_static = any(getattr(found, "id", "") == "staticmethod" for found in getattr(node, "decorator_list", []))
    return bool(inside) and not inside.endswith("<locals>") and not is_static and not isinstance(thing, type)
