"""The source hash changes with everything that a result depends on, and with nothing else.

Most cases edit one place of a small package, `lab`, and compare the hash of `lab.work.make` before and after.
"""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from ws.code.sources import reached, source_hash
from ws.errors import StoreError

LAB = {
    "__init__": "",
    "work": '''
"""Makes things."""

import math as maths
import re
from collections.abc import Callable
from functools import lru_cache, partial, wraps
from logging import root as log
from math import sin as wave

import lab.deep
from lab import helpers
from lab.families import FAMILIES, family
from lab.helpers import halved as half
from ws.errors import DataError

RATE = 0.5
NAMES = frozenset({"one", "two"})
WORD = re.compile("[a-z]+")
STEP = partial(helpers.stepped, 2)
UNUSED = 1


class Scale:
    """A factor."""

    by = 3

    def times(self, x):
        return self.by * x


def marked(fn):
    token = object()

    @wraps(fn)
    def wrapper(*args):
        return token and fn(*args)

    return wrapper


@marked
def make(x: int, name: str = "one", start=helpers.START) -> float:
    """The result."""
    from lab.late import late  # read when it is needed

    def inner(y: int) -> int:
        """Nothing to see."""
        return y + cached(y)

    size: float = half(x) + helpers.doubled(x) * RATE + Scale().times(x) + late(x)
    if name not in NAMES or WORD.match(name) is None or log.disabled:
        raise DataError(f"{name} is no name")
    return size + inner(x) + maths.floor(x) + wave(x) + lab.deep.sunk(x) + STEP() + family(name).grow(x)


@lru_cache
def cached(y):
    return y - 1


def unused(x):
    return FAMILIES["three"].grow(x)
''',
    "helpers": """
from lab import deep

START = 0
SIZES = {"small": 1, "large": 2}


def halved(x):
    return x / 2


def doubled(x):
    return deep.sunk(x) * SIZES["small"]


def stepped(x):
    return x + 1


def unused(x):
    return x
""",
    "deep": """
DEPTH = 7


def sunk(x):
    return x - DEPTH
""",
    "late": """
def late(x):
    return x
""",
    "families": """
from lab import one, three, two

FAMILIES = {module.NAME: module for module in (one, two, three)}


def family(name):
    return FAMILIES[name]
""",
    "one": """
NAME = "one"


def grow(x):
    return x + 1
""",
    "two": """
NAME = "two"


def grow(x):
    return x + 2
""",
    "three": """
NAME = "three"


def grow(x):
    return x + 3
""",
}

Imported = Callable[[dict[str, str]], ModuleType]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Imported:
    """Writes a package `lab`, every version of it into a folder of its own, and imports `lab.work`."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    versions = iter(range(100))

    def imported(files: dict[str, str]) -> ModuleType:
        root = tmp_path / str(next(versions))
        (root / "lab").mkdir(parents=True)
        for name, text in files.items():
            (root / "lab" / f"{name}.py").write_text(text)
        forget_lab()
        monkeypatch.syspath_prepend(root)
        return importlib.import_module("lab.work")

    # Not `yield`: checked types hide from pytest that a function is a generator.
    request.addfinalizer(forget_lab)  # noqa: PT021
    return imported


def forget_lab() -> None:
    """Unloads the package, so that the next import reads its files."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "lab"]:
        del sys.modules[name]


def edited(module: str, old: str, new: str) -> dict[str, str]:
    """The package with one edit."""
    assert LAB[module].count(old) == 1, f"{old!r} is not in {module} exactly once"
    return LAB | {module: LAB[module].replace(old, new)}


