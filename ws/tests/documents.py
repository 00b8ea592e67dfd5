"""The code blocks of the documents, their text without these, and the verdicts that they tell of."""

import re
from pathlib import Path

from ws.report.verdicts import Record, recorded

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in a language; "" is of those that name none."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [code for named, code in found if named == language]


def prose(page: Path) -> str:
    """A page without its fenced blocks, and without what is written between markers."""
    made = r"^```\w*\n.*?^```$|^<!-- (\w+) -->$.*?^<!-- end of \1 -->$"
    return re.sub(made, "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def recorded_verdicts(model: str = "smollm2-135m") -> list[Record]:
    """The recorded verdicts of a model."""
    return recorded(ROOT / "claims" / "__snapshots__" / model)
