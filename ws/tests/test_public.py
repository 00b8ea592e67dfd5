"""`import ws` offers the steps from a model to a verdict, and imports nothing before it is used."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest

import ws
from ws.errors import DataError, UnknownNameError
from ws.scoring.rows import read_rows
from ws.stats.sweep import Sweep
from ws.stats.verdict import judge
from ws.store import Store
from ws.study.study import Study, load
from ws.tests.small import shared_store

ROOT = Path(ws.__file__).parent
DEAR = ("torch", "transformers", "pandas", "numpy", "pytest", "rich")
TEN_LINES = re.compile(r"## Ten lines\n.*?```python\n(.*?)```", re.DOTALL)


@pytest.fixture
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return load("tiny-random-qwen3", store=shared_store(tmp_path_factory).root)


def test_importing_ws_imports_nothing_dear() -> None:
    asked = f"import sys, ws; print([name for name in {DEAR} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", asked], cwd=ROOT.parent, text=True).strip() == "[]"


def test_type_checkers_and_python_find_each_public_name_in_one_place() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    told = {
        alias.name: node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert told.items() - {("import_module", "importlib"), ("TYPE_CHECKING", "typing")} == ws._HOMES.items()


def test_every_public_name_is_what_its_module_defines_and_hides_no_room() -> None:
    assert all(getattr(ws, name) is getattr(import_module(home), name) for name, home in ws._HOMES.items())
    assert set(ws._HOMES) <= set(dir(ws))
    assert not [name for name in ws._HOMES if (ROOT / name).exists() or (ROOT / f"{name}.py").exists()]


def test_a_name_that_ws_does_not_offer_is_refused_with_those_that_it_does() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'lode'; it offers BEHAVIORS, .*, load, steered"):
        _ = ws.lode


def test_the_ten_lines_of_the_documents_run(
    study: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = TEN_LINES.search((ROOT.parent / "docs" / "api.md").read_text(encoding="utf-8"))[1]
    assert len(script.splitlines()) <= 11
    monkeypatch.setenv("WS_STORE", str(study.store.root))
    exec(script.replace("smollm2-135m", "tiny-random-qwen3"), {})
    assert capsys.readouterr().out.splitlines()[-1] == judge(by_hand(study.store, seeds=(0, 1, 2)).effect > 0).sentence


def by_hand(store: Store, *, seeds: tuple[int, ...]) -> Sweep:
    """The sweep of LoRA, read from the store as claims read it."""
    subject = load("tiny-random-qwen3", store=store.root).subject
    recipes = [
        (seed, rows) for seed in seeds for rows in (subject.rows(subject.weights("lora", seed=seed)), subject.base_rows)
    ]
    return Sweep(pd.concat([read_rows(store, rows).assign(seed=seed) for seed, rows in recipes], ignore_index=True))


def test_a_study_scores_the_coefficients_that_are_asked_for(study: Study) -> None:
    direction = study.train("lora")
    scored = study.score(direction, coeffs=(0.0, 2.0, 2.0)).rows
    assert sorted(scored["coeff"].unique()) == [0.0, 2.0]
    assert not scored.duplicated(["seed", "coeff", "question_id"]).any()
    assert set(study.score(direction, coeffs=(0.0,)).rows["coeff"]) == {0.0}
    for directions, coeffs in (((), (1.0,)), ((direction,), ())):
        with pytest.raises(DataError, match="give one or more of each"):
            study.score(*directions, coeffs=coeffs)


@pytest.mark.parametrize("wrong", [{"model": "smollm2"}, {"behavior": "honest"}])
def test_a_wrong_name_is_refused_at_once(wrong: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean"):
        load(**{"model": "tiny-random-qwen3", "store": tmp_path, **wrong})