def moved(lab: Imported, files: dict[str, str], only: tuple[str, ...] = ("one",)) -> bool:
    """Whether the hash of `make` differs between the package and an edited one."""
    before = source_hash(lab(LAB).make, only=only)
    return source_hash(lab(files).make, only=only) != before


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        pytest.param("work", "return size + inner(x)", "return size - inner(x)", id="body"),
        pytest.param("work", "raise DataError(", "raise KeyError(", id="kind of an error"),
        pytest.param("work", "RATE = 0.5", "RATE = 0.25", id="constant"),
        pytest.param("work", 'frozenset({"one", "two"})', 'frozenset({"one", "six"})', id="frozenset"),
        pytest.param("work", '"[a-z]+"', '"[a-y]+"', id="constant that is an object"),
        pytest.param("work", "partial(helpers.stepped, 2)", "partial(helpers.stepped, 3)", id="partial"),
        pytest.param("work", "by = 3", "by = 4", id="class attribute"),
        pytest.param("work", "self.by * x", "self.by + x", id="method"),
        pytest.param("work", "return y + cached(y)", "return y - cached(y)", id="inner function"),
        pytest.param("work", "return y - 1", "return y - 2", id="cached function"),
        pytest.param("work", "token and fn(*args)", "fn(*args)", id="decorator"),
        pytest.param("work", 'name: str = "one"', 'name: str = "two"', id="default"),
        pytest.param("work", "import sin as wave", "import cos as wave", id="function of another library"),
        pytest.param("work", "import root as log", "import lastResort as log", id="object of another library"),
        pytest.param("work", "import math as maths", "import cmath as maths", id="another library"),
        pytest.param("work", "import halved as half", "import doubled as half", id="another helper"),
        pytest.param("helpers", "return x / 2", "return x / 3", id="helper imported by name"),
        pytest.param("helpers", "return deep.sunk(x)", "return -deep.sunk(x)", id="helper of a module"),
        pytest.param("helpers", "START = 0", "START = 1", id="constant in a default"),
        pytest.param("helpers", '"small": 1', '"small": 5', id="dict a helper reads"),
        pytest.param("helpers", "return x + 1", "return x + 2", id="function in a partial"),
        pytest.param("deep", "DEPTH = 7", "DEPTH = 8", id="constant of a helper's helper"),
        pytest.param("late", "return x", "return -x", id="import inside the function"),
        pytest.param("one", "return x + 1", "return x + 9", id="chosen entry of a registry"),
        pytest.param("families", "return FAMILIES[name]", "return FAMILIES[str(name)]", id="look-up"),
    ],
)
def test_moves_with_what_a_result_depends_on(lab: Imported, module: str, old: str, new: str) -> None:
    assert moved(lab, edited(module, old, new))


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        pytest.param("work", "  # read when it is needed", "  # why not", id="comment"),
        pytest.param("work", '"""The result."""', '"""A result."""', id="docstring"),
        pytest.param("work", '    """Nothing to see."""\n', "", id="docstring of an inner function"),
        pytest.param("work", '"""A factor."""', '"""Some factor."""', id="docstring of a class"),
        pytest.param("work", '"""Makes things."""', "", id="docstring of a module"),
        pytest.param("work", "{name} is no name", "what is {x}?", id="message of an error"),
        pytest.param("work", "x: int, name: str", "x: Callable[[], int], name: str", id="annotation"),
        pytest.param("work", ") -> float:", ") -> Callable[[], int]:", id="annotation of the result"),
        pytest.param("work", "size: float =", "size =  ", id="formatting and local annotation"),
        pytest.param("work", "\n\nRATE", "\n\n\n\n\nRATE", id="empty lines"),
        pytest.param("work", "UNUSED = 1", "UNUSED = 2", id="unused constant"),
        pytest.param("work", '["three"].grow(x)', '["two"].grow(x)', id="unused function"),
        pytest.param("helpers", "def unused(x):\n    return x", "", id="unused function of a module"),
        pytest.param("two", "return x + 2", "return x + 9", id="other entry of a registry"),
    ],
)
def test_stays_with_anything_else(lab: Imported, module: str, old: str, new: str) -> None:
    assert not moved(lab, edited(module, old, new))


@pytest.mark.parametrize("only", [(), ("nobody",)], ids=["no names", "no name of the registry"])
@pytest.mark.parametrize("family", ["one", "two", "three"])
def test_a_registry_counts_whole_unless_a_name_asks_for_entries(
    lab: Imported, only: tuple[str, ...], family: str
) -> None:
    assert moved(lab, edited(family, "return x + ", "return 1 + x + "), only)


def test_each_name_that_asks_keeps_its_entry(lab: Imported) -> None:
    names = reached(lab(LAB).make, only=("one", "three", "nobody"))
    modules = {name for name in names if name.startswith("module")}
    assert modules == {"module lab.one", "module lab.three"}


@pytest.mark.parametrize("call", ['family("two")', 'FAMILIES["two"]'])
def test_an_entry_asked_for_by_a_literal_name_counts_too(lab: Imported, call: str) -> None:
    asks = edited("work", "family(name).grow(x)", f"family(name).grow(x) + {call}.grow(x)")
    names = reached(lab(asks).make, only=("one",))
    assert {"module lab.one", "module lab.two"} <= names.keys()
    assert "module lab.three" not in names


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("lambda x: x + 1", "lambda x: x + 2", id="lambda"),
        pytest.param("Entry(4)", "Entry(5)", id="record"),
        pytest.param("added(6)", "added(7)", id="closure"),
        pytest.param("x - n", "n - x", id="function behind a closure"),
        pytest.param('"builtin": abs', '"builtin": len', id="builtin"),
    ],
)
def test_registries_hold_more_than_modules(lab: Imported, old: str, new: str) -> None:
    families = """
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    size: int


def added(n):
    def inner(x):
        return x - n

    return inner


FAMILIES = {"lambda": lambda x: x + 1, "record": Entry(4), "closure": added(6), "builtin": abs}


def family(name):
    return FAMILIES[name]
"""
    assert families.count(old) == 1
    before = source_hash(lab(LAB | {"families": families}).make)
    assert source_hash(lab(LAB | {"families": families.replace(old, new)}).make) != before


