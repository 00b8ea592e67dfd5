"""An audit builds a sample again without the evidence, and finds numbers that another processor does not explain."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ws.errors import StoreError
from ws.evidence.audit import FOLDER, Audit, _Clock, audit, candidates_of
from ws.evidence.compare import ERRORS, LARGEST, MEAN, Column, columns
from ws.evidence.folder import Evidence
from ws.evidence.pack import pack
from ws.evidence.records import Kept
from ws.report import evidence_commands, evidence_text
from ws.store import BuiltArtifact, Recipe, Store
from ws.tests.told import Told

ROUNDING = "TEST_ROUNDING"
"""The environment variable by which two machines differ: no key covers it."""
SAID = "TEST_SAID"
"""What a machine's model says by chance."""
CHANGED = "TEST_CHANGED"
"""The family whose numbers are changed by .2, as no machine would."""


@dataclass(frozen=True)
class ModelWeights(Recipe):
    def build(self, out: Path, store: Store) -> None:
        print("weights")
        (out / "model.txt").write_text("weights")


@dataclass(frozen=True)
class Pairs(Recipe):
    weights: ModelWeights
    seed: int

    def build(self, out: Path, store: Store) -> None:
        print(f"pairs {self.seed}")
        store.get(self.weights)
        (out / "pairs.txt").write_text(os.environ.get(SAID, "pairs"))


@dataclass(frozen=True)
class Adapter(Recipe):
    pairs: Pairs
    family: str
    sign: str

    def build(self, out: Path, store: Store) -> None:
        print(f"adapter {self.family} {self.sign} {self.pairs.seed}")
        store.get(self.pairs)
        (out / "adapter.txt").write_text("adapter")


@dataclass(frozen=True)
class Rows(Recipe):
    plus: Adapter
    minus: Adapter
    coeff: float = 1.0

    def build(self, out: Path, store: Store) -> None:
        print(f"rows {self.plus.family} {self.plus.pairs.seed} {self.coeff:g}")
        store.get(self.plus)
        store.get(self.minus)
        if os.environ.get("TEST_KILLED") == self.plus.family:
            raise KeyboardInterrupt
        values = np.linspace(-1, 1, 20) + float(os.environ.get(ROUNDING, "0"))
        values[3] += 0.2 * (os.environ.get(CHANGED) == self.plus.family)
        pd.DataFrame({"question_id": map(str, range(20)), "log_ratio": values}).to_parquet(out / "rows.parquet")


def rows(family: str, seed: int = 0, coeff: float = 1.0) -> Rows:
    pairs = Pairs(ModelWeights(), seed)
    return Rows(Adapter(pairs, family, "plus"), Adapter(pairs, family, "minus"), coeff)


