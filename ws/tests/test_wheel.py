"""An installed package has the library and the pytest plugin, but neither tests nor the benchmark."""

from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

import ws
from fixtures import PLUGINS, elsewhere, flags
from ws import plugin

ROOT = Path(ws.__file__).parents[1]


@pytest.fixture(scope="module")
def files() -> set[str]:
    """Where the files of the wheel are installed."""
    return {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}


def test_everything_stands_inside_of_ws_and_none_of_it_is_for_a_clone(files: set[str]) -> None:
    assert {path.split("/")[0] for path in files} == {"ws"}
    assert not [path for path in files if path.startswith(("ws/tests/", "ws/bench/"))]
    assert not [path for path in files if path.endswith(("fixtures/early.py", "fixtures/shapes.py"))]


def test_every_other_module_and_all_data_are_installed(files: set[str]) -> None:
    left = ("tests", "bench")
    wanted = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "ws").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.relative_to(ROOT / "ws").parts[0] not in left
    }
    assert wanted <= files
    assert {f"ws/{name.replace('.', '/')}.py" for name in (*PLUGINS, elsewhere.__name__, flags.__name__)} <= files
    assert {"ws/py.typed", "ws/behaviors/data/axes.json", "ws/training/searched/smollm2-135m.json"} <= files


def test_a_clone_has_its_fixtures_beside_ws_and_an_installed_package_inside(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert plugin.package() == "fixtures"
    assert plugin.pytest_report_header() == []
    (tmp_path / "ws").mkdir()
    monkeypatch.setattr(plugin, "HERE", tmp_path / "ws")
    assert plugin.package() is None
    assert "another package has that name" in plugin.pytest_report_header()[0]
    (tmp_path / "ws" / "fixtures").mkdir()
    assert plugin.package() == "ws.fixtures"
