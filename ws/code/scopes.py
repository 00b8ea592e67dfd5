"""The names that a function, class or comprehension binds; they can be renamed without any effect outside."""

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field

from ws.code.trees import FUNCTION, Import, imported

COMPREHENSION = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(eq=False)
class Scope:
    """One scope inside a definition; `numbers` holds the numbers given to its names so far."""

    bound: set[str]
    is_class: bool = False
    imports: dict[str, Import] = field(default_factory=dict)
    """Names that are bound by an import only."""
    functions: dict[str, ast.arguments] = field(default_factory=dict)
    """Parameters of functions whose names are bound by their definition only."""
    numbers: dict[str, int] = field(default_factory=dict)
    elsewhere: frozenset[str] = frozenset()
    """Names that `global` says belong to the module."""


def scope_of(
    nodes: Iterable[ast.AST], package: str, *, parameters: Iterable[str] = (), is_class: bool = False
) -> Scope:
    """The scope that a body of statements, or the targets of a comprehension, make."""
    found = _Bindings(package)
    found.names.extend(parameters)
    for node in nodes:
        found.visit(node)
    counts = {name: found.names.count(name) for name in found.names}
    kept = counts.keys() - found.elsewhere
    imports = {name: bound for name, bound in found.imports.items() if name in kept and counts[name] == 1}
    functions = {name: args for name, args in found.functions.items() if name in kept and counts[name] == 1}
    return Scope(kept - imports.keys(), is_class, imports, functions, elsewhere=frozenset(found.globals))


def parameters_of(args: ast.arguments) -> list[ast.arg]:
    """All parameters in the order they are written."""
    stars = [star for star in (args.vararg, args.kwarg) if star is not None]
    return [*args.posonlyargs, *args.args, *args.kwonlyargs, *stars]


class _Bindings(ast.NodeVisitor):
    """Collects what binds names in one scope, without entering the scopes inside it."""

    def __init__(self, package: str) -> None:
        self._package = package
        self.names: list[str] = []
        self.elsewhere: set[str] = set()
        self.globals: set[str] = set()
        self.imports: dict[str, Import] = {}
        self.functions: dict[str, ast.arguments] = {}

    def generic_visit(self, node: ast.AST) -> None:
        if isinstance(node, FUNCTION):
            self._function(node)
        elif isinstance(node, COMPREHENSION):
            self.names.extend(inner.target.id for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr))
            self.visit(node.generators[0].iter)
        elif isinstance(node, ast.MatchAs | ast.MatchStar | ast.ExceptHandler):
            self.names.extend([node.name] if node.name else [])
            super().generic_visit(node)
        else:
            super().generic_visit(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.names.append(node.name)
        self.functions[node.name] = node.args
        self._visit_all([*node.decorator_list, *_defaults(node.args)])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.names.append(node.name)
        self._visit_all([*node.decorator_list, *node.bases, *node.keywords])

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._visit_all(_defaults(node.args))

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.names.append(node.id)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self.names.extend([node.rest] if node.rest else [])
        super().generic_visit(node)

    def visit_Global(self, node: ast.Global) -> None:
        self.elsewhere.update(node.names)
        self.globals.update(node.names)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        self.elsewhere.update(node.names)

    def visit_Import(self, node: ast.Import) -> None:
        self._import(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self._import(node)

    def _import(self, node: ast.stmt) -> None:
        for name, bound in imported([node], self._package):
            # The same import in two branches still binds one thing.
            if self.imports.get(name) != bound:
                self.names.append(name)
            self.imports[name] = bound

    def _visit_all(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)


def _defaults(args: ast.arguments) -> list[ast.expr]:
    return [*args.defaults, *(default for default in args.kw_defaults if default is not None)]
