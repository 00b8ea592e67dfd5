"""The source code behind a result, as one hash that moves whenever the result could.

The walk starts at one function and follows every global name, module attribute and import inside a function
that leads to code or constants of `ws` or of the function's own package, until nothing new turns up. Code
enters without comments, formatting, docstrings and annotations; constants enter by value. Not followed: other
libraries, data files and modules imported under a computed name.

A dict of modules, functions, classes or records is a registry: who asks for one entry does not depend on the
others.
"""

import ast
import copy
import enum
import functools
import hashlib
import importlib
import importlib.util
import inspect
import json
import symtable
import tokenize
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, WeakValueDictionary

from ws.errors import StoreError

MACHINERY = frozenset(
    {
        "ws.store",
        "ws.store.artifacts",
        "ws.store.manifests",
        "ws.store.origin",
        "ws.store.recall",
        "ws.store.recipes",
        "ws.store.texts",
        "ws.store.memory",
        "ws.store.sources",
        "ws.store.progress",
        "ws.errors",
        "ws.models.downloads",
        "ws.engine.loading",
    }
)
"""Modules that cannot change a result.

They keep it, talk about it, fetch files of a known sha256, or choose between ways that differ by rounding alone.
"""

WORDING = frozenset({"describe"})
"""Methods of recipes that only make text for people."""

_SCALARS = frozenset({type(None), bool, int, float, complex, str, bytes, range})
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def source_hash(fn: Callable[..., Any], *, only: Collection[str] = (), owners: Collection[type] = ()) -> str:
    """The sha256 of all the source that `fn` can reach.

    `only` are the names that cut registries: one that lists some of them counts with those entries and the
    ones that reached code asks for by a literal name, one that lists none counts whole. `owners` are classes
    of objects handed to `fn`: their members count where reached code reads an attribute of that name.

    Raises: StoreError if the source of something reached is not found, or was edited since the process began.
    """
    parts = reached(fn, only=only, owners=owners)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def reached(fn: Callable[..., Any], *, only: Collection[str] = (), owners: Collection[type] = ()) -> dict[str, str]:
    """What `source_hash` of the same arguments covers, by name: compare two to see why a key moved."""
    packages = frozenset({"ws", fn.__module__.partition(".")[0]})
    return _Walk(packages, frozenset(only), tuple(owners)).parts(fn)


class _Import(NamedTuple):
    """A name an import binds: `from source import taken as bound`; the module itself if taken is empty."""

    bound: str
    source: str
    taken: str


@dataclass(frozen=True)
class _Code:
    """What one piece of code says and what it refers to."""

    text: str
    names: frozenset[tuple[str, ...]]
    """Global names with the attributes read from them: `ws.training.train.fit` is ("ws", "train", "fit")."""
    imports: frozenset[_Import]
    attributes: frozenset[str]
    strings: frozenset[str]
    """Strings it calls a function or indexes something with."""


class _Opaque(Exception):
    """A value that cannot be written down; the statement that makes it has to stand for it."""


