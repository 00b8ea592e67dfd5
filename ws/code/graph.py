"""Definitions and what they refer to: looked up once, and again where a name has come to mean something else."""

import importlib
import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from types import ModuleType
from typing import Any

from ws.code.forms import Form, Ref
from ws.code.items import Edge, Item, Meanings, Piece, Resolved
from ws.code.names import MISSING, Foreign, Guard, Own, Unknown, meaning
from ws.code.normal import form_of, statements_form
from ws.code.trees import changed, statements_of, tree_of, written
from ws.code.values import Opaque, Values, is_registry, name_of
from ws.errors import StoreError

_MARK = "\0"
"""Around what stands for an edge; no text in a normal form has it, since strings are written with escapes."""

_MARKS = re.compile(f"{_MARK}(\\w+) (\\d+){_MARK}")


def marked(kind: str, number: int) -> str:
    """What stands for an edge in text."""
    return f"{_MARK}{kind} {number}{_MARK}"


def split(text: str) -> tuple[Piece, ...]:
    """Text with its marks as edges."""
    if _MARK not in text:
        return (text,)
    parts = _MARKS.split(text)
    found: list[Piece] = []
    for plain, kind, number in zip(parts[::3], [*parts[1::3], ""], [*parts[2::3], ""], strict=True):
        found += [plain] if plain else []
        found += [Edge(kind, int(number))] if kind else []
    return tuple(found)


@cache
def graph_of(packages: frozenset[str]) -> "Graph":
    """The graph of the code of some packages, one a process."""
    return Graph(packages)


class Graph(Values):
    """All that was looked at so far; numbers of places mean nothing beyond this process."""

    def __init__(self, packages: frozenset[str]) -> None:
        super().__init__(packages)
        self.items: list[Item] = []
        self.registries: list[tuple[str, Callable[[], Mapping[str, Any]]]] = []
        self.modules: list[ModuleType] = []
        self._places: dict[object, int] = {}
        self._kept: list[object] = []
        """Objects that places go by the id of: they must not make room for another."""

    def resolved(self, number: int) -> Resolved:
        """A definition with its names looked up."""
        item = self.items[number]
        known, form = item.resolved, item.form()
        if known is None or known.form is not form or not self._still_true(known):
            known = item.resolved = self._resolve(item, form)
        return known

    def _still_true(self, known: Resolved) -> bool:
        if not all([holder.get(name, MISSING) is value for holder, name, value in known.guards]):
            return False
        return all(self.write(label, value) == text for label, value, text in known.changeable)

    def _resolve(self, item: Item, form: Form) -> Resolved:
        meanings = Meanings()
        guards: list[Guard] = []
        changeable: list[tuple[str, object, str]] = []
        read = set(form.attributes)
        constants: dict[str, str] = {}
        free = item.free_order()
        for ref in form.refs:
            if ref.imported is None and ref.chain[0] in free:
                read.update(ref.chain[1:])
                meanings.texts[ref] = (".".join((f"free{free.index(ref.chain[0])}", *ref.chain[1:])),)
                continue
            found = meaning(ref, item.module, self.packages, guards)
            if isinstance(found, Own):
                read.update(found.rest)
                label, text, may_change = self.global_text(found)
                changeable += [(label, found.value, text)] if may_change else []
                constants |= {} if text.startswith(_MARK) else {label: text}
                meanings.texts[ref] = split(".".join((text, *found.rest)))
                if not found.rest and callable(found.value):
                    meanings.signatures[ref] = self.signature(found.value)
            else:
                read.update(() if isinstance(found, Foreign) else ref.chain[1:])
                meanings.texts[ref] = (found.path,)
                meanings.signatures |= {ref: None} if isinstance(found, Foreign) else {}
        return Resolved(
            form,
            meanings.pieces(form),
            tuple(guards),
            tuple(changeable),
            frozenset(read),
            frozenset(meanings.given(form)),
            meanings.spread(form),
            constants,
            tuple(item.offers()),
        )

    def global_text(self, found: Own) -> tuple[str, str, bool]:
        """A global of a module of ours: its label, its text, and whether it may be changed where it is."""
        label = f"{found.module.__name__}.{found.name}"
        if not self.follows(found.module.__name__, found.name):
            return label, found.name, False
        if found.name in changed(tree_of(found.module)) and not is_registry(found.value):
            return label, self._statements(found.module, found.name), False
        before, self.changeable = self.changeable, False
        try:
            text, may_change = self.write(label, found.value), self.changeable
        except Opaque:
            text, may_change = self._statements(found.module, found.name), False
        self.changeable = before
        return label, text, may_change

    def _statements(self, module: ModuleType, name: str) -> str:
        """The statements that make a global."""
        statements = tuple(statements_of(tree_of(module), name))
        if not statements:
            raise StoreError(
                f"cannot tell how {module.__name__}.{name} is made, so no key covers it; "
                "assign it, or import it by name, at the top of its module"
            )
        form = partial(statements_form, statements, name, module)
        label = f"{module.__name__}.{name}, as it is made"
        return marked("definition", self._number(("statements", statements, name), lambda: Item(label, module, form)))

    def _number(self, key: object, make: Callable[[], Item]) -> int:
        if key not in self._places:
            self._places[key] = len(self.items)
            self.items.append(make())
        return self._places[key]

    # What values are made of

    def place(self, thing: Any, module: ModuleType, free: tuple[str, ...]) -> str:
        nodes = written(module, thing)
        if not nodes:
            raise Opaque(f"{name_of(thing)} is not written in {module.__name__}")
        return "|".join(marked("definition", self._definition(thing, node, module, free)) for node in nodes)

    def _definition(self, thing: Any, node: Any, module: ModuleType, free: tuple[str, ...]) -> int:
        form = partial(form_of, node, module)
        return self._number(node, lambda: Item(name_of(thing), module, form, _is_method(thing, node), free))

    def free_order(self, thing: Any) -> tuple[str, ...]:
        node = written(importlib.import_module(thing.__module__), thing)[0]
        return self.items[self._places[node]].free_order()

    def registry(self, label: str, made: object, entries: Callable[[], Mapping[str, Any]]) -> str:
        key = "registry", label, id(made)
        if key not in self._places:
            self._kept.append(made)
            self._places[key] = len(self.registries)
            self.registries.append((label, entries))
        return marked("registry", self._places[key])

    def namespace(self, module: ModuleType) -> str:
        key = "module", id(module)
        if key not in self._places:
            self._places[key] = len(self.modules)
            self.modules.append(module)
        return marked("module", self._places[key])

    def member(self, module: ModuleType, name: str) -> Own | Foreign | Unknown:
        """What a module that is passed around has under a name."""
        return meaning(Ref((name,)), module, self.packages, [])


def _is_method(thing: Any, node: Any) -> bool:
    """Whether a function is written in a class and is handed the object it is read from."""
    inside = thing.__qualname__.rpartition(".")[0]
    is_static = any(getattr(found, "id", "") == "staticmethod" for found in getattr(node, "decorator_list", []))
    return bool(inside) and not inside.endswith("<locals>") and not is_static and not isinstance(thing, type)
