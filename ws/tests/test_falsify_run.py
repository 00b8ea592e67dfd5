"""pytest --falsify judges every case on spoilt evidence, and fails those that say the same of it."""

import pandas as pd
import pytest

import fixtures.falsify  # noqa: F401  What is loaded before an inner run is not loaded anew for each.
from ws.tests.conftest import Project, conftest_with

LAB = """
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ws.falsify.kinds import KINDS, Kind
from ws.store import Recipe, Store


@dataclass(frozen=True)
class Drawn(Recipe):
    seed: int

    def build(self, out: Path, store: Store) -> None:
        rows = [(f"r{n}", 1.0 + 0.1 * self.seed + 0.01 * n) for n in range(20)]
        pd.DataFrame(rows, columns=["row", "value"]).to_parquet(out / "rows.parquet")


KINDS[Drawn] = (Kind("rows.parquet", ("value",), row=("row",)),)
"""
CLAIMS = """
import pandas as pd
import pytest

from lab import Drawn
from ws.stats.estimate import Estimate

RECIPES = [Drawn(0), Drawn(1), Drawn(2)]


def read(store):
    tables = [pd.read_parquet(store.get(one) / "rows.parquet").assign(seed=one.seed) for one in RECIPES]
    table = pd.concat(tables)
    return Estimate.of(table.assign(cluster=table["row"]), sources=[store.key(one) for one in RECIPES])


@pytest.mark.claim("C05")
def test_it_steers(holds, store):
    holds(read(store) > 0)


@pytest.mark.claim("C06")
def test_it_always_steers(effect, holds, store):
    holds(effect(1.0).noting(sources=read(store).sources) > 0)
"""


@pytest.fixture(scope="session")
def a_table(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Written before any inner run of pytest, which would forget the libraries that it imports first."""
    pd.DataFrame({"value": [1.0]}).to_parquet(tmp_path_factory.mktemp("tables") / "one.parquet")


@pytest.fixture
def lab(a_table: None, project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with a claim that reads its evidence, and one that does not."""
    project.pytester.makeconftest(conftest_with("evidence", "falsify"))
    (project.pytester.path / "lab.py").write_text(LAB)
    project.claims(CLAIMS)
    monkeypatch.syspath_prepend(project.pytester.path)
    monkeypatch.setenv("WS_QUIET", "1")
    return project


def test_a_claim_that_reads_its_evidence_turns_and_one_that_does_not_is_named(lab: Project) -> None:
    assert lab.run("--snapshot-update").ret == 0
    told = lab.run("--falsify", "--falsified=table.md")
    assert told.ret == 1
    told.assert_outcomes(passed=1, failed=1)
    table = (lab.pytester.path / "table.md").read_text().splitlines()
    assert table[0] == "| claim | sides | labels | zero | swapped | tripled | coefficient | nan | missing | doubled |"
    assert table[2] == "| C05 | 1/1 | - | 1/1 | - | 1/1 | - | 1/1 | 1/1 | 1/1 |"
    # Of rows that are there twice it stops as it reads them, to name its sources.
    assert table[3] == "| C06 | 0/1 | - | 0/1 | - | 0/1 | - | 0/1 | 0/1 | 1/1 |"
    assert "C06 test_it_always_steers, zero of Drawn: blind in 1" in told.stdout.str()


def test_nothing_is_built_and_nothing_recorded_anew(lab: Project) -> None:
    told = lab.run("--falsify")
    assert told.ret == 4
    assert "not in the store" in told.stderr.str()
    assert lab.run("--snapshot-update").ret == 0
    before = {path: path.read_bytes() for path in lab.pytester.path.rglob("__snapshots__/**/*.json")}
    lab.run("--falsify", "--corruption=zero")
    assert {path: path.read_bytes() for path in lab.pytester.path.rglob("__snapshots__/**/*.json")} == before


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--falsify", "--snapshot-update"), "drop --snapshot-update or --fresh"),
        (("--corruption=nan",), "belong to --falsify"),
    ],
)
def test_options_that_do_not_go_together_are_refused(lab: Project, options: tuple[str, ...], why: str) -> None:
    told = lab.run(*options)
    assert told.ret == 4
    assert why in told.stderr.str()


FAINT, _, _ = CLAIMS.replace("pd.concat(tables)", "pd.concat(tables)\n    table['value'] *= 1e-5").partition(
    '@pytest.mark.claim("C06")'
)
"""A claim on numbers so small that three times as much is within the tolerance of arithmetic."""


@pytest.mark.parametrize(("model", "outcome"), [("--smoke", "failed"), ("--model=smollm2-135m", "passed")])
def test_a_number_that_moves_within_its_tolerance_is_noticed_where_its_rows_are_known(
    lab: Project, model: str, outcome: str
) -> None:
    lab.claims(FAINT)
    assert lab.run(model, "--snapshot-update").ret == 0
    lab.run(model, "--falsify", "--corruption=tripled").assert_outcomes(**{outcome: 1})