class _Walk:
    """What was found so far, and what is still to be looked at."""

    def __init__(self, packages: frozenset[str], only: frozenset[str], owners: tuple[type, ...]) -> None:
        self._packages = packages
        self._only = only
        self._owners = owners
        self._parts: dict[str, str] = {}
        self._pending: list[tuple[_Code, ModuleType]] = []
        self._registries: dict[str, Mapping[str, Any]] = {}
        self._attributes: set[str] = set()
        self._strings: set[str] = set()

    def parts(self, fn: Callable[..., Any]) -> dict[str, str]:
        """Every piece by its name; what is found late can open registries and members seen early."""
        try:
            self._parts["root"] = self._function(fn, root=True)
        except _Opaque as missing:
            raise StoreError(
                f"cannot find the source of {_name(fn)} ({missing}), so no key covers it; "
                "define it with def, at the top of a module in a file"
            ) from None
        known = 0
        while known != len(self._parts):
            known = len(self._parts)
            self._follow_names()
            self._open_registries()
            self._open_owners()
        return self._parts

    def _follow_names(self) -> None:
        while self._pending:
            code, module = self._pending.pop()
            self._attributes |= code.attributes
            self._strings |= code.strings
            local = {found.bound: found for found in code.imports if self._is_ours(found.source)}
            for base, *rest in code.names:
                if base in local:
                    start = [local[base].taken] if local[base].taken else []
                    self._reach(base, importlib.import_module(local[base].source), [*start, *rest], module)
                if base in vars(module):
                    self._reach(base, vars(module)[base], rest, module)

    def _reach(self, name: str, value: object, attributes: list[str], module: ModuleType) -> None:
        """Follow `name.attribute.attribute` through our own modules to the first value that is none."""
        while isinstance(value, ModuleType) and self._is_ours(value.__name__) and attributes:
            module, (name, *attributes) = value, attributes
            value = _attribute(module, name)
        if isinstance(value, ModuleType) and self._is_ours(value.__name__):
            self._module(value)
        elif (label := f"{module.__name__}.{name}") not in self._parts and self._follows(module.__name__):
            self._parts[label] = self._global(label, value, module, name)

    def _global(self, label: str, value: object, module: ModuleType, name: str) -> str:
        """A global as text; names such as __file__ differ between machines and say nothing about results."""
        if name.startswith("__") and name.endswith("__"):
            return ""
        try:
            return self._write(label, value)
        except _Opaque:
            return self._statements(module, name)

    def _write(self, label: str, value: object) -> str:
        """A value as text; code in it is queued and named. `label` says where the value was found."""
        write = self._write
        match value:
            case _ if type(value) in _SCALARS:
                return repr(value)
            case ModuleType():
                return self._module(value)
            case enum.Enum():
                return f"{write(label, type(value))}.{value.name}"
            case type():
                return self._definition(value)
            case FunctionType():
                return self._function(value)
            case BuiltinFunctionType():
                return _name(value)
            case MethodType():
                return f"{write(label, value.__self__)}.{self._function(value.__func__)}"
            case functools.partial():
                return f"partial({write(label, (value.func, value.args, tuple(value.keywords.items())))})"
            case tuple() | list():
                written = [write(f"{label}[{place}]", item) for place, item in enumerate(value)]
                return f"{_name(type(value))}({', '.join(written)})"
            case set() | frozenset():
                return f"{_name(type(value))}({', '.join(sorted(write(label, item) for item in value))})"
            case WeakKeyDictionary() | WeakValueDictionary():
                # A cache: what it holds now is no part of the code, so that the statement that makes it stands for it.
                raise _Opaque(f"{label} is a {type(value).__name__}")
            case Mapping():
                return self._mapping(label, value)
            case _ if callable(getattr(value, "__wrapped__", None)):
                return write(label, inspect.unwrap(value))  # type: ignore[arg-type]
            case _ if is_dataclass(value) and self._is_ours(type(value).__module__):
                written = [f"{key}={write(f'{label}.{key}', held)}" for key, held in _fields(value)]
                return f"{self._definition(type(value))}({', '.join(written)})"
            case _:
                raise _Opaque(f"{label} is a {type(value).__name__}")

    def _mapping(self, label: str, value: Mapping[Any, Any]) -> str:
        if all(isinstance(key, str) for key in value) and not all(map(_is_plain, value.values())):
            self._registries[label] = value
            return f"registry {label}"
        written = [f"{self._write(label, key)}: {self._write(label, item)}" for key, item in value.items()]
        return f"{{{', '.join(written)}}}"

    def _open_registries(self) -> None:
        for label, registry in list(self._registries.items()):
            asked = self._only & registry.keys()
            kept = asked | (self._strings & registry.keys()) if asked else registry.keys()
            for name in sorted(kept):
                self._entry(f"{label}[{name!r}]", registry[name])

    def _open_owners(self) -> None:
        bases = {base for owner in self._owners for base in owner.__mro__}
        for cls in filter(lambda base: self._follows(base.__module__), bases):
            state = {field.name for field in fields(cls)} if is_dataclass(cls) else set()
            for name in (self._attributes & vars(cls).keys()) - state - WORDING:
                if not name.startswith("__"):
                    self._entry(f"member {_name(cls)}.{name}", _member(vars(cls)[name]))

    def _entry(self, label: str, value: object) -> None:
        if label in self._parts:
            return
        try:
            self._parts[label] = self._write(label, value)
        except _Opaque as opaque:
            raise StoreError(
                f"no key can cover {label}: {opaque}; registries and recipe classes hold "
                "modules, functions, classes, dataclasses and plain values"
            ) from None

    def _function(self, fn: Callable[..., Any], *, root: bool = False) -> str:
        """The name of a function, with what it closes over."""
        inner = inspect.unwrap(fn)
        label = self._definition(inner, root=root)
        if hasattr(fn, "registry") and hasattr(fn, "dispatch"):
            self._registries[f"{label}.registry"] = {str(kind): made for kind, made in fn.registry.items()}
        held = _closure(inner)
        if not held or not self._is_ours(inner.__module__):
            return label
        return f"{label} with {[(name, self._write(f'{label}<{name}>', value)) for name, value in held]}"

    def _definition(self, thing: Any, *, root: bool = False) -> str:
        """The name of a function or class, its source queued if it is one of ours."""
        label = _name(thing)
        if label not in self._parts and (root or self._follows(thing.__module__)):
            module = importlib.import_module(thing.__module__)
            codes = [_read(node, _package(module)) for node in _nodes(_tree(module), thing)]
            if not codes:
                raise _Opaque(f"{label} is not written in {module.__name__}")
            self._parts[label] = "\n".join(code.text for code in codes)
            self._pending += [(code, module) for code in codes]
        return label

    def _module(self, module: ModuleType) -> str:
        """The name of a module, all its source queued if it is one of ours."""
        label = f"module {module.__name__}"
        if label not in self._parts and self._follows(module.__name__):
            code = _read(_tree(module), _package(module))
            self._parts[label] = code.text
            self._pending.append((code, module))
        return label

    def _statements(self, module: ModuleType, name: str) -> str:
        """The statements that make a global, their names queued; imports are followed to where it is made."""
        statements = [node for node in _top_level(_tree(module)) if name in _bound(node, _package(module))]
        if not statements:
            raise StoreError(
                f"cannot tell how {module.__name__}.{name} is made, so no key covers it; "
                "assign it, or import it by name, at the top of its module"
            )
        return "\n".join(self._statement(module, name, node) for node in statements)

    def _statement(self, module: ModuleType, name: str, node: ast.stmt) -> str:
        for bound, source, taken in _imports([node], _package(module)):
            if bound == name and taken and self._follows(source):
                return self._statements(importlib.import_module(source), taken)
            if bound == name:
                return f"{source}.{taken}"
        code = _read(node, _package(module))
        self._pending.append((code, module))
        return code.text

    def _is_ours(self, module: str) -> bool:
        return module.partition(".")[0] in self._packages

    def _follows(self, module: str) -> bool:
        return self._is_ours(module) and module not in MACHINERY


