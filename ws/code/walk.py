"""The code that one function reaches, numbered in the order in which it is found."""

import hashlib
import importlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from ws.code.forms import Signature
from ws.code.graph import Graph, split
from ws.code.items import Edge, Named, Piece, Resolved
from ws.code.machinery import WORDING
from ws.code.names import Foreign, Own
from ws.code.trees import tree_of, uses, written
from ws.code.values import Opaque, member_of
from ws.errors import StoreError

_CHECKS = "__post_init__"
"""What refuses bad fields; it changes nothing that a key does not say."""


class Walk:
    """What was found so far, and what is still to be looked at."""

    def __init__(self, graph: Graph, only: frozenset[str], owners: Collection[type]) -> None:
        self._graph = graph
        self._only = only
        bases = {base for owner in owners for base in owner.__mro__}
        ours = (base for base in bases if graph.follows(base.__module__, base.__qualname__))
        self._owners = sorted(ours, key=lambda cls: (cls.__qualname__, cls.__module__))
        self._numbers: dict[Edge, int] = {}
        self._found: dict[str, list[int]] = {"definition": [], "registry": [], "module": []}
        """Places in the graph of what was found, in order."""
        self._resolved: list[Resolved] = []
        self._lines: dict[str, tuple[Piece, ...]] = {}
        """Entries of registries, members of modules and of what is handed over."""
        self._read: set[str] = set()
        self._asked: set[str] = set()

    def start(self, fn: Callable[..., Any]) -> None:
        """Follow everything; what is found late can open registries and members seen early."""
        self._line("root", "root", self._graph.function(fn, root=True))
        definitions = self._found["definition"]
        known = -1
        while known != len(self._lines) + len(definitions):
            known = len(self._lines) + len(definitions)
            while len(self._resolved) < len(definitions):
                self._follow(self._graph.resolved(definitions[len(self._resolved)]))
            self._open_registries()
            self._open_modules()
            self._open_owners()

    def hash(self) -> str:
        """Of every definition in the order they were found, and of every line."""
        return hashlib.sha256(
            "\n".join([*self._texts(), *map(self._line_text, self._lines.values())]).encode()
        ).hexdigest()

    def parts(self) -> dict[str, str]:
        """The text of every definition, constant and line by its name, with names for numbers."""
        items = [self._graph.items[place] for place in self._found["definition"]]
        texts = {label: text for known in self._resolved for label, text in known.constants.items()}
        texts |= {label: self._line_text(pieces, self._label) for label, pieces in self._lines.items()}
        for place, (item, text) in enumerate(zip(items, self._texts(self._label), strict=True)):
            texts[item.label if item.label not in texts else f"{item.label} ({place})"] = text
        return texts

    def _label(self, edge: Edge) -> str:
        if edge.kind == "definition":
            return f"<{self._graph.items[edge.number].label}>"
        if edge.kind == "registry":
            return f"<registry {self._graph.registries[edge.number][0]}>"
        return f"<module {self._graph.modules[edge.number].__name__}>"

    def _follow(self, known: Resolved) -> None:
        self._resolved.append(known)
        self._read |= known.read
        self._asked |= known.form.asked
        self._number(known.edges)

    def _number(self, edges: Iterable[Edge]) -> None:
        for edge in edges:
            if edge not in self._numbers:
                places = self._found[edge.kind]
                self._numbers[edge] = len(places)
                places.append(edge.number)

    def _line(self, label: str, place: str, text: str) -> None:
        pieces = split(f"{place} = {text}")
        self._lines[label] = pieces
        self._number(piece for piece in pieces if isinstance(piece, Edge))

    # What is opened by the names that are asked for

    def _open_registries(self) -> None:
        for place, number in enumerate(list(self._found["registry"])):
            label, entries = self._graph.registries[number]
            registry: Mapping[str, Any] = entries()
            asked = self._only & registry.keys()
            kept = asked | (self._asked & registry.keys()) if asked else registry.keys()
            for name in sorted(kept):
                self._entry(f"{label}[{name!r}]", f"registry {place}[{name!r}]", registry[name])

    def _open_modules(self) -> None:
        """Of a module that is passed around counts what reached code reads an attribute of that name of."""
        for place, number in enumerate(list(self._found["module"])):
            module = self._graph.modules[number]
            self._lines.setdefault(f"module {module.__name__}", (f"module {place}",))
            for name in sorted(self._read & vars(module).keys()):
                label = f"member {module.__name__}.{name}"
                if label in self._lines:
                    continue
                found = self._graph.member(module, name)
                if isinstance(found, Own):
                    self._line(label, f"module {place}.{name}", self._graph.global_text(found)[1])
                elif isinstance(found, Foreign) and name not in uses(tree_of(module)):
                    self._line(label, f"module {place}.{name}", found.path)

    def _open_owners(self) -> None:
        for cls in self._owners:
            for name in sorted((self._read & _members(cls)) | _called_by_python(cls)):
                label = f"{cls.__qualname__}.{name}"
                self._entry(f"member {cls.__module__}:{label}", f"member {label}", member_of(vars(cls)[name]))

    def _entry(self, label: str, place: str, value: object) -> None:
        if label in self._lines:
            return
        try:
            self._line(label, place, self._graph.write(label, value))
        except Opaque as opaque:
            raise StoreError(
                f"no key can cover {label}: {opaque}; registries and recipe classes hold "
                "modules, functions, classes, dataclasses and plain values"
            ) from None

    # Text

    def _texts(self, labelled: Callable[[Edge], str] | None = None) -> Iterable[str]:
        """The definitions in order, with everything that was left open filled in."""
        methods = self._methods()
        shown = {name for known in self._resolved for name in known.given}
        shown |= {name for known in self._resolved for word in known.named for name in _unplaced(word, methods)}
        for known in self._resolved:
            shown.update(name for method in known.spread for one in methods.get(method, []) for name in one.names)
        marks = {edge: labelled(edge) if labelled else _mark(edge, place) for edge, place in self._numbers.items()}
        for known in self._resolved:
            open_holes = {word: _placed(word, methods) for word in known.named}
            if shown.isdisjoint(known.parameters):
                yield _filled(known.nameless, marks | open_holes if open_holes else marks)
            else:
                names = {name: f":{name.name}" if name.name in shown else "" for name in known.parameter_pieces}
                yield _filled(known.pieces, marks | open_holes | names)

    def _methods(self) -> dict[str, list[Signature]]:
        """What can be called by the names that reached code calls methods by, giving arguments by name."""
        called = {word.method for known in self._resolved for word in known.named}
        called |= {method for known in self._resolved for method in known.spread}
        found: dict[str, list[Signature]] = {}
        for known in self._resolved:
            for name, signature in known.offers:
                if name in called:
                    found.setdefault(name, []).append(signature)
        return found

    def _line_text(self, pieces: Iterable[Piece], labelled: Callable[[Edge], str] | None = None) -> str:
        edges = (piece for piece in pieces if isinstance(piece, Edge))
        return _filled(
            pieces, {edge: labelled(edge) if labelled else _mark(edge, self._numbers[edge]) for edge in edges}
        )


