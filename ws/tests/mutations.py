"""Changes to code that could change a result: mutants of one definition, found in its syntax tree.

Left alone is what is neutral by definition: docstrings, annotations, imports, what exceptions, warnings and progress
say, and methods that make text for people.
"""

import ast
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.MatMult: ast.Mult,
    ast.Pow: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.USub: ast.UAdd,
}
COMPARISONS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
TALKERS = frozenset({"say", "track", "warn", "cast"})
QUIET = (ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal, ast.Pass)
"""Statements that make no difference by themselves."""


Change = Callable[[Any], None]


@dataclass(frozen=True)
class Mutation:
    """One change to a node of a definition."""

    kind: str
    place: int
    """The node, as `ast.walk` counts."""
    change: Change

    @contextmanager
    def applied(self, definition: ast.AST) -> Iterator[None]:
        """The definition has the change for a while."""
        node = list(ast.walk(definition))[self.place]
        touched = [node, *ast.iter_child_nodes(node)]
        before = [
            {name: list(value) if isinstance(value, list) else value for name, value in vars(part).items()}
            for part in touched
        ]
        self.change(node)
        try:
            yield
        finally:
            for part, fields in zip(touched, before, strict=True):
                vars(part).update(fields)


def mutations(definition: ast.AST) -> list[Mutation]:
    """Every change to a function, lambda or class."""
    counted = set(map(id, _that_count(definition)))
    places = ((place, node) for place, node in enumerate(ast.walk(definition)) if id(node) in counted)
    return [Mutation(kind, place, change) for place, node in places for kind, change in _changes(node)]


def _that_count(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that could change a result."""
    if isinstance(node, ast.FunctionDef) and node.name == "describe":
        return
    yield node
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_quiet(node, name, child):
                yield from _that_count(child)


def _is_quiet(node: ast.AST, field: str, child: ast.AST) -> bool:
    """Whether a part of a node only annotates, imports, or says something to people."""
    is_docstring = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
    is_said = isinstance(node, ast.Call) and field != "func" and _talks(node)
    is_reason = isinstance(node, ast.Assert) and field == "msg"
    is_annotation = field in {"annotation", "returns"}
    return is_annotation or is_docstring or is_said or is_reason or isinstance(child, QUIET)


def _talks(call: ast.Call) -> bool:
    return _called(call) in TALKERS or _called(call).endswith(("Error", "Warning"))


def _called(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def _changes(node: ast.AST) -> Iterator[tuple[str, Change]]:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None):
            yield "constant", _other_constant
        case ast.BinOp(op=op) | ast.BoolOp(op=op) | ast.UnaryOp(op=op) | ast.AugAssign(op=op) if type(op) in OPERATORS:
            yield "operator", lambda it: setattr(it, "op", OPERATORS[type(it.op)]())
        case ast.Compare():
            yield "comparison", lambda it: it.ops.__setitem__(0, COMPARISONS[type(it.ops[0])]())
        case ast.IfExp() | ast.While() | ast.If() if not _is_typing(node.test):
            yield "condition", lambda it: setattr(it, "test", ast.UnaryOp(ast.Not(), it.test))
        case ast.Call():
            yield from _of_call(node)
        case ast.arguments(defaults=[_, *_]):
            yield "default", lambda it: it.defaults.__setitem__(0, ast.Constant("another default"))
        case ast.arguments(kw_defaults=[*_, ast.expr()]):
            yield "default", lambda it: it.kw_defaults.__setitem__(-1, ast.Constant("another default"))
        case ast.Attribute(ctx=ast.Load()):
            yield "attribute", lambda it: setattr(it, "attr", f"{it.attr}_other")
        case ast.Subscript(ctx=ast.Load()):
            yield "subscript", lambda it: setattr(it, "slice", ast.Tuple([it.slice, ast.Constant(0)], ast.Load()))
        case ast.Return(value=ast.expr()):
            yield "result", lambda it: setattr(it, "value", ast.Tuple([it.value], ast.Load()))
        case ast.Raise(exc=ast.Call()):
            yield "kind of error", lambda it: setattr(it.exc, "func", ast.Name("ArithmeticError", ast.Load()))
    yield from _of_body(node)


def _of_call(node: ast.Call) -> Iterator[tuple[str, Change]]:
    if _talks(node):
        return
    yield "call", lambda it: setattr(it, "func", ast.Name("print", ast.Load()))
    if len({ast.dump(arg) for arg in node.args}) > 1:
        yield "order of arguments", lambda it: it.args.reverse()
    if node.keywords and node.keywords[0].arg is not None:
        yield "keyword", lambda it: setattr(it.keywords[0], "arg", f"{it.keywords[0].arg}_other")
        yield "keyword left out", lambda it: it.keywords.pop(0)


def _of_body(node: ast.AST) -> Iterator[tuple[str, Change]]:
    """Statements left out, and two put in the other order where the second reads what the first makes."""
    body = getattr(node, "body", None)
    if not isinstance(body, list) or isinstance(node, ast.ClassDef):
        return
    for place, statement in enumerate(body):
        if not _is_quiet(node, "body", statement) and not _only_annotates(statement) and len(body) > 1:
            yield "statement left out", lambda it, place=place: it.body.pop(place)
        if place and _names(body[place - 1], ast.Store) & _names(statement, ast.Load):
            yield "order of statements", lambda it, place=place: it.body.insert(place - 1, it.body.pop(place))


def _only_annotates(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.AnnAssign) and statement.value is None


def _names(node: ast.AST, context: type[ast.expr_context]) -> set[str]:
    return {name.id for name in ast.walk(node) if isinstance(name, ast.Name) and isinstance(name.ctx, context)}


def _is_typing(test: ast.expr) -> bool:
    return "TYPE_CHECKING" in ast.dump(test)


def _other_constant(node: ast.Constant) -> None:
    node.value = other_value(node.value)


def other_value(value: Any) -> Any:
    """A value of the same type, or of another where there is only one."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return f"{value}."
        case tuple():
            return (*value, 1)
        case frozenset():
            return value | {"another"}
        case dict():
            return {**value, "another": 1}
        case _:
            return 0
