"""The entry point by which pytest loads the fixtures, which are inside an installed package and beside `ws` in a clone.

No other module of `ws` knows of the fixtures, and this one only by name. In a clone, pytest.ini and conftest.py load
them.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, runtime_checkable

HERE = Path(__file__).parent
IN_A_CLONE = "fixtures.early"
"""The plugin that only runs in a clone load."""


@runtime_checkable
class Plugins(Protocol):
    """The methods of pytest's plugin manager that are used here; nothing in `ws` imports pytest."""

    def has_plugin(self, name: str) -> bool: ...

    def import_plugin(self, modname: str) -> None: ...


def pytest_addoption(pluginmanager: Plugins) -> None:
    """Called as soon as pytest has loaded this plugin, after those that settings name."""
    if (name := package()) is not None and not pluginmanager.has_plugin(IN_A_CLONE):
        pluginmanager.import_plugin(f"{name}.elsewhere")


def pytest_report_header() -> list[str]:
    """Says why the fixtures are missing if another package named `fixtures` hides those of the clone."""
    hidden = "weight steering: no fixtures, since another package has that name here; install a wheel, no clone"
    return [] if package() else [hidden]


def package() -> str | None:
    """The package of the fixtures; None if another package of the same name hides it."""
    if (HERE / "fixtures").is_dir():
        return f"{__package__}.fixtures"
    found = find_spec("fixtures")
    beside = HERE.parent / "fixtures" / "__init__.py"
    is_ours = found is not None and found.origin is not None and Path(found.origin).resolve() == beside.resolve()
    return "fixtures" if is_ours else None