def test_a_registry_of_objects_without_a_text_is_refused(lab: Imported) -> None:
    families = "FAMILIES = {'one': object()}\n\n\ndef family(name):\n    return FAMILIES[name]\n"
    with pytest.raises(StoreError, match=r"lab\.families\.FAMILIES\['one'\] is a object; registries .* hold"):
        source_hash(lab(LAB | {"families": families}).make)


def test_a_replaced_function_counts_as_it_runs(lab: Imported, monkeypatch: pytest.MonkeyPatch) -> None:
    work = lab(LAB)
    before = source_hash(work.make)
    monkeypatch.setattr(work.helpers, "doubled", work.unused)
    assert source_hash(work.make) != before


def test_a_replaced_constant_counts_as_it_runs(lab: Imported, monkeypatch: pytest.MonkeyPatch) -> None:
    work = lab(LAB)
    before = source_hash(work.make)
    monkeypatch.setattr(work, "RATE", 0.125)
    assert source_hash(work.make) != before


MEMBERS = """
from dataclasses import dataclass


@dataclass(frozen=True)
class Input:
    n: int

    @property
    def size(self):
        return self.n + 1

    def other(self):
        return 1

    def describe(self):
        return "an input"


@dataclass(frozen=True)
class Job:
    input: Input

    def make(self):
        return self.helper() + len(self.input.describe())

    def helper(self):
        return self.input.size
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param("return self.input.size", "return 2 * self.input.size", True, id="own method"),
        pytest.param("return self.n + 1", "return self.n + 2", True, id="property of what it is handed"),
        pytest.param("return 1", "return 2", False, id="method nobody calls"),
        pytest.param('"an input"', '"input"', False, id="wording"),
    ],
)
def test_members_of_handed_objects_count_where_they_are_used(lab: Imported, old: str, new: str, expected: bool) -> None:
    def hashed(text: str) -> str:
        work = lab(LAB | {"work": text})
        return source_hash(work.Job.make, owners=(work.Job, work.Input))

    assert MEMBERS.count(old) == 1
    assert (hashed(MEMBERS) != hashed(MEMBERS.replace(old, new))) == expected


def test_machinery_does_not_count(lab: Imported) -> None:
    text = "from ws.store import progress\nfrom ws.store import Store\n\n\ndef make(x):\n    progress.say(Store(x))\n"
    names = reached(lab(LAB | {"work": text}).make)
    assert [name for name in names if ":" in name] == ["lab.work:make"]


def test_a_local_name_is_not_the_global_of_that_name(lab: Imported) -> None:
    text = "RATE = {}\n\n\ndef make(RATE):\n    return [UNUSED for UNUSED in RATE]\n\n\nUNUSED = 1\n"
    names = reached(lab(LAB | {"work": text}).make)
    assert [name for name in names if name != "root"] == ["lab.work:make"]


def test_an_edit_after_loading_leaves_the_hash_of_what_runs(lab: Imported) -> None:
    work = lab(LAB)
    before = source_hash(work.make)
    Path(work.__file__).write_text(LAB["work"].replace("RATE = 0.5", "RATE = 0.25"))
    assert source_hash(work.make) == before


def test_code_reloaded_after_an_edit_gets_no_hash(lab: Imported) -> None:
    work = lab(LAB)
    source_hash(work.make)
    Path(work.__file__).write_text(LAB["work"].replace("RATE = 0.5", "RATE = 0.25"))
    importlib.reload(work)
    with pytest.raises(StoreError, match=r"work\.py was edited after this process began.*start again"):
        source_hash(work.make)


def test_code_without_a_file_is_refused() -> None:
    space: dict[str, object] = {"__name__": __name__}
    exec("def made(): return 1", space)
    with pytest.raises(StoreError, match=r"cannot find the source of .*:made.*define it with def"):
        source_hash(space["made"])


def test_what_a_process_remembers_does_not_count(lab: Imported) -> None:
    text = "import weakref\n\nKNOWN = weakref.WeakKeyDictionary()\n\n\ndef make(x):\n    return KNOWN.get(x)\n"
    module = lab(LAB | {"work": text})
    before = source_hash(module.make)
    remembered = type("Remembered", (), {})()
    module.KNOWN[remembered] = 1
    assert source_hash(module.make) == before
