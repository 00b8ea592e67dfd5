"""The normal form of a piece of code: its text without what cannot change results, and holes for what it refers to."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from ws.code.trees import Import


class Ref(NamedTuple):
    """A name from outside with the attributes read from it: `ws.train.fit` is ("ws", "train", "fit")."""

    chain: tuple[str, ...]
    imported: Import | None = None
    """What an import inside the function binds the first name to."""


class Callee(NamedTuple):
    """The thing that a call calls: something with a name from outside, a method of some name, or something unknown."""

    ref: Ref | None = None
    method: str = ""


class Keyword(NamedTuple):
    """The name that a call gives an argument."""

    name: str
    callee: Callee


class Parameter(NamedTuple):
    """The name that a signature gives an argument."""

    name: str


class Signature(NamedTuple):
    """The parameters that a caller may pass by name, in order."""

    names: tuple[str, ...]

    def place(self, name: str) -> int | None:
        return self.names.index(name) if name in self.names else None


@dataclass(frozen=True, eq=False)
class Form:
    """The normal form of one definition, or of the statements that make a global, and what it refers to."""

    pieces: tuple[str | Ref | Keyword | Parameter, ...]
    attributes: frozenset[str]
    """Names of attributes that are read."""
    asked: frozenset[str]
    """Strings that it passes to a function or uses as an index."""
    spread: frozenset[Callee]
    """The things that it calls with `**`."""
    strings: frozenset[str]
    """Its strings if it calls something with `**`, since they may then be names of arguments."""
    signature: Signature | None = None
    """The signature of a function."""
    name: str = ""
    """The name of a function, under which a module or class may offer it."""
    methods: Mapping[str, Signature] = field(default_factory=dict)
    """The signatures of a class's methods, without `self`."""

    @cached_property
    def refs(self) -> tuple[Ref, ...]:
        """The names from outside that it refers to, each once, in order."""
        return tuple(dict.fromkeys(piece for piece in self.pieces if isinstance(piece, Ref)))

    @cached_property
    def keywords(self) -> tuple[Keyword, ...]:
        """The arguments that it passes by name, each once."""
        return tuple(dict.fromkeys(piece for piece in self.pieces if isinstance(piece, Keyword)))


def signature_of(args: ast.arguments, *, bound: bool = False) -> Signature:
    """The parameters that a caller may pass by name, without the first if it is `bound` (`self` or `cls`)."""
    names = tuple(arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs))
    return Signature(names[1:] if bound else names)


def joined(pieces: Iterable[Any]) -> Iterator[Any]:
    """The pieces with neighbouring text in one."""
    text: list[str] = []
    for piece in pieces:
        if isinstance(piece, str):
            text.append(piece)
            continue
        if text:
            yield "".join(text)
            text = []
        yield piece
    if text:
        yield "".join(text)