def _mark(edge: Edge, place: int) -> str:
    """What stands for what was found in some place; no other text has zeros, since strings are written with escapes."""
    return f"\0{edge.kind} {place}\0"


def _filled(pieces: Iterable[Piece], texts: Mapping[Any, str]) -> str:
    return "".join([piece if isinstance(piece, str) else texts[piece] for piece in pieces])


def _placed(word: Named, methods: Mapping[str, list[Signature]]) -> str:
    place = _place(word, methods)
    return word.name if place is None else f"@{place}"


def _place(word: Named, methods: Mapping[str, list[Signature]]) -> int | None:
    """Where all methods of a name have an argument, None if they differ or there is none."""
    places = {signature.place(word.name) for signature in methods.get(word.method, [])}
    return places.pop() if len(places) == 1 else None


def _unplaced(word: Named, methods: Mapping[str, list[Signature]]) -> tuple[str, ...]:
    return (word.name,) if _place(word, methods) is None else ()


@cache
def _members(cls: type) -> frozenset[str]:
    """The members of what is handed over that count where they are read by name."""
    state = {field.name for field in fields(cls)} if is_dataclass(cls) else set()
    return frozenset(name for name in vars(cls) if not name.startswith("__")) - state - WORDING


@cache
def _called_by_python(cls: type) -> frozenset[str]:
    """The members that count since Python itself calls them."""
    names = (name for name in vars(cls) if name.startswith("__") and name != _CHECKS)
    module = importlib.import_module(cls.__module__)
    values = ((name, member_of(vars(cls)[name])) for name in names)
    return frozenset(name for name, value in values if hasattr(value, "__code__") and written(module, value))
