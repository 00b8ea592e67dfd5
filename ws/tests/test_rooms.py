"""The rooms of `ws` stand in one order: a module imports from its own room and from those before it."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import ws

ROOMS = (
    "errors",
    "files",
    "live",
    "code",
    "store",
    "upkeep",
    "evidence",
    "remote",
    "behaviors",
    "dilemmas",
    "models",
    "receipts",
    "adapters",
    "delta",
    "engine",
    "training",
    "steering",
    "stats",
    "scoring",
    "lenses",
    "study",
    "contest",
    "constructed",
    "exports",
    "plan",
    "talk",
    "report",
    "html",
    "results",
    "changes",
    "falsify",
    "calibration",
    "bench",
    "cli",
    "plugin",
)
ROOT = Path(ws.__file__).parent
ENTRANCES = (ROOT / "__init__.py", ROOT / "__main__.py")
"""What stands before every room: the public names, and `python -m ws`."""

MODULES = [
    path for path in sorted(ROOT.rglob("*.py")) if not path.is_relative_to(ROOT / "tests") and path not in ENTRANCES
]


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """The line of each import of ours, inside of functions too, and the room it leads to."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "ws":
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ws."):
            yield node.lineno, node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, name.name.split(".")[1]) for name in node.names if name.name.startswith("ws."))


def test_no_import_leads_back_up() -> None:
    back = [
        f"{path.relative_to(ROOT)}:{line} imports {room}"
        for path in MODULES
        for line, room in imports(path)
        if ROOMS.index(room) > ROOMS.index(room_of(path))
    ]
    assert not back


def test_every_room_has_its_place_and_can_be_surveyed() -> None:
    lines = Counter[str]()
    for path in MODULES:
        lines[room_of(path)] += len(path.read_text(encoding="utf-8").splitlines())
    assert lines.keys() == set(ROOMS)
    assert {room: n for room, n in lines.items() if n > 3000} == {}


def test_nothing_in_ws_imports_pytest() -> None:
    named = [path for path in MODULES if {"pytest", "fixtures"} & set(_libraries(path))]
    assert named == []


def _libraries(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]