RECIPES = tuple(rows(family, seed) for family in ("lora", "delora", "oft") for seed in (0, 1))
Audited = Callable[..., Audit]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store of the machine that recorded the evidence."""
    monkeypatch.setenv("WS_QUIET", "1")
    return Store(tmp_path / "store")


@pytest.fixture
def evidence(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Evidence:
    return recorded(store, tmp_path, capsys)


def recorded(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Evidence:
    folder = tmp_path / "evidence" / "tiny"
    pack(store, {store.key(one): one for one in RECIPES}, folder, model="tiny")
    capsys.readouterr()
    return Evidence(folder)


def families(found: Audit) -> list[str]:
    return [one.candidate.recipe.plus.family for one in found.findings]  # type: ignore[attr-defined]


def test_everything_but_the_weights_is_built_again(
    store: Store, evidence: Evidence, capsys: pytest.CaptureFixture[str]
) -> None:
    found = audit(evidence, store, minutes=10.0, seed=0)
    assert (len(found.findings), found.artifacts, found.strata, found.stale) == (6, 6, 3, 0)
    assert found.differing == []
    built = capsys.readouterr().out.split("\n")[:-1]
    assert len(built) == 2 + 2 * 6 + 6
    assert "weights" not in built
    assert not (store.root / FOLDER / "tiny-0").exists()


def test_the_families_that_are_always_trained_come_first_and_share_pairs(
    store: Store, evidence: Evidence, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(4):
        found = audit(evidence, store, minutes=0.0, seed=seed)
        assert families(found) == ["lora", "delora"]
        assert sum(line.startswith("pairs") for line in capsys.readouterr().out.splitlines()) == 1


def test_one_of_each_stratum_comes_before_a_second(store: Store, evidence: Evidence) -> None:
    for seed in range(4):
        assert set(families(audit(evidence, store, minutes=10.0, seed=seed))[:3]) == {"lora", "delora", "oft"}


def test_the_seed_decides_the_sample(store: Store, evidence: Evidence) -> None:
    def drawn(seed: int) -> tuple[Recipe, ...]:
        return tuple(one.candidate.recipe for one in audit(evidence, store, minutes=10.0, seed=seed).findings)

    orders = [drawn(seed) for seed in range(6)]
    assert len(set(orders)) > 1
    assert drawn(0) == orders[0]


@pytest.mark.parametrize(("rounding", "agrees"), [("1e-6", True), ("-0.004", True), ("0.006", False), ("nan", False)])
def test_a_machine_may_round_otherwise_and_no_more(
    store: Store, evidence: Evidence, monkeypatch: pytest.MonkeyPatch, rounding: str, agrees: bool
) -> None:
    monkeypatch.setenv(ROUNDING, rounding)
    assert (audit(evidence, store, minutes=10.0, seed=0).differing == []) is agrees


@pytest.mark.parametrize(("rounding", "agrees"), [("0.006", True), ("0.06", False)])
def test_numbers_on_other_answers_may_be_further_apart(
    store: Store, evidence: Evidence, monkeypatch: pytest.MonkeyPatch, rounding: str, agrees: bool
) -> None:
    monkeypatch.setenv(ROUNDING, rounding)
    monkeypatch.setenv(SAID, "something else")
    found = audit(evidence, store, minutes=10.0, seed=0)
    assert all(one.other_answers for one in found.findings)
    assert (found.differing == []) is agrees
    text = evidence_text.audited(found)
    assert ("agree, 2 on other answers" if agrees else "2 DIFFER") in text


def test_one_changed_number_is_found_and_named(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv(CHANGED, "oft")
        folder = recorded(store, tmp_path, capsys).folder
    said = evidence_commands.audit(folder, store, minutes=10.0, seed=0)
    text = " ".join(next(said).split())
    assert "2 DIFFER" in text
    assert "rows.parquet log_ratio: off by 0.01 on average (at most 0.005), 0.2 at most (0.05)" in text
    with pytest.raises(StoreError, match=r"2 of 6 artifacts of .* differ from what this machine makes"):
        next(said)
    assert (store.root / FOLDER / "tiny-0" / "anew" / "Rows").is_dir()


def test_an_audit_that_was_stopped_goes_on_where_it_was(
    store: Store, evidence: Evidence, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TEST_KILLED", "delora")
        with pytest.raises(KeyboardInterrupt):
            audit(evidence, store, minutes=0.0, seed=0)
    capsys.readouterr()
    assert families(audit(evidence, store, minutes=0.0, seed=0)) == ["lora", "delora"]
    again = capsys.readouterr().out.splitlines()
    assert [line.rpartition(" ")[0] for line in again] == [f"rows delora {again[0].split()[2]}"]


def test_what_is_of_other_code_is_left_alone(store: Store, evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ws.tests.test_evidence_audit.ROUNDING", "TEST_OTHER")
    found = audit(evidence, Store(store.root), minutes=10.0, seed=0)
    assert (found.findings, found.artifacts, found.stale) == ((), 0, 6)
    [text] = evidence_commands.audit(evidence.folder, Store(store.root), minutes=10.0)
    assert text == f"nothing to audit in {evidence.folder}: its 6 artifacts are of other code or releases\n"


def test_damaged_evidence_is_not_audited(store: Store, evidence: Evidence) -> None:
    (evidence.folder / "seed-0" / "Rows.rows.parquet").unlink()
    with pytest.warns(UserWarning, match="is damaged"), pytest.raises(StoreError, match=r"cannot be audited: seed-0"):
        audit(evidence, store, minutes=10.0, seed=0)


def slowly(kept: Kept) -> Kept:
    return replace(kept, made={"seconds": 10.0})


def test_time_is_counted_in_what_this_machine_needs(store: Store, evidence: Evidence) -> None:
    candidates, _ = candidates_of(evidence, store)
    slow = [
        replace(one, behind={key: replace(kept, made={"seconds": 10.0}) for key, kept in one.behind.items()})
        for one in candidates
    ]
    one, other = (one for one in slow if one.recipe in (rows("lora"), rows("oft")))
    clock = _Clock(45.0, anew := Store(store.root / "anew"), slow)
    # The pairs, two adapters and their rows; the weights are given.
    assert clock.has_time_for(one)
    anew.built += [
        BuiltArtifact(one.recipe, key, 5.0) for key, kept in one.behind.items() if kept.kind != "ModelWeights"
    ]
    assert _Clock(16.0, anew, slow).has_time_for(other)
    assert not _Clock(14.0, anew, slow).has_time_for(other)
    assert _Clock(14.0, anew, slow).has_time_for(one)


def compare(tmp_path: Path, old: pd.DataFrame, new: pd.DataFrame) -> list[Column]:
    for name, table in (("old", old), ("new", new)):
        (tmp_path / name).mkdir(exist_ok=True)
        table.to_parquet(tmp_path / name / "rows.parquet")
    return columns(tmp_path / "old", tmp_path / "new", {"rows.parquet": ""})


TABLE = pd.DataFrame(
    {
        "question_id": ["a", "b", "c", "d"],
        "coeff": [1.0, 1.0, 2.0, 2.0],
        "answer": ["yes", "no", "no", "so"],
        "log_p": [-1.0, -2.0, np.nan, 0.5],
        "energy": [1e6, 2e6, 1.0, 0.1],
    }
)


def test_equal_tables_agree(tmp_path: Path) -> None:
    found = compare(tmp_path, TABLE, TABLE)
    assert [(one.name, one.mean, one.largest, one.agrees) for one in found] == [
        ("rows.parquet log_p", 0, 0, True),
        ("rows.parquet energy", 0, 0, True),
    ]


def test_differences_are_in_nats_or_shares(tmp_path: Path) -> None:
    new = TABLE.assign(log_p=TABLE["log_p"] + [0.01, 0, 0, 0], energy=TABLE["energy"] * [1.01, 1, 1, 1])
    log_p, energy = compare(tmp_path, TABLE, new)
    assert (log_p.in_nats, energy.in_nats) == (True, False)
    assert log_p.largest == pytest.approx(0.01)
    assert log_p.mean == pytest.approx(0.0025)
    assert energy.largest == pytest.approx(0.01, rel=0.02)


@pytest.mark.parametrize(
    ("column", "values", "fault"),
    [
        ("question_id", ["a", "b", "c", "x"], "its rows differ in question_id"),
        ("coeff", [1.0, 1.0, 2.0, 2.0 + 1e-9], "its rows differ in coeff"),
        ("log_p", [-1.0, -2.0, -3.0, 0.5], "1 of 4 numbers are finite on one side only"),
        ("other", [1.0] * 4, "columns ['other'] are in one of them only"),
    ],
)
def test_other_rows_do_not_agree(tmp_path: Path, column: str, values: list[object], fault: str) -> None:
    assert fault in {one.fault for one in compare(tmp_path, TABLE, TABLE.assign(**{column: values})) if not one.agrees}


def test_rows_that_are_missing_do_not_agree(tmp_path: Path) -> None:
    [found] = compare(tmp_path, TABLE, TABLE.iloc[1:])
    assert found.fault == "4 rows were recorded and 3 are made"


def test_rows_with_another_text_count_for_their_mean(tmp_path: Path) -> None:
    n = 50
    old = pd.DataFrame({"answer": ["same"] * n, "log_p": np.zeros(n)})
    new = old.copy()
    new.loc[:3, "log_p"] = [1.0, -1.0, 1.0, -1.0]
    assert not compare(tmp_path, old, new)[0].agrees
    new.loc[:3, "answer"] = "other"
    [found] = compare(tmp_path, old, new)
    assert (found.other_text, found.mean, found.largest) == (4, 0, 0)
    assert found.agrees
    assert found.allowed == pytest.approx(MEAN + ERRORS * np.std([1, -1, 1, -1] + [0] * (n - 4)) / n**0.5)
    # All of one sign is no chance, even where texts differ.
    new["answer"], new["log_p"] = "other", 0.2 + 0.01 * np.arange(n) / n
    assert not compare(tmp_path, old, new)[0].agrees


def test_tables_of_tokens_are_compared_by_their_means(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    old, new = (pd.DataFrame({"token": range(n), "kl": draw.normal(1, 0.1, n)}) for n in (200, 210))
    [found] = compare(tmp_path, old, new)
    assert found.agrees
    assert not compare(tmp_path, old, new.assign(kl=new["kl"] + 0.2))[0].agrees


@pytest.mark.parametrize(
    ("new", "agrees"),
    [
        ({"gap": 0.5, "n": 3, "top": ["a", "b"]}, True),
        ({"gap": 0.5 + MEAN / 2, "n": 9, "top": ["b", "a"]}, True),
        ({"gap": 0.5 + LARGEST * 2, "n": 3, "top": ["a", "b"]}, False),
        ({"other": 0.5}, False),
    ],
)
def test_numbers_of_json_are_compared(tmp_path: Path, new: object, agrees: bool) -> None:
    for name, said in (("old", {"gap": 0.5, "n": 3, "top": ["a", "b"]}), ("new", new)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "one.json").write_text(json.dumps(said))
    [found] = columns(tmp_path / "old", tmp_path / "new", {"one.json": ""})
    assert found.agrees is agrees


def test_a_file_that_is_not_made_any_more_does_not_agree(tmp_path: Path) -> None:
    [found] = columns(tmp_path, tmp_path, {"gone.parquet": ""})
    assert found.fault == "it is not made any more"


def test_what_needs_an_absent_library_is_left_out_and_told(
    store: Store, evidence: Evidence, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    monkeypatch.setattr(Rows, "why_not_here", lambda recipe: "no llama" if recipe.plus.family == "oft" else None)
    found = audit(evidence, store, minutes=10.0, seed=0)
    assert set(families(found)) == {"lora", "delora"}
    assert (found.artifacts, found.stale) == (4, 0)
    assert sum(line.startswith("not audited, ") and line.endswith(": no llama") for line in told) == 2
