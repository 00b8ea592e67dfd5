"""The recorded case that a person means by the id of a test, with or without file and model."""

import re
from collections.abc import Iterable, Sequence

from ws.changes.cases import Case
from ws.errors import UnknownNameError


def meant(asked: str, cases: Iterable[Case]) -> list[Case]:
    """The cases of an id such as `claims/test_x.py::test_it[lora]`, one a model unless the id names the model.

    Raises: UnknownNameError, with near misses, for an id of which no case is recorded.
    """
    wanted, known = asked.rpartition("::")[2], list(cases)
    found = [case for case in known if wanted in ids(case)]
    if not found:
        raise UnknownNameError("case", wanted, {case.name for case in known})
    return found


def ids(case: Case) -> set[str]:
    """The names of a case: its test with its parameters, without the model and with it, as in pytest's ids."""
    return {case.name, item(case), case.id[1]}


def item(case: Case) -> str:
    """The name of the test item that asks a case again."""
    model = case.id[0].partition("@")[0]
    return f"{case.test}[{'-'.join(filter(None, [model, str(case.said.get('case', ''))]))}]"


def test_file(test: str, files: Sequence[tuple[str, bytes]]) -> str | None:
    """The file that defines a test; None if none does."""
    pattern = re.compile(rf"^(?:async )?def {re.escape(test)}\(".encode(), re.MULTILINE)
    return next((path for path, text in files if pattern.search(text)), None)
