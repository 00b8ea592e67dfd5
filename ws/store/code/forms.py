"""The normal form of a piece of code: its text without what does not matter, with holes for what it refers to."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from ws.store.code.trees import Import


class Ref(NamedTuple):
    """A name from outside with the attributes read from it: `ws.train.fit` is ("ws", "train", "fit")."""

    chain: tuple[str, ...]
    imported: Import | None = None
    """What an import inside the function binds the first name to."""


class Callee(NamedTuple):
    """What a call calls: something with a name from outside, a method of that name, or else who knows."""

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
    """The parameters that a caller may name, in order."""

    names: tuple[str, ...]

    def place(self, name: str) -> int | None:
        return self.names.index(name) if name in self.names else None


@dataclass(frozen=True, eq=False)
class Form:
    """What one definition, or the statements that make a global, say and what they refer to."""

    pieces: tuple[str | Ref | Keyword | Parameter, ...]
    attributes: frozenset[str]
    """Names of attributes that are read."""
    asked: frozenset[str]
    """Strings it calls a function or indexes something with."""
    spread: frozenset[Callee]
    """What it calls with `**`."""
    strings: frozenset[str]
    """Its strings, where they may name arguments: those of code that calls with `**`."""
    signature: Signature | None = None
    """Of a function."""
    name: str = ""
    """What a function is called, as a method of some module or class."""
    methods: Mapping[str, Signature] = field(default_factory=dict)
    """Of a class, without `self`."""

    @cached_property
    def refs(self) -> tuple[Ref, ...]:
        """What it refers to, each once, in order."""
        return tuple(dict.fromkeys(piece for piece in self.pieces if isinstance(piece, Ref)))

    @cached_property
    def keywords(self) -> tuple[Keyword, ...]:
        """What it gives by name, each once."""
        return tuple(dict.fromkeys(piece for piece in self.pieces if isinstance(piece, Keyword)))


def signature_of(args: ast.arguments, *, bound: bool = False) -> Signature:
    """What a caller may name; `bound` if the first argument is given by what the method is read from."""
    names = tuple(arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs))
    return Signature(names[1:] if bound else names)