def _name(thing: Any) -> str:
    return f"{thing.__module__}:{thing.__qualname__}"


def _package(module: ModuleType) -> str:
    """The package that relative imports of a module start from."""
    return module.__package__ or module.__name__.rpartition(".")[0]


def _attribute(module: ModuleType, name: str) -> object:
    """A module's attribute; a submodule that nobody has imported yet counts as one."""
    if hasattr(module, name):
        return getattr(module, name)
    return importlib.import_module(f"{module.__name__}.{name}")


def _is_plain(value: object) -> bool:
    """Whether a value is made of numbers and text alone."""
    if isinstance(value, Mapping):
        return all(map(_is_plain, (*value.keys(), *value.values())))
    if isinstance(value, tuple | list | set | frozenset):
        return all(map(_is_plain, value))
    return type(value) in _SCALARS


def _fields(value: Any) -> list[tuple[str, Any]]:
    return [(field.name, getattr(value, field.name)) for field in fields(value)]


def _member(value: Any) -> Any:
    """The function behind a property, cached property, class or static method."""
    match value:
        case property():
            return value.fget
        case functools.cached_property():
            return value.func
        case classmethod() | staticmethod():
            return value.__func__
        case _:
            return value


def _closure(fn: Any) -> list[tuple[str, Any]]:
    """What a function keeps of the functions around it; a method's `super()` needs no mention."""
    cells = getattr(fn, "__closure__", None) or ()
    names = fn.__code__.co_freevars if cells else ()
    held = {name: cell.cell_contents for name, cell in zip(names, cells, strict=True)}
    return [(name, value) for name, value in held.items() if name != "__class__" and value is not fn]


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


