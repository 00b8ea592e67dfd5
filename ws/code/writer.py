"""Text of code with holes: any node as its kind and fields, local names as numbers."""

import ast
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, ClassVar

from ws.code.forms import Callee, Form, Keyword, Parameter, Ref, Signature, joined
from ws.code.scopes import Scope
from ws.code.trees import package_of
from ws.code.wording import is_bare_constant

_IGNORED_FIELDS = frozenset({"ctx", "kind", "type_comment", "type_params", "returns", "annotation"})
_BODIES = frozenset({"body", "orelse", "finalbody"})
_NO_CODE = (ast.Global, ast.Nonlocal, ast.Pass)


class Writer:
    """The text written so far, and the scopes around the present node, innermost last."""

    writing: ClassVar[dict[type[ast.AST], Callable[[Any, Any], None]]] = {}
    """The methods for kinds of nodes that need a rule of their own."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.package = package_of(module)
        self.pieces: list[str | Ref | Keyword | Parameter] = []
        self.scopes: list[Scope] = []
        self.numbers = 0
        self.attributes: set[str] = set()
        self.asked: set[str] = set()
        self.spread: set[Callee] = set()
        self.strings: set[str] = set()

    def form(self, signature: Signature | None = None, name: str = "", methods: dict[str, Signature] = {}) -> Form:  # noqa: B006
        return Form(
            tuple(joined(self.pieces)),
            frozenset(self.attributes),
            frozenset(self.asked),
            frozenset(self.spread),
            frozenset(self.strings if self.spread else ()),
            signature,
            name,
            methods,
        )

    def write(self, *parts: object) -> None:
        """Write nodes by their kind, lists and tuples item by item, and text unchanged."""
        for part in parts:
            if isinstance(part, ast.AST):
                writing = self.writing.get(type(part))
                if writing is None:
                    self.generic(part)
                else:
                    writing(self, part)
            elif isinstance(part, list):
                self.pieces.append("[")
                self.write(*part)
                self.pieces.append("]")
            elif isinstance(part, str | Ref | Keyword | Parameter):
                self.pieces.append(part)
            else:
                self.pieces.append(" ~")

    def generic(self, node: ast.AST) -> None:
        """Write a node without a rule of its own: its kind and fields."""
        self.pieces.append(f"({type(node).__name__}")
        for field in node._fields:
            if field in _IGNORED_FIELDS:
                continue
            match getattr(node, field, None):
                case [*statements] if field in _BODIES:
                    self.block(statements)
                case [*items]:
                    self.write([f" {item!r}" if isinstance(item, str) else item for item in items])
                case ast.AST() as inner:
                    self.write(inner)
                case value:
                    self.pieces.append(f" {value!r}")
        self.pieces.append(")")

    def block(self, statements: Iterable[ast.stmt]) -> None:
        self.write("{")
        for statement in statements:
            if not (isinstance(statement, _NO_CODE) or is_bare_constant(statement)):
                self.write(statement)
        self.write("}")

    def within(self, scope: Scope, action: Callable[[], None]) -> None:
        self.scopes.append(scope)
        action()
        self.scopes.pop()

    # Names

    def name(self, name: str, scope: Scope) -> None:
        """Write a local name as its number; a name in a class body as it is."""
        if scope.is_class:
            self.write(f" .{name}")
            return
        if name not in scope.numbers:
            scope.numbers[name] = self.numbers
            self.numbers += 1
        self.write(f" v{scope.numbers[name]}")

    def binder(self, name: str) -> Scope | None:
        """The scope, inside the code being written, that binds a name; None if the name comes from outside."""
        for scope in reversed(self.scopes):
            if name in scope.elsewhere:
                return None
            hidden = scope.is_class and scope is not self.scopes[-1]
            if not hidden and (name in scope.bound or name in scope.imports):
                return scope
        return None

    def ref(self, node: ast.AST) -> Ref | None:
        """An expression as a name from outside with attributes read from it; None if it is anything else."""
        attributes = []
        while isinstance(node, ast.Attribute):
            attributes.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        scope = self.binder(node.id)
        chain = (node.id, *reversed(attributes))
        if scope is None:
            return Ref(chain)
        return Ref(chain, scope.imports[node.id]) if node.id in scope.imports else None

    def stored(self, name: str | None) -> None:
        """Write a name that is bound here and that the syntax tree has as a string."""
        scope = None if name is None else self.binder(name)
        if name is None or scope is None:
            self.write(f" {name!r}")
        else:
            self.name(name, scope)
