"""Definitions with their holes filled, which needs all reached code: any of it may pass arguments by name."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from types import ModuleType

from ws.store.code.forms import Callee, Form, Keyword, Parameter, Ref, Signature

Signatures = dict[Ref, Signature | None]


@dataclass(eq=False)
class Item:
    """A definition that was reached, and the meanings of the names in it."""

    label: str
    form: Form
    module: ModuleType
    is_method: bool = False
    """Whether it is a method of a class and not static."""
    free: tuple[str, ...] = ()
    """Names that the functions around it bind."""
    texts: dict[Ref, str] = field(default_factory=dict)
    signatures: Signatures = field(default_factory=dict)
    """Signatures of the functions and classes that it names; None for things with parameters of other libraries."""


class Filling:
    """All reached definitions, for filling the holes of each.

    An argument passed by name is written as its place in the signature of what is called, so that a parameter may be
    renamed together with all its calls. If it cannot be told what is called, the name itself is written, here and in
    every signature that has it.
    """

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = list(items)
        self._methods: dict[str, list[Signature]] = {}
        for item in self._items:
            self._collect(item)
        self._shown = {name for item in self._items for name in self._shown_by(item)}

    def text(self, item: Item) -> str:
        """The text of a definition."""
        return "".join(piece if isinstance(piece, str) else self._fill(item, piece) for piece in item.form.pieces)

    def _fill(self, item: Item, hole: Ref | Keyword | Parameter) -> str:
        match hole:
            case Ref():
                return item.texts[hole]
            case Parameter(name):
                return f":{name}" if name in self._shown else ""
            case Keyword():
                place = self._place(item, hole)
                return hole.name if place is None else f"@{place}"

    def _collect(self, item: Item) -> None:
        for name, signature in item.form.methods.items():
            self._methods.setdefault(name, []).append(signature)
        if item.form.signature is not None and item.form.name:
            names = item.form.signature.names
            bound = Signature(names[1:] if item.is_method else names)
            self._methods.setdefault(item.form.name, []).append(bound)

    def _place(self, item: Item, word: Keyword) -> int | None:
        """The place of an argument in the signature of what is called; None if its name has to be written."""
        places = {signature.place(word.name) for signature in self._called(item, word.callee)}
        return places.pop() if len(places) == 1 else None

    def _called(self, item: Item, callee: Callee) -> list[Signature]:
        """The signatures that a call may mean."""
        if callee.ref is None:
            return self._methods.get(callee.method, [])
        known = item.signatures.get(callee.ref)
        if known is not None:
            return [known]
        is_method = callee.ref not in item.signatures and len(callee.ref.chain) > 1
        return self._methods.get(callee.ref.chain[-1], []) if is_method else []

    def _is_foreign(self, item: Item, callee: Callee) -> bool:
        return callee.ref is not None and item.signatures.get(callee.ref, _UNKNOWN) is None

    def _shown_by(self, item: Item) -> Iterable[str]:
        """The names of arguments that a definition passes to unknown things."""
        for word in item.form.keywords:
            if not self._is_foreign(item, word.callee) and self._place(item, word) is None:
                yield word.name
        for callee in item.form.spread:
            if not self._is_foreign(item, callee):
                yield from item.form.strings
                yield from (name for signature in self._called(item, callee) for name in signature.names)


_UNKNOWN = Signature(())
