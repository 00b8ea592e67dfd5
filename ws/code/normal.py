"""Writes code in its normal form.

It leaves out docstrings, comments, annotations, import lines, messages of exceptions, warnings and progress, and
methods that make text for people. Locals and parameters are replaced by numbers in order of appearance, so that their
names do not matter. Names from outside are holes (`ws.code.forms`). Names of attributes and methods stay.
"""

import ast
import typing
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from types import ModuleType
from typing import Any, ClassVar

from ws.code.forms import Callee, Form, Keyword, Parameter, Ref, signature_of
from ws.code.machinery import WORDING, only_talks
from ws.code.names import live
from ws.code.scopes import COMPREHENSION, parameters_of, scope_of
from ws.code.trees import DEFINITION, FUNCTION, imported, package_of
from ws.code.wording import is_message, is_text
from ws.code.writer import Writer

_MARKERS = frozenset({"ClassVar", "InitVar", "KW_ONLY"})
"""Annotations that decide how a dataclass treats a field."""


@cache
def form_of(node: ast.AST, module: ModuleType) -> Form:
    """The normal form of a function, lambda or class of a module."""
    writer = _Writer(module)
    writer.definition(node)
    methods = {}
    if isinstance(node, ast.ClassDef):
        bodies = [item for item in node.body if isinstance(item, FUNCTION)]
        methods = {item.name: signature_of(item.args, bound=not _is_static(item)) for item in bodies}
    signature = None if isinstance(node, ast.ClassDef) else signature_of(node.args)  # type: ignore[attr-defined]
    return writer.form(signature, getattr(node, "name", ""), methods)


@cache
def statements_form(statements: tuple[ast.stmt, ...], name: str, module: ModuleType) -> Form:
    """The normal form of the statements that assign a global."""
    writer = _Writer(module)
    scope = scope_of(statements, package_of(module))
    writer.within(scope, lambda: writer.block(statements))
    writer.name(name, scope)
    return writer.form()


