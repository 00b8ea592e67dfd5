"""The syntax trees of loaded modules: where a function, class or global is written, and what is imported."""

import ast
import importlib.util
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ws.errors import StoreError

FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITION = (*FUNCTION, ast.ClassDef)


class Import(NamedTuple):
    """What an import binds a name to: `from source import taken`; the module itself if taken is empty."""

    source: str
    taken: str


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _own_files() -> Iterator[Path]:
    """The files of this project's code, without what lies beside it: an environment has tens of thousands of others."""
    beside = Path(__file__).parents[2]
    return (path for folder in ("ws", "fixtures") for path in (beside / folder).rglob("*.py"))


_AT_START = {path: _stamp(path) for path in _own_files()}
_TREES: dict[int, tuple[object, ast.Module]] = {}


def tree_of(module: ModuleType) -> ast.Module:
    """The syntax tree of a module as it was loaded; a reloaded module is read again.

    Raises: StoreError if the file was edited in the meantime, since the loaded text is then unknown.
    """
    loaded = module.__spec__ or module
    known = _TREES.get(id(loaded))
    if known is None:
        # The spec is kept with its tree, so that its id cannot be reused by another object.
        known = _TREES[id(loaded)] = (loaded, _parsed(module))
    return known[1]


def _parsed(module: ModuleType) -> ast.Module:
    if getattr(module, "__file__", None) is None:
        return ast.Module(body=[], type_ignores=[])
    path = Path(str(module.__file__))
    if _AT_START.setdefault(path, _stamp(path)) != _stamp(path):
        raise StoreError(f"{path} was edited after this process began, so no key fits what it makes; start again")
    with tokenize.open(path) as file:
        return ast.parse(file.read())


def package_of(module: ModuleType) -> str:
    """The package that relative imports of a module start from."""
    return module.__package__ or module.__name__.rpartition(".")[0]


def written(module: ModuleType, thing: Any) -> list[ast.AST]:
    """Where a function or class of a module is written; several where nothing says which of them was loaded."""
    return _written(tree_of(module), thing)


@cache
def _written(tree: ast.Module, thing: Any) -> list[ast.AST]:
    found = index_of(tree).get(thing.__qualname__.replace(".<locals>", ""), [])
    code = getattr(thing, "__code__", None)
    exact = [node for node in found if code is not None and _first_line(node) == code.co_firstlineno]
    if code is not None and len(exact) > 1:
        # Several lambdas in one line: the position of what they return tells them apart.
        places = set(code.co_positions())
        exact = [node for node in exact if _place_of_result(node) in places] or exact
    return exact or found


def _place_of_result(node: Any) -> tuple[int | None, ...] | None:
    body = node.body
    return (body.lineno, body.end_lineno, body.col_offset, body.end_col_offset) if isinstance(body, ast.expr) else None


def _first_line(node: Any) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])


@cache
def index_of(tree: ast.Module) -> dict[str, list[ast.AST]]:
    """Every function, class and lambda of a module by its qualified name."""
    index: dict[str, list[ast.AST]] = {}
    for name, node in _definitions(tree, ""):
        index.setdefault(name, []).append(node)
    return index


def _definitions(scope: ast.AST, prefix: str) -> Iterator[tuple[str, ast.AST]]:
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, (*DEFINITION, ast.Lambda)):
            name = prefix + getattr(node, "name", "<lambda>")
            yield name, node
            yield from _definitions(node, f"{name}.")
        else:
            yield from _definitions(node, prefix)


def statements_of(tree: ast.Module, name: str) -> list[ast.stmt]:
    """The statements of a module that assign a global, each with the `if`, `for`, `try` and `with` around it."""
    return _statements(tree).get(name, [])


@cache
def _statements(tree: ast.Module) -> dict[str, list[ast.stmt]]:
    """Statements by the globals that they assign; definitions and imports are found elsewhere."""
    found: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        for name in {} if isinstance(statement, DEFINITION) else dict.fromkeys(_stored(statement)):
            found.setdefault(name, []).append(statement)
    return found


def _stored(node: ast.AST) -> Iterator[str]:
    """The names that a statement at the top of a module assigns, also under `if`, `for`, `try` and `with`."""
    if isinstance(node, (*DEFINITION, ast.Lambda)):
        return
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    for child in ast.iter_child_nodes(node):
        yield from _stored(child)


_CHANGING = frozenset({"add", "append", "clear", "discard", "extend", "insert", "pop", "setdefault", "update"})


@cache
def changed(tree: ast.Module) -> frozenset[str]:
    """The globals that functions of a module change, whose values depend on what the process has done before."""
    names: set[str] = set()
    for node in (inner for outer in ast.walk(tree) if isinstance(outer, FUNCTION) for inner in ast.walk(outer)):
        match node:
            case ast.Global():
                names.update(node.names)
            case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()):
                names.add(name)
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if method in _CHANGING:
                names.add(name)
    return frozenset(names)


@cache
def uses(tree: ast.Module) -> frozenset[str]:
    """The names that a module reads itself."""
    names = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
    return frozenset(node.id for node in names if isinstance(node.ctx, ast.Load))


@cache
def imports_of(tree: ast.Module, package: str) -> dict[str, Import]:
    """What the imports at the top of a module bind, also those under `if` and `try`."""
    found: dict[str, Import] = {}
    pending: list[ast.AST] = [tree]
    while pending:
        for node in ast.iter_child_nodes(pending.pop()):
            if isinstance(node, ast.Import | ast.ImportFrom):
                found.update(imported([node], package))
            elif isinstance(node, ast.stmt | ast.ExceptHandler) and not isinstance(node, DEFINITION):
                pending.append(node)
    return found


def imported(nodes: Iterable[ast.AST], package: str) -> Iterator[tuple[str, Import]]:
    """The names that import statements bind."""
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                yield alias.asname or whole, Import(whole, "")
        elif isinstance(node, ast.ImportFrom):
            source = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                yield alias.asname or alias.name, Import(source, alias.name)
