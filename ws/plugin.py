"""What pytest loads of an installed package: the fixtures, which an installed package holds and a clone has beside it.

The one place in `ws` that knows of them, and by name alone. Where the run is in a clone, its pytest.ini and conftest.py
load them.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, runtime_checkable

HERE = Path(__file__).parent
IN_A_CLONE = "fixtures.early"
"""The plugin of runs in a clone."""


@runtime_checkable
class Plugins(Protocol):
    """What is asked of pytest, which nothing in `ws` imports."""

    def has_plugin(self, name: str) -> bool: ...

    def import_plugin(self, modname: str) -> None: ...


def pytest_addoption(pluginmanager: Plugins) -> None:
    """Called as soon as pytest has this plugin, behind those that settings name."""
    if (name := package()) is not None and not pluginmanager.has_plugin(IN_A_CLONE):
        pluginmanager.import_plugin(f"{name}.elsewhere")


def pytest_report_header() -> list[str]:
    """Says why the fixtures are missing where a package of that name hides those of a clone."""
    hidden = "weight steering: no fixtures, since another package has that name here; install a wheel, no clone"
    return [] if package() else [hidden]


def package() -> str | None:
    """The package of the fixtures; None where another one hides it."""
    if (HERE / "fixtures").is_dir():
        return f"{__package__}.fixtures"
    found = find_spec("fixtures")
    beside = HERE.parent / "fixtures" / "__init__.py"
    is_ours = found is not None and found.origin is not None and Path(found.origin).resolve() == beside.resolve()
    return "fixtures" if is_ours else None