_AT_START = {path: _stamp(path) for path in Path(__file__).parent.rglob("*.py")}
_TREES: list[tuple[object, ast.Module]] = []


def _tree(module: ModuleType) -> ast.Module:
    """The syntax tree of a module as it was loaded; a reloaded module is read again.

    Raises: StoreError if the file was edited in the meantime: nobody knows then which text is the loaded one.
    """
    loaded = module.__spec__ or module
    for known, tree in _TREES:
        if known is loaded:
            return tree
    if module.__file__ is None:
        return ast.Module(body=[], type_ignores=[])
    path = Path(module.__file__)
    if _AT_START.setdefault(path, _stamp(path)) != _stamp(path):
        raise StoreError(f"{path} was edited after this process began, so no key fits what it makes; start again")
    with tokenize.open(path) as file:
        tree = ast.parse(file.read())
    _TREES.append((loaded, tree))
    return tree


def _nodes(tree: ast.Module, thing: Any) -> list[ast.AST]:
    """Where a function or class is written; several where conditions or overloads write it more than once."""
    found = _index(tree).get(thing.__qualname__.replace(".<locals>", ""), [])
    if thing.__qualname__.endswith("<lambda>"):
        return [node for node in found if node.lineno == thing.__code__.co_firstlineno]
    return found


@cache
def _index(tree: ast.Module) -> dict[str, list[ast.AST]]:
    """Every function, class and lambda of a module by its qualified name."""
    index: dict[str, list[ast.AST]] = {}
    for name, node in _definitions(tree, ""):
        index.setdefault(name, []).append(node)
    return index


def _definitions(scope: ast.AST, prefix: str) -> Iterator[tuple[str, ast.AST]]:
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, (*_FUNCTION, ast.ClassDef, ast.Lambda)):
            name = prefix + getattr(node, "name", "<lambda>")
            yield name, node
            yield from _definitions(node, f"{name}.")
        else:
            yield from _definitions(node, prefix)


def _top_level(tree: ast.AST) -> Iterator[ast.stmt]:
    """The statements of a module, those under `if` and `try` one by one."""
    for node in ast.iter_child_nodes(tree):
        inner = [] if isinstance(node, (*_FUNCTION, ast.ClassDef)) else list(_top_level(node))
        yield from inner
        if isinstance(node, ast.stmt) and not inner:
            yield node


def _bound(node: ast.stmt, package: str) -> set[str]:
    """The global names a statement assigns, defines or imports."""
    if isinstance(node, (*_FUNCTION, ast.ClassDef)):
        return {node.name}
    names = [name for name in ast.walk(node) if isinstance(name, ast.Name)]
    stored = {name.id for name in names if isinstance(name.ctx, ast.Store)}
    return stored | {found.bound for found in _imports([node], package)}


