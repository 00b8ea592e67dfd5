"""What each test of a sound run calls and reads, so that a change to the code is tried first where it may show."""

import json
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import CodeType, FrameType

import pytest
from mutation import ROOT


@dataclass(frozen=True)
class Trace:
    """What one test called and read that no test before it had kept in memory."""

    ran: frozenset[str]
    """Names of functions of the package, and of the constants of their modules that they name."""
    keys: frozenset[str]
    """Of artifacts, without their inputs."""


class Tracer:
    """A plugin that writes a line for each test that runs in this process."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", buffering=1)
        self._named: dict[CodeType, frozenset[str]] = {}
        self._seen: set[CodeType] = set()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        from fixtures.properties import record_in
        from fixtures.settings import STORE

        known = set(item.config.stash[STORE].asked) if STORE in item.config.stash else set()
        self._seen.clear()
        sys.setprofile(self._note)
        try:
            return (yield)
        finally:
            sys.setprofile(None)
            record = record_in(item.user_properties)
            asked = item.config.stash[STORE].asked.keys() - known if STORE in item.config.stash else set()
            names = frozenset().union(*(self._names(code) for code in self._seen))
            self._say(test=item.nodeid, ran=sorted(names), keys=sorted(asked | {*(record.keys if record else ())}))
            if nextitem is None:
                self._say(modules=sorted(sys.modules))

    def _say(self, **what: object) -> None:
        self._file.write(json.dumps(what) + "\n")

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            self._seen.add(frame.f_code)

    def _names(self, code: CodeType) -> frozenset[str]:
        if code not in self._named:
            self._named[code] = frozenset(names_in(code))
        return self._named[code]


def names_in(code: CodeType) -> Iterator[str]:
    """The name of a function of the package, as the code behind keys is listed, and of the constants that it uses."""
    if code.co_filename.startswith(str(ROOT / "ws")):
        module = Path(code.co_filename).relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        yield f"{module}:{code.co_qualname.replace('.<locals>', '').partition('.<')[0]}"
        yield from (f"{module}.{name}" for name in code.co_names if name.isupper())


def traces(path: Path) -> dict[str, Trace]:
    """By test, what a tracer has written; every module that the tests loaded is loaded here too."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for name in lines.pop()["modules"]:
        _load(name)
    return {line["test"]: Trace(frozenset(line["ran"]), frozenset(line["keys"])) for line in lines}


def _load(name: str) -> None:
    """A fork that has to load nothing starts seconds earlier. What cannot be loaded by its name is left to it."""
    try:
        import_module(name)
    except Exception:
        return
