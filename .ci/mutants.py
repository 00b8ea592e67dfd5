"""Whether the tests notice when the code is wrong: break it in one place at a time and run the tests of that module.

    python .ci/mutants.py                 a sample of every module below, and what survived
    python .ci/mutants.py stats/sweep     of one module; --all for every mutant instead of a sample

A mutant is one change to one expression or statement: another operator or number, a condition turned round, an error
not raised, a call left out. It is killed if a test fails or they take far too long. No file is changed: pytest collects
the tests once, each mutant runs in a fork of that process, and there the function gets the code of the changed source.
"""

import argparse
import ast
import copy
import gc
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from inspect import unwrap
from pathlib import Path
from types import CodeType, FunctionType
from typing import TextIO

import pytest

ROOT = Path(__file__).parents[1]
PROFILE = "mutants"
TESTS: dict[str, tuple[str, ...]] = {
    "store/artifacts": ("store", "memory"),
    "store/manifests": ("store",),
    "store/recipes": ("store",),
    "stats/estimate": ("estimate", "verdict"),
    "stats/hypothesis": ("verdict", "estimate"),
    "stats/tables": ("estimate",),
    "stats/verdict": ("verdict",),
    "stats/sweep": ("sweep",),
    "stats/specificity": ("specificity",),
    "delta/update": ("update",),
    "delta/weight_delta": ("delta", "rows"),
    "delta/steering": ("steer", "delta", "anatomy"),
    "adapters/lora": ("adapters", "adapters_peft"),
    "adapters/dora": ("adapters", "adapters_peft"),
    "adapters/delora": ("adapters", "adapters_peft"),
    "adapters/pissa": ("adapters", "adapters_peft"),
    "adapters/oft": ("adapters", "adapters_peft"),
    "adapters/boft": ("adapters", "adapters_peft"),
    "adapters/ia3": ("adapters", "adapters_peft"),
    "steering/interventions": ("interventions",),
    "steering/iso_kl": ("iso_kl",),
    "steering/states": ("states", "rivals"),
}
"""The modules of ws/ whose errors would be silent, and the files of ws/tests that prove them."""
SEED = 0
AT_LEAST, LINES_PER_MUTANT = 6, 25
"""How many mutants are drawn of a module: so many, and one more for each of so many lines."""

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
        # Objects that are frozen would not be listed.
        gc.unfreeze()
        functions = [it for it in gc.get_objects() if type(it) is FunctionType]
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


def drawn(module: str) -> list[Mutant]:
    """A sample of a module's mutants, the same each time."""
    every = mutants(module)
    wanted = AT_LEAST + len((ROOT / "ws" / f"{module}.py").read_text().splitlines()) // LINES_PER_MUTANT
    return sorted(random.Random(f"{SEED} {module}").sample(every, min(wanted, len(every))), key=every.index)


class Breaker:
    """A plugin that runs the collected tests once for each mutant, each time in a fork."""

    def __init__(self, chosen: dict[str, list[Mutant]]) -> None:
        self.chosen = chosen
        self.survivors: list[Mutant] = []
        self.total = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self) -> None:
        from hypothesis import Phase, settings

        # The same examples for every mutant and none that another's failure left behind; the first failure will do.
        phases = Phase.explicit, Phase.generate
        settings.register_profile(PROFILE, derandomize=True, database=None, phases=phases)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        for module, found in self.chosen.items():
            names = [f"test_{name}.py" for name in TESTS[module]]
            items = [item for item in session.items if item.path.name in names]
            began = time.monotonic()
            failed = first_failure(items, None, limit=600)
            if failed is not None:
                raise pytest.UsageError(f"{module}: its tests fail before anything is broken: {failed}")
            limit = 10 + 5 * (time.monotonic() - began)
            lived = 0
            for mutant in found:
                failed = first_failure(items, mutant, limit=limit)
                lived += failed is None
                say(f"{'SURVIVED' if failed is None else 'killed'}\t{mutant.line}\t{mutant.name}\t{failed or ''}")
                if failed is None:
                    self.survivors.append(mutant)
            say(f"{module}: {len(found) - lived} of {len(found)} killed, {limit / 5 - 2:.1f} s for its tests")
            self.total += len(found)
        say(f"{self.total - len(self.survivors)} of {self.total} killed")
        return True


def say(text: str) -> None:
    """Print past pytest's capture."""
    os.write(SAID, f"{text}\n".encode())


def first_failure(items: Sequence[pytest.Item], mutant: Mutant | None, *, limit: float) -> str | None:
    """The first test that fails with the mutant (None: with the code as it is), or None if all pass."""
    with tempfile.TemporaryFile("w+") as heard:
        pid = os.fork()
        if pid == 0:
            os._exit(run_until_failure(items, mutant, heard))
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                heard.seek(0)
                if status != 0 and not (said := heard.read()):
                    raise RuntimeError(f"{mutant and mutant.name}: its process died with status {status}")
                return said if status else None
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return f"took more than {limit:.0f} s"


def run_until_failure(items: Sequence[pytest.Item], mutant: Mutant | None, told: TextIO) -> int:
    """The exit status of a process that ends with it, after it has told what failed first."""
    config = items[0].config
    config.pluginmanager.unregister(name="terminalreporter")
    failures: list[str] = []

    class Listener:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed:
                failures.append(report.nodeid)

    config.pluginmanager.register(Listener())
    try:
        if mutant is not None:
            mutant.apply()
        for item, following in zip(items, [*items[1:], None], strict=True):
            config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if failures:
                break
    except BaseException:
        # Nothing of the parent's may run on in a fork.
        traceback.print_exc(file=sys.__stderr__)
        return 2
    print(*failures, end="", file=told, flush=True)
    return int(bool(failures))


SAID = os.dup(1)
"""Where this process was told to print, which pytest takes hold of."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Break the code in one place at a time and run its tests.")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="below ws/, as stats/sweep; default: all listed")
    parser.add_argument("--all", action="store_true", help="every mutant instead of a sample")
    asked = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "WS_QUIET": "1"}
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    chosen = {module: mutants(module) if asked.all else drawn(module) for module in asked.modules or TESTS}
    files = dict.fromkeys(f"ws/tests/test_{name}.py" for module in chosen for name in TESTS[module])
    with tempfile.TemporaryDirectory() as folder:
        # Given a folder pytest empties it first, so no mutant meets what another one's tests stored.
        options = ["-q", "-p", "no:cacheprovider", f"--hypothesis-profile={PROFILE}", f"--basetemp={folder}/tests"]
        raise SystemExit(pytest.main([*options, *files], plugins=[Breaker(chosen)]))


if __name__ == "__main__":
    main()
