"""Which definitions differ between two commits, read from their files: nothing is imported and nothing runs.

Docstrings, comments and line breaks make no difference. A module's imports say which other modules it may reach.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property

from ws.changes.commits import Commit, contents

UNREACHED = ("ws/tests/", "ws/bench/", "ws/cli/", "ws/html/", "ws/falsify/", "ws/calibration/", "ws/exports/")
"""Rooms that decide no recorded number."""

TESTS = "/tests/"


@dataclass(frozen=True)
class Edited:
    """The definitions of one file that differ."""

    path: str
    names: tuple[str, ...]
    """Functions, classes, methods and constants; none for a file that is no Python, or cannot be read as such."""

    def __str__(self) -> str:
        return f"{self.path}: {', '.join(self.names)}" if self.names else self.path


@dataclass(frozen=True)
class Between:
    """What differs between the files of two commits of one repository."""

    old: Commit
    new: Commit
    places: tuple[str, ...]
    """The folders that are compared."""
    _read: dict[str, bytes] = field(default_factory=dict, compare=False, repr=False)
    _within: dict[tuple[str, ...], list[Edited]] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def before(self) -> Mapping[str, str]:
        return self.old.blobs(*self.places)

    @cached_property
    def after(self) -> Mapping[str, str]:
        return self.new.blobs(*self.places)

    @cached_property
    def paths(self) -> list[str]:
        """The files that differ, or that one side lacks, without tests of the library and rooms that decide nothing."""
        both = sorted(self.before.keys() | self.after.keys())
        return [
            path
            for path in both
            if self.before.get(path) != self.after.get(path) and not path.startswith(UNREACHED) and TESTS not in path
        ]

    @cached_property
    def edited(self) -> list[Edited]:
        """The definitions that differ, file by file; files whose wording alone differs are left out."""
        self._fetch([path for path in self.paths if path.endswith(".py")])
        found = []
        for path in self.paths:
            if path.endswith(".py"):
                names = changed(self._text(self.before, path), self._text(self.after, path))
                found += [Edited(path, names)] if names else []
            elif "__snapshots__" not in path and "__evidence__" not in path:
                found.append(Edited(path, ()))
        return found

    def within(self, *starts: str) -> list[Edited]:
        """Of what differs, the files that some modules of the later commit may reach through their imports."""
        if starts not in self._within:
            reachable = self._reachable(starts) if self.edited else ()
            self._within[starts] = [one for one in self.edited if one.path in reachable]
        return self._within[starts]

    def _reachable(self, starts: Iterable[str]) -> set[str]:
        known = self.after
        self._fetch([path for path in known if path.endswith(".py")])
        found, open_ = set(), [path for path in starts if path in known]
        while open_:
            found |= set(open_)
            inner = {path for one in open_ for path in _imported(self._text(known, one), one, known)}
            open_ = sorted(inner - found)
        return found

    def _fetch(self, paths: Iterable[str]) -> None:
        asked = list(paths)
        wanted = {side[path] for side in (self.before, self.after) for path in asked if path in side}
        self._read.update(contents(self.new.repository, wanted - self._read.keys()))

    def _text(self, side: Mapping[str, str], path: str) -> bytes:
        return self._read[side[path]] if path in side else b""


def changed(old: bytes, new: bytes) -> tuple[str, ...]:
    """The names of the definitions that differ between two texts of a module."""
    before, after = definitions(old), definitions(new)
    both = dict.fromkeys([*before, *after])
    return tuple(name for name in both if not _alike(before.get(name, ()), after.get(name, ())))


Nodes = tuple[tuple[str, ast.AST | None], ...]
"""The text of a definition, and its tree; several of one name in their order."""


@cache
def definitions(text: bytes) -> Mapping[str, Nodes]:
    """Every definition of a module by name; a file that is no Python is one."""
    plain = text.decode(errors="replace")
    try:
        tree = ast.parse(plain)
    except (SyntaxError, ValueError):
        return {"the file": ((plain, None),)}
    found: dict[str, Nodes] = {}
    lines = plain.splitlines()
    for name, node, end in _named(tree.body, ""):
        first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
        said = "\n".join(lines[first - 1 : end or node.end_lineno])
        found[name] = (*found.get(name, ()), (said, node))
    return found


def _alike(old: Nodes, new: Nodes) -> bool:
    """Whether definitions are the same but for comments, docstrings and line breaks."""
    if [text for text, _ in old] == [text for text, _ in new]:
        return True
    trees = [[node for _, node in side] for side in (old, new)]
    if None in (*trees[0], *trees[1]) or len(old) != len(new):
        return False
    dumps = [[ast.dump(_bare(node)) for node in side if node is not None] for side in trees]
    return dumps[0] == dumps[1]


def module_path(name: str, known: Mapping[str, str]) -> str | None:
    """The file of a module `a.b.c`; None if there is none."""
    path = name.replace(".", "/")
    return next((one for one in (f"{path}.py", f"{path}/__init__.py") if one in known), None)


def _named(body: Sequence[ast.stmt], inside: str) -> Iterator[tuple[str, ast.stmt, int | None]]:
    """Each definition with its name, and the line where it ends if not its last one; methods apart from their class."""
    for node in body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield inside + node.name, node, None
            case ast.ClassDef():
                methods = [one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
                yield inside + node.name, _without(node, methods), methods[0].lineno - 1 if methods else None
                yield from _named(methods, f"{inside}{node.name}.")
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield inside + name, node, None
            case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
                continue
            case _:
                yield f"{inside}(statements)", node, None


def _without(node: ast.ClassDef, methods: Sequence[ast.stmt]) -> ast.ClassDef:
    rest = [one for one in node.body if one not in methods]
    bare = ast.ClassDef(
        name=node.name, bases=node.bases, keywords=node.keywords, body=rest, decorator_list=node.decorator_list
    )
    return ast.copy_location(bare, node)


def _bare(node: ast.AST) -> ast.AST:
    """The node without its docstrings."""
    for one in ast.walk(node):
        body = getattr(one, "body", None)
        if isinstance(body, list):
            one.body = [  # type: ignore[attr-defined]
                it for it in body if not (isinstance(it, ast.Expr) and isinstance(it.value, ast.Constant))
            ]
    return node


def _imported(text: bytes, path: str, known: Mapping[str, str]) -> set[str]:
    """The files that a module imports, those of its packages too."""
    return {one for name in _imports(text, path) if (one := module_path(name, known)) is not None}


IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)|import[ \t]+([^\n]*))", re.MULTILINE
)
"""A statement that imports, or a line of prose that looks like one: that names no module, or one too many."""


@cache
def _imports(text: bytes, path: str) -> frozenset[str]:
    return frozenset(_import_names(text.decode(errors="replace"), path))


def _import_names(text: str, path: str) -> Iterator[str]:
    package = path.removesuffix(".py").split("/")[:-1]
    for found in IMPORT.finditer(text):
        origin, names, modules = found.groups()
        if modules is not None:
            for name in _first_words(modules):
                yield from _with_parents(name)
            continue
        level = len(origin) - len(origin.lstrip("."))
        above = package[: len(package) - level + 1] if level else []
        module = ".".join(filter(None, [*above, origin.lstrip(".")]))
        yield from _with_parents(module)
        yield from (f"{module}.{name}" for name in _first_words(names))


def _first_words(listed: str) -> list[str]:
    """The names of a list `a as b, c`, which may be in parentheses."""
    parts = re.sub(r"#[^\n]*", "", listed).strip("() \t").split(",")
    return [part.split()[0] for part in parts if part.split()]


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    yield from (".".join(parts[: k + 1]) for k in range(len(parts)))
