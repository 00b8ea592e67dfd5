"""What a page shows, gathered from recorded verdicts and the claims they are of."""

from collections.abc import Sequence
from pathlib import Path

from ws.html.controls import controls
from ws.html.page import Content
from ws.report.register import read_beside
from ws.report.verdicts import Record


def gathered(records: Sequence[Record], tests: Path, *, all_claims: bool = True) -> Content:
    """The content of a page: these verdicts, with the register and the controls of a folder of claim tests."""
    return Content(records=records, register=read_beside(tests), controls=controls(tests), all_claims=all_claims)