def _is_static(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(isinstance(found, ast.Name) and found.id == "staticmethod" for found in node.decorator_list)


class _Writer(Writer):
    """How kinds of nodes are written that need a rule of their own."""

    def _name_node(self, node: ast.Name) -> None:
        scope = self.binder(node.id)
        if scope is not None and node.id in scope.bound:
            self.name(node.id, scope)
        elif isinstance(node.ctx, ast.Load):
            self.write(" ", Ref((node.id,), scope.imports[node.id] if scope else None))
        else:
            self.write(f" global {node.id}")

    def _attribute(self, node: ast.Attribute) -> None:
        ref = self.ref(node) if isinstance(node.ctx, ast.Load) else None
        if ref is None:
            self.attributes.add(node.attr)
            self.write("(.", node.value, f" {node.attr})")
        else:
            self.write(" ", ref)

    def _constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.strings.add(node.value)
        self.write(f" {node.value!r}")

    # Definitions

    def definition(self, node: ast.AST) -> None:
        """The outermost function, lambda or class; the name of a function is left out."""
        if isinstance(node, ast.ClassDef):
            self._class(node, "" if node.name.startswith("_") else f" {node.name}")
        elif isinstance(node, ast.Lambda):
            self._lambda(node)
        else:
            assert isinstance(node, FUNCTION)
            self._function(node, "")

    def _inner_definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self.stored(node.name)
        if isinstance(node, ast.ClassDef):
            self._class(node, "")
        else:
            self._function(node, "")

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> None:
        self.write(f"({type(node).__name__}{name}", node.decorator_list)
        self._parameters(node.args, lambda: self.block(node.body), node.body)
        self.write(")")

    def _lambda(self, node: ast.Lambda) -> None:
        self.write("(Lambda")
        self._parameters(node.args, lambda: self.write(node.body), [node.body])
        self.write(")")

    def _parameters(self, args: ast.arguments, body: Callable[[], None], nodes: Iterable[ast.AST]) -> None:
        """Defaults, which belong to the scope outside, then the parameters and the body."""
        self.write(args.defaults, list(args.kw_defaults))
        scope = scope_of(nodes, self.package, parameters=[arg.arg for arg in parameters_of(args)])

        def inside() -> None:
            groups: dict[str, Sequence[ast.arg | None]] = {
                "/": args.posonlyargs,
                "": args.args,
                "*": args.kwonlyargs,
                "*+": [args.vararg],
                "**": [args.kwarg],
            }
            for mark, group in groups.items():
                self.write(f"<{mark}")
                for arg in filter(None, group):
                    self.name(arg.arg, scope)
                    self.write(Parameter(arg.arg))
                self.write(">")
            body()

        self.within(scope, inside)

    def _class(self, node: ast.ClassDef, name: str) -> None:
        """Fields and other statements in their order, then the methods by name."""
        self.write(f"(ClassDef{name}", node.decorator_list, node.bases, node.keywords)
        methods = [item for item in node.body if isinstance(item, FUNCTION) and item.name not in WORDING]
        others = [item for item in node.body if not isinstance(item, FUNCTION)]
        scope = scope_of(node.body, self.package, is_class=True)
        self.within(scope, lambda: self.block([*others, *sorted(methods, key=lambda method: method.name)]))
        self.write(")")

    def _annotated(self, node: ast.AnnAssign) -> None:
        """A field of a class; in a function, an assignment or nothing."""
        if self.scopes and self.scopes[-1].is_class:
            marks = {part.id for part in ast.walk(node.annotation) if isinstance(part, ast.Name)}
            marks |= {part.attr for part in ast.walk(node.annotation) if isinstance(part, ast.Attribute)}
            self.write(f"(field {sorted(marks & _MARKERS)}", node.target, node.value, ")")
        elif node.value is not None:
            self.write("(Assign", [node.target], node.value, ")")

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        """A comprehension, whose first iterable belongs to the scope outside."""
        first, *others = node.generators
        self.write(f"({type(node).__name__}", first.iter)
        results = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]

        def inside() -> None:
            self.write(f" {first.is_async}", first.target, first.ifs, list(others), *results, ")")

        self.within(scope_of([part.target for part in node.generators], self.package), inside)

    # Statements and calls

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        """Nothing, unless the name is also bound in another way."""
        for name, bound in imported([node], self.package):
            scope = self.binder(name)
            if scope is not None and name in scope.bound:
                self.write("(import")
                self.name(name, scope)
                self.write(f" {bound.source} {bound.taken})")

    def _if(self, node: ast.If) -> None:
        ref = self.ref(node.test)
        if ref is not None and ref.chain[-1] == "TYPE_CHECKING":
            self.block(node.orelse)
        else:
            self.generic(node)

    def _assert(self, node: ast.Assert) -> None:
        self.write("(Assert", node.test, ")")

    def _raise(self, node: ast.Raise) -> None:
        ref = self.ref(node.exc.func) if isinstance(node.exc, ast.Call) else None
        if ref is not None and is_message(ref, self.module, raised=True):
            self.write("(Raise ", ref, node.cause, ")")
        else:
            self.generic(node)

    def _call(self, node: ast.Call) -> None:
        ref = self.ref(node.func)
        value = live(ref, self.module) if ref is not None and ref.imported is None else None
        if ref is not None and value is typing.cast:
            self.write(node.args[1])
        elif ref is not None and value is warnings.warn:
            kept = [word for word in node.keywords if word.arg not in {"message", "stacklevel"}]
            self._called(node.func, node.args[1:], kept)
        elif ref is not None and isinstance(value, type) and is_message(ref, self.module, raised=False):
            self.write("(Message ", ref, ")")
        elif value is not None and only_talks(value):
            said = [word for word in node.keywords if not is_text(word.value)]
            self._called(node.func, [arg for arg in node.args if not is_text(arg)], said)
        else:
            self._called(node.func, node.args, node.keywords)

    def _called(self, function: ast.expr, args: list[ast.expr], keywords: list[ast.keyword]) -> None:
        for arg in (*args, *(word.value for word in keywords)):
            if isinstance(arg, ast.Constant) and isinstance(arg.value, str):
                self.asked.add(arg.value)
        if isinstance(function, ast.Name) and function.id == "getattr":
            self.attributes.update(
                arg.value for arg in args[1:2] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
            )
        self.write("(Call", function, list(args))
        callee = self._callee(function, args)
        for word in keywords:
            self._keyword(word, function, callee)
        self.write(")")

    def _callee(self, function: ast.expr, args: list[ast.expr]) -> Callee:
        ref = self.ref(function)
        if ref is not None and args and ref.chain[-1] == "partial":
            return self._callee(args[0], [])
        if ref is None and isinstance(function, ast.Attribute):
            return Callee(method=function.attr)
        return Callee(ref)

    def _keyword(self, word: ast.keyword, function: ast.expr, callee: Callee) -> None:
        if word.arg is None:
            self.spread.add(callee)
            self.write(" **", word.value)
            return
        scope = self.binder(function.id) if isinstance(function, ast.Name) else None
        known = scope.functions.get(function.id) if scope is not None else None  # type: ignore[attr-defined]
        place = None if known is None else signature_of(known).place(word.arg)
        self.write(" ", Keyword(word.arg, callee) if place is None else f"@{place}", "=", word.value)

    def _subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            self.asked.add(node.slice.value)
        self.generic(node)

    def _handler(self, node: ast.ExceptHandler) -> None:
        self.write("(except", node.type)
        self.stored(node.name)
        self.block(node.body)
        self.write(")")

    def _match_name(self, node: ast.MatchAs | ast.MatchStar) -> None:
        self.write(f"({type(node).__name__}", getattr(node, "pattern", None))
        self.stored(node.name)
        self.write(")")

    def _match_mapping(self, node: ast.MatchMapping) -> None:
        self.write("(MatchMapping", list(node.keys), list(node.patterns))
        self.stored(node.rest)
        self.write(")")

    def _match_class(self, node: ast.MatchClass) -> None:
        self.attributes.update(node.kwd_attrs)
        self.generic(node)

    writing: ClassVar[dict[type[ast.AST], Callable[[Any, Any], None]]] = {
        ast.Name: _name_node,
        ast.Attribute: _attribute,
        ast.Constant: _constant,
        ast.Lambda: _lambda,
        ast.AnnAssign: _annotated,
        ast.Import: _import,
        ast.ImportFrom: _import,
        ast.If: _if,
        ast.Assert: _assert,
        ast.Raise: _raise,
        ast.Call: _call,
        ast.Subscript: _subscript,
        ast.ExceptHandler: _handler,
        ast.MatchAs: _match_name,
        ast.MatchStar: _match_name,
        ast.MatchMapping: _match_mapping,
        ast.MatchClass: _match_class,
        **dict.fromkeys(DEFINITION, _inner_definition),
        **dict.fromkeys(COMPREHENSION, _comprehension),
    }