def _imports(nodes: Iterable[ast.AST], package: str) -> Iterator[_Import]:
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                yield _Import(alias.asname or whole, whole, "")
        elif isinstance(node, ast.ImportFrom):
            source = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                yield _Import(alias.asname or alias.name, source, alias.name)


@cache
def _read(node: ast.AST, package: str) -> _Code:
    """A piece of code without what does not matter, and the names in it that mean something outside of it."""
    bare = ast.fix_missing_locations(_Bare().visit(copy.deepcopy(node)))
    within = list(_run_time_nodes(bare))
    inner_imports = frozenset() if isinstance(node, ast.Module) else frozenset(_imports(within, package))
    meaningful = _outside_names(bare) | {found.bound for found in inner_imports}
    return _Code(
        text=ast.unparse(bare),
        names=frozenset(chain for chain in _chains(bare) if chain[0] in meaningful),
        imports=inner_imports,
        attributes=frozenset(found.attr for found in within if isinstance(found, ast.Attribute)),
        strings=frozenset(_asked_names(within)),
    )


class _Bare(ast.NodeTransformer):
    """Drops docstrings everywhere and annotations in functions; in a class they make fields and stay."""

    def __init__(self) -> None:
        self._in_function = False

    def generic_visit(self, node: ast.AST) -> ast.AST:
        outer, self._in_function = self._in_function, _opens_function(node, self._in_function)
        super().generic_visit(node)
        self._in_function = outer
        if isinstance(node, _FUNCTION):
            node.returns = None
        if getattr(node, "body", None) == []:
            node.body = [ast.Pass()]  # type: ignore[attr-defined]
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        is_docstring = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_docstring else self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(arg=node.arg)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node = self.generic_visit(node)
        if not self._in_function:
            return node
        if node.value is not None:
            return ast.Assign(targets=[node.target], value=node.value)
        node.annotation = ast.Constant(None)
        return node


def _asked_names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Strings that may ask a registry for an entry: `FAMILIES["lora"]` or `family("lora")`."""
    for node in nodes:
        asked = node.args if isinstance(node, ast.Call) else [getattr(node, "slice", None)]
        yield from (arg.value for arg in asked if isinstance(arg, ast.Constant) and isinstance(arg.value, str))


def _opens_function(node: ast.AST, inside: bool) -> bool:
    return isinstance(node, _FUNCTION) or (inside and not isinstance(node, ast.ClassDef))


def _run_time_children(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a node that run: an annotation does not."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(node, ast.AnnAssign) and child is node.annotation):
            yield child


def _run_time_nodes(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in _run_time_children(node):
        yield from _run_time_nodes(child)


def _chains(node: ast.AST) -> Iterator[tuple[str, ...]]:
    """Each name that is read, with all attributes read from it: `a.b.c` once, not also `a.b` and `a`."""
    if chain := _chain(node):
        yield chain
        return
    for child in _run_time_children(node):
        yield from _chains(child)


def _chain(node: ast.AST) -> tuple[str, ...]:
    match node:
        case ast.Name(id=name):
            return (name,)
        case ast.Attribute(value=value, attr=attribute):
            base = _chain(value)
            return (*base, attribute) if base else ()
        case _:
            return ()


class _Unbound(ast.NodeTransformer):
    """Lets a function that shares variables with the one around it stand alone."""

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
        return ast.Global(names=node.names)


def _outside_names(bare: ast.AST) -> set[str]:
    """The names that no scope inside a piece of code binds."""
    text = ast.unparse(_Unbound().visit(copy.deepcopy(bare)))
    return set(_free(symtable.symtable(text, "<source>", "exec")))


def _free(scope: symtable.SymbolTable) -> Iterator[str]:
    is_function = scope.get_type() == "function"
    for symbol in scope.get_symbols():
        if symbol.is_global() if is_function else symbol.is_referenced():
            yield symbol.get_name()
    for child in scope.get_children():
        yield from _free(child)
