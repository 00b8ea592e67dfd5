"""Definitions and what the names in them turned out to mean."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import NamedTuple

from ws.code.forms import Callee, Form, Keyword, Parameter, Ref, Signature, joined
from ws.code.names import Guard


class Edge(NamedTuple):
    """What a definition refers to: a "definition", "registry" or "module" by the number of its place in the graph."""

    kind: str
    number: int


class Named(NamedTuple):
    """An argument that a call gives by name to a method, of whichever class."""

    name: str
    method: str


Piece = str | Edge | Named | Parameter


@dataclass(frozen=True, eq=False)
class Resolved:
    """The text of a definition with its names looked up."""

    form: Form
    pieces: tuple[Piece, ...]
    guards: tuple[Guard, ...]
    changeable: tuple[tuple[str, object, str], ...]
    """Label, value and text of constants that may be changed where they are."""
    read: frozenset[str]
    """Names of attributes that are read of what is ours, or may be."""
    given: frozenset[str]
    """Names of arguments that it gives to who knows what."""
    spread: frozenset[str]
    """Names of methods that it calls with `**`."""
    constants: dict[str, str]
    """Constants by name, for people."""
    offers: tuple[tuple[str, Signature], ...]
    """What of it can be called as a method, by name."""

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        return tuple(dict.fromkeys(piece for piece in self.pieces if isinstance(piece, Edge)))

    @cached_property
    def nameless(self) -> tuple[Piece, ...]:
        """Its pieces without names of parameters."""
        return tuple(joined(piece for piece in self.pieces if not isinstance(piece, Parameter)))

    @cached_property
    def parameters(self) -> frozenset[str]:
        """What its signatures call their parameters."""
        return frozenset(piece.name for piece in self.parameter_pieces)

    @cached_property
    def parameter_pieces(self) -> frozenset[Parameter]:
        return frozenset(piece for piece in self.pieces if isinstance(piece, Parameter))

    @cached_property
    def named(self) -> frozenset[Named]:
        return frozenset(piece for piece in self.pieces if isinstance(piece, Named))


@dataclass(eq=False)
class Item:
    """A definition, or the statements that make a global."""

    label: str
    module: ModuleType
    form: Callable[[], Form]
    is_method: bool = False
    """Whether it is a method of a class and not static."""
    free: tuple[str, ...] = ()
    """Names that the functions around it bind."""
    resolved: Resolved | None = None

    def free_order(self) -> tuple[str, ...]:
        """Names that the functions around it bind, in the order in which it uses them."""
        used = (ref.chain[0] for ref in self.form().refs if ref.imported is None)
        return tuple(dict.fromkeys(name for name in used if name in self.free))

    def offers(self) -> Iterable[tuple[str, Signature]]:
        """What of it can be called as a method, by name."""
        form = self.form()
        yield from form.methods.items()
        if form.signature is not None and form.name:
            yield form.name, Signature(form.signature.names[1:] if self.is_method else form.signature.names)


@dataclass
class Meanings:
    """What the names in one definition mean: their text, and the signature of what can be called.

    An argument passed by name is written as its place in the signature of what is called, so that a parameter may be
    renamed together with all its calls. If it cannot be told what is called, the name itself is written, here and in
    every signature that has it.
    """

    texts: dict[Ref, tuple[Piece, ...]] = field(default_factory=dict)
    signatures: dict[Ref, Signature | None] = field(default_factory=dict)
    """None where a thing's parameters are not ours to name."""

    def pieces(self, form: Form) -> tuple[Piece, ...]:
        found: list[Piece] = []
        for piece in form.pieces:
            match piece:
                case Ref():
                    found.extend(self.texts[piece])
                case Keyword():
                    found.append(self._keyword(piece))
                case _:
                    found.append(piece)
        return tuple(joined(found))

    def _keyword(self, word: Keyword) -> str | Named:
        place = self._place(word)
        method = self._method(word.callee)
        if place is not None:
            return f"@{place}"
        return Named(word.name, method) if method else word.name

    def _place(self, word: Keyword) -> int | None:
        known = None if word.callee.ref is None else self.signatures.get(word.callee.ref)
        return None if known is None else known.place(word.name)

    def _method(self, callee: Callee) -> str:
        """The name of the method that a call calls, empty if it calls anything else."""
        if callee.ref is None:
            return callee.method
        is_method = callee.ref not in self.signatures and len(callee.ref.chain) > 1
        return callee.ref.chain[-1] if is_method else ""

    def _is_foreign(self, callee: Callee) -> bool:
        return callee.ref is not None and callee.ref in self.signatures and self.signatures[callee.ref] is None

    def given(self, form: Form) -> Iterable[str]:
        """The names of arguments that go to who knows what."""
        for word in form.keywords:
            if not self._is_foreign(word.callee) and not self._method(word.callee) and self._place(word) is None:
                yield word.name
        for callee in form.spread:
            if not self._is_foreign(callee):
                known = None if callee.ref is None else self.signatures.get(callee.ref)
                yield from (*form.strings, *(known.names if known else ()))

    def spread(self, form: Form) -> frozenset[str]:
        """The methods that are called with `**`."""
        return frozenset(filter(None, map(self._method, form.spread)))
