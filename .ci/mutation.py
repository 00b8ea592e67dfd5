"""Changes to a module that break it in one place, made in memory: what a mutant is, and how a process gets it.

A mutant is one change to one expression or statement: another operator or number, a condition turned round, an error
not raised, a call left out. No file is changed: the function gets the code of the changed source.
"""

import ast
import copy
import gc
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from inspect import unwrap
from pathlib import Path
from types import CodeType, FunctionType

ROOT = Path(__file__).parents[1]

SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.MatMult: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
"""The operator that stands in place of each."""
RENAMED = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    """One change to a module."""

    module: str
    """Path below ws/, without its ending."""
    within: str
    """The function of the module or of a class that it lies in, or the constant that it changes."""
    line: int
    before: str
    after: str
    nth: int
    """Which of the equal changes within one function."""
    written: Callable[[], str]
    """Writes the whole changed module."""

    @property
    def name(self) -> str:
        """What it is known by, whatever else moves in the file."""
        return f"{self.module} {self.within}#{self.nth}: {self.before} -> {self.after}"

    def apply(self) -> None:
        """Give every function of that name the changed code and defaults, or every module the changed constant."""
        from fixtures.shapes import decorated

        path = str(ROOT / "ws" / f"{self.module}.py")
        module = import_module("ws." + self.module.replace("/", "."))
        functions = all_functions()
        fresh = {"__name__": module.__name__, "__file__": path}
        source = self.written()
        exec(compile(source, path, "exec", dont_inherit=True), fresh)
        if isinstance(vars(module).get(self.within), int | float):
            spread(self.within, vars(module)[self.within], fresh[self.within], functions)
            return
        code = code_of(compile(decorated(source.encode()), path, "exec", dont_inherit=True), self.within)
        places = ((it, it.__code__.co_filename, it.__code__.co_qualname) for it in functions)
        live = [it for it, at, name in places if (at, name) == (path, self.within)]
        assert live, f"nothing named {self.within} in {path}"
        changed = defaults_of(fresh, self.within)
        for function in live:
            function.__code__ = code
            if changed is not None:
                function.__defaults__, function.__kwdefaults__ = changed


def all_functions() -> list[FunctionType]:
    """Every function that there is."""
    if not FROZEN:
        # Objects that somebody else froze would not be listed.
        gc.unfreeze()
    return [*FROZEN, *(it for it in gc.get_objects() if type(it) is FunctionType)]


FROZEN: list[FunctionType] = []
"""The functions among the objects that are no longer listed."""


def freeze() -> None:
    """Leave all objects that there are alone from now on: a fork that looks for garbage would copy their memory."""
    FROZEN[:] = all_functions()
    gc.freeze()


def spread(name: str, before: object, after: object, functions: Sequence[FunctionType]) -> None:
    """Give a constant its changed value wherever our modules hold it under its name or as a default."""
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith(("ws.", "fixtures.")) and vars(module).get(name) is before:
            setattr(module, name, after)
    # A small whole number is the same object wherever it stands.
    for function in functions if isinstance(before, float) else ():
        if (function.__module__ or "").startswith(("ws.", "fixtures.")):
            defaults, named = function.__defaults__ or (), function.__kwdefaults__ or {}
            function.__defaults__ = tuple(after if value is before else value for value in defaults) or None
            function.__kwdefaults__ = {key: after if value is before else value for key, value in named.items()} or None


def code_of(module: CodeType, name: str) -> CodeType:
    """The code of a function by its qualified name."""
    for inner in module.co_consts:
        if isinstance(inner, CodeType):
            if inner.co_qualname == name:
                return inner
            if name.startswith(f"{inner.co_qualname}."):
                return code_of(inner, name)
    raise LookupError(name)


def defaults_of(namespace: dict[str, object], name: str) -> tuple[object, object] | None:
    """The defaults of a function by its qualified name; None of a property, which has none."""
    first, *rest = name.split(".")
    found = namespace[first]
    for part in rest:
        found = vars(found)[part]
    function = unwrap(getattr(found, "__func__", found)) if callable(found) else None
    return (function.__defaults__, function.__kwdefaults__) if isinstance(function, FunctionType) else None


def mutants(module: str) -> list[Mutant]:
    """Every mutant of a module, in the order of its lines."""
    tree = ast.parse((ROOT / "ws" / f"{module}.py").read_text())
    found, seen = [], Counter()
    for name, (parent, field, place) in [(name, site) for name, top in parts(tree) for site in sites(top)]:
        node = child(parent, field, place)
        for changed in changes(node):
            key = name, first_line(node), first_line(changed)
            written = partial(with_change, tree, (parent, field, place), ast.copy_location(changed, node))
            found.append(Mutant(module, *key[:1], node.lineno, *key[1:], seen[key], written))
            seen[key] += 1
    return found


def with_change(tree: ast.Module, site: tuple[ast.AST, str, int | None], changed: ast.AST) -> str:
    """The source of a module with another node at a site; the tree stays as it is."""
    before = child(*site)
    put(*site, changed)
    source = ast.unparse(ast.fix_missing_locations(tree))
    put(*site, before)
    return source


def first_line(node: ast.AST) -> str:
    return ast.unparse(node).splitlines()[0]


def parts(tree: ast.Module | ast.ClassDef) -> Iterator[tuple[str, ast.stmt]]:
    """The functions and constants of a module and the functions of its classes, with their names."""
    for statement in tree.body:
        match statement:
            case ast.FunctionDef(name=name):
                yield name, statement
            case ast.ClassDef(name=name):
                yield from (
                    (f"{name}.{inner}", it) for inner, it in parts(statement) if isinstance(it, ast.FunctionDef)
                )
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant() | ast.BinOp() | ast.UnaryOp()):
                yield name, statement


def sites(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None]]:
    """Where an expression or statement stands that means something as the program runs: no annotation, no message."""
    if isinstance(node, ast.Raise | ast.JoinedStr):
        return
    for field, value in ast.iter_fields(node):
        if field not in ("annotation", "returns", "decorator_list"):
            for place, inner in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(inner, ast.expr | ast.stmt):
                    yield node, field, place
                if isinstance(inner, ast.AST):
                    yield from sites(inner)


def changes(node: ast.AST) -> list[ast.AST]:
    """What may stand in place of a node."""
    match node:
        case ast.Compare(ops=[op]):
            return [ast.Compare(node.left, [SWAPPED[type(op)]()], node.comparators)] if type(op) in SWAPPED else []
        case ast.BinOp(op=op) | ast.BoolOp(op=op) | ast.AugAssign(op=op) if type(op) in SWAPPED:
            changed = copy.copy(node)
            changed.op = SWAPPED[type(op)]()
            return [changed]
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            return [operand]
        case ast.Constant(value=bool(value)):
            return [ast.Constant(not value)]
        case ast.Constant(value=int() | float() as value):
            return [ast.Constant(value + 1 if isinstance(value, int) else 2 * value + (value == 0))]
        case ast.Name(id=name) if name in RENAMED:
            return [ast.Name(RENAMED[name], ast.Load())]
        case ast.IfExp() | ast.If():
            changed = copy.copy(node)
            changed.test = ast.UnaryOp(ast.Not(), node.test)
            return [changed] if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING") else []
        case ast.Raise() | ast.Expr(value=ast.Call()):
            return [ast.Pass()]
    return []


def child(parent: ast.AST, field: str, place: int | None) -> ast.AST:
    value = getattr(parent, field)
    return value if place is None else value[place]


def put(parent: ast.AST, field: str, place: int | None, node: ast.AST) -> None:
    if place is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[place] = node
