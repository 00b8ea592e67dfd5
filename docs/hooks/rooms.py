"""Hook of MkDocs: under each room of the architecture page, its modules with the first line of what they say of
themselves. They are read off the tree whenever the site is built."""

import ast
import re
from pathlib import Path

WS = Path(__file__).parents[2] / "ws"
ROOM = re.compile(r"^## `(\w+)`\n", flags=re.MULTILINE)


def on_page_markdown(markdown: str, *, page: object, **_: object) -> str:
    if page.file.src_uri != "architecture.md":
        return markdown
    head, *rooms = ROOM.split(markdown)
    pairs = zip(rooms[::2], rooms[1::2], strict=True)
    return head + "".join(f"## `{room}`\n{text.rstrip()}\n\n{modules(room)}\n\n" for room, text in pairs)


def modules(room: str) -> str:
    """The modules of a room as a list; empty if the room is a module itself."""
    paths = [path for path in sorted((WS / room).rglob("*.py")) if says(path)]
    return "\n".join(f"* `{path.relative_to(WS).as_posix()}`: {says(path)}" for path in paths)


def says(path: Path) -> str:
    """The first line of a module's docstring."""
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return said.partition("\n")[0].replace("<", "&lt;")
