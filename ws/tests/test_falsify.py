"""What spoilt evidence is, which cases meet it together, and what counts as turning."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws.errors import DataError, StoreError, UnknownNameError
from ws.falsify.arms import Arm, arms_of
from ws.falsify.command import arguments
from ws.falsify.corruptions import FACTOR, SPOILS, Evidence, corrupted
from ws.falsify.files import read_table, write_tables
from ws.falsify.kept import Kept
from ws.falsify.kinds import KINDS, SCORED, WHOLE, kinds_of
from ws.falsify.names import CORRUPTIONS
from ws.falsify.overlay import Overlay
from ws.falsify.plan import rounds
from ws.falsify.shelf import Shelf, in_place_of
from ws.falsify.survivors import FILE, Declared, read_survivors, survivors
from ws.falsify.table import cells, grouped, markdown
from ws.falsify.trials import Said
from ws.falsify.turning import How, Trial, turned
from ws.report.verdicts import Record
from ws.scoring.text import TextRows
from ws.store import Recipe, Store

NUMBERS = ["log_yes", "log_no", "log_ratio", "pmass"]


def scored(*coeffs: float, shift: float = 0.0) -> pd.DataFrame:
    """Rows of twelve claims in two opposite phrasings."""
    rng = np.random.default_rng(0)
    rows = [
        {"question_id": f"c{n}/{sign:+d}", "cluster": f"c{n}", "pair": "agree", "sign": sign, "coeff": coeff}
        for coeff in coeffs
        for n in range(12)
        for sign in (1, -1)
    ]
    log_yes, log_no = rng.normal(-2, 1, len(rows)) + shift * np.array([row["coeff"] for row in rows]), rng.normal(-2, 1)
    measured = {"log_yes": log_yes, "log_no": log_no, "log_ratio": log_yes - log_no, "pmass": 0.5, "norm": 1.0}
    return pd.DataFrame(rows).assign(**measured)


STEERED, BASE = scored(1.0, 2.0), pd.concat([scored(0.0)] * 2, ignore_index=True)


def evidence(**others: pd.DataFrame | bool) -> Evidence:
    return Evidence(SCORED, STEERED, **others)  # type: ignore[arg-type]


def spoilt(name: str, of: Evidence) -> pd.DataFrame:
    table = corrupted(name, of)
    assert table is not None
    return table


def test_every_corruption_is_told_of_in_words_and_spoils_something() -> None:
    assert SPOILS.keys() == CORRUPTIONS.keys()
    page = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
    rows = [f"| `{name}` | {does} | {but}{' ' if but else ''}|" for name, (does, but) in CORRUPTIONS.items()]
    assert [row for row in rows if row not in page] == []
    whole = evidence(base=BASE, other=BASE, elsewhere=BASE)
    assert [name for name in SPOILS if corrupted(name, whole) is None] == []


def test_sides_exchanged_twice_are_as_before() -> None:
    once = spoilt("sides", evidence())
    np.testing.assert_array_equal(once["log_ratio"], -STEERED["log_ratio"])
    pd.testing.assert_frame_equal(spoilt("sides", Evidence(SCORED, once)), STEERED)


def test_shuffled_labels_stay_within_their_cluster_and_coefficient() -> None:
    table = spoilt("labels", evidence())
    kept = ["question_id", "cluster", "sign", "coeff"]
    pd.testing.assert_frame_equal(table[kept], STEERED[kept])
    for _, places in STEERED.groupby(["cluster", "coeff"]).indices.items():
        assert sorted(table["log_ratio"].iloc[places]) == sorted(STEERED["log_ratio"].iloc[places])
    assert 0.2 < (table["log_ratio"] != STEERED["log_ratio"]).mean() < 0.8


def test_a_dw_of_zero_leaves_the_unchanged_model_and_a_tripled_one_goes_three_times_as_far() -> None:
    pd.testing.assert_frame_equal(spoilt("zero", evidence(base=BASE))[NUMBERS], BASE[NUMBERS])
    distance = STEERED[NUMBERS] - BASE[NUMBERS]
    pd.testing.assert_frame_equal(spoilt("tripled", evidence(base=BASE))[NUMBERS] - BASE[NUMBERS], FACTOR * distance)


def test_each_coefficient_gets_the_numbers_of_the_next() -> None:
    table = spoilt("coefficient", evidence())
    for own, other in ((1.0, 2.0), (2.0, 1.0)):
        got, gave = table[table["coeff"] == own], STEERED[STEERED["coeff"] == other]
        np.testing.assert_array_equal(got[NUMBERS], gave[NUMBERS])
        np.testing.assert_array_equal(got["question_id"], gave["question_id"])


def test_one_row_of_every_group_is_nan_and_one_in_ten_is_missing_at_all_coefficients() -> None:
    broken = spoilt("nan", evidence())
    assert (
        broken["log_ratio"].isna().groupby([broken["pair"], broken["sign"], broken["coeff"]]).sum().tolist() == [1] * 4
    )
    short = spoilt("missing", evidence())
    gone = set(STEERED["question_id"]) - set(short["question_id"])
    assert gone == {"c0/+1", "c10/+1", "c0/-1", "c10/-1"}
    assert len(short) == len(STEERED) - 2 * len(gone)
    assert len(spoilt("doubled", evidence())) == 2 * len(STEERED)


@pytest.mark.parametrize("name", ["zero", "tripled", "coefficient"])
def test_what_is_not_steered_has_no_effect_to_spoil(name: str) -> None:
    assert corrupted(name, evidence(base=BASE, elsewhere=BASE, is_base=True)) is None


def test_a_corruption_that_changes_no_number_means_nothing() -> None:
    assert corrupted("tripled", evidence(base=STEERED)) is None
    assert corrupted("swapped", evidence()) is None


def test_a_share_becomes_that_of_all_other_directions_and_what_follows_from_it_follows() -> None:
    [kind, *_] = [kind for kinds in KINDS.values() for kind in kinds if kind.file == "writes.parquet"]
    sound = {"basis": "a", "tensor": "t", "share": 0.2, "null": 0.1, "null_sd": 0.05, "ratio": 2.0, "z": 2.0}
    [row] = spoilt("sides", Evidence(kind, pd.DataFrame([sound]))).to_dict("records")
    assert row == pytest.approx(sound | {"share": 0.8, "ratio": 8.0, "z": 14.0})


def test_an_answer_gets_the_probability_of_its_counterpart() -> None:
    [kind] = KINDS[TextRows]
    said = pd.DataFrame(
        {"question_id": list("abcd"), "cluster": list("mmnn"), "pair": "pair-0", "sign": [1, -1, -1, 1]}
    )
    table = spoilt("sides", Evidence(kind, said.assign(coeff=1.0, log_p=[1.0, 2.0, 3.0, 4.0], norm=0.0)))
    assert table["log_p"].tolist() == [2.0, 1.0, 4.0, 3.0]


def test_parts_of_nothing_miss_the_whole(tmp_path: Path) -> None:
    home = write_tables(tmp_path / "key", {"gap.json": pd.DataFrame({"kept": [1 - 1e-7]})})
    sound = read_table(home / "gap.json")
    for name, gap in (("zero", 1.0), ("sides", 2.0), ("tripled", 2.0)):
        table = spoilt(name, Evidence(WHOLE, sound))
        again = read_table(write_tables(tmp_path / name, {"gap.json": table}) / "gap.json")
        assert 1 - again["kept"].item() == pytest.approx(gap, abs=1e-6)
    assert corrupted("missing", Evidence(WHOLE, sound)) is None


@dataclass(frozen=True)
class Part(Recipe):
    name: str
    seed: int


@dataclass(frozen=True)
class Measured(Recipe):
    of: Part
    shift: float = 0.0
    coeffs: tuple[float, ...] = (1.0,)

    def build(self, out: Path, store: Store) -> None:
        table = scored(*self.coeffs, shift=self.shift)
        table.assign(log_yes=table["log_yes"] + self.of.seed).to_parquet(out / "rows.parquet")


def test_arms_are_what_differs_in_more_than_seeds_and_coefficients() -> None:
    lora, again, other = Measured(Part("lora", 0)), Measured(Part("lora", 1), coeffs=(2.0,)), Measured(Part("oft", 0))
    found = arms_of({"a": lora, "b": again, "c": other})
    assert sorted(arm.keys for arm in found) == [("a", "b"), ("c",)]


READS = st.lists(st.frozensets(st.sampled_from("abcdefgh"), max_size=4), max_size=8)


@given(READS)
def test_a_case_meets_each_of_its_arms_once_and_alone(read: list[frozenset[str]]) -> None:
    arms = {name: Arm(name, (name,), is_base=False) for name in "abcdefgh"}
    cases = {str(n): tuple(arms[name] for name in sorted(names)) for n, names in enumerate(read)}
    groups = rounds(cases)
    assert all(len(set(group) & set(case)) <= 1 for group in groups for case in cases.values())
    assert sorted(arm.name for group in groups for arm in group) == sorted(frozenset().union(*read))


def test_rows_are_found_by_their_names() -> None:
    shuffled = STEERED.sample(frac=1, random_state=0)
    found = in_place_of(STEERED, shuffled, SCORED, by_coeff=True)
    assert found is not None
    pd.testing.assert_frame_equal(found, STEERED)
    assert in_place_of(STEERED, STEERED[STEERED["cluster"] != "c3"], SCORED, by_coeff=True) is None


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.setitem(KINDS, Measured, (SCORED,))
    store = Store(tmp_path)
    recipes = (Measured(Part("lora", 0)), Measured(Part("oft", 0), shift=1.0), Measured(Part("oft", 0), 1.0, (2.0,)))
    for recipe in recipes:
        store.get(recipe)
    return Shelf(store, {store.key(recipe): recipe for recipe in recipes})


def test_a_spoilt_arm_has_the_numbers_of_another_and_its_own_files_stay(shelf: Shelf, tmp_path: Path) -> None:
    lora, oft = shelf.arms
    [key] = lora.keys
    homes = shelf.spoil(lora, "swapped", tmp_path / "spoilt")
    overlay = Overlay(shelf.store, homes)
    seen = pd.read_parquet(overlay.get(shelf.recipes[key]) / "rows.parquet")
    theirs = pd.read_parquet(shelf.store.get(shelf.recipes[oft.keys[0]]) / "rows.parquet")
    np.testing.assert_array_equal(seen[NUMBERS], theirs[NUMBERS])
    np.testing.assert_array_equal(pd.read_parquet(shelf.store.get(shelf.recipes[key]) / "rows.parquet"), scored(1.0))


def test_an_arm_is_not_exchanged_with_one_of_its_numbers(shelf: Shelf, tmp_path: Path) -> None:
    lora, oft = shelf.arms
    twin = Measured(Part("lora_twin", 0))
    recipes = {shelf.store.key(twin): twin, **{key: shelf.recipes[key] for key in lora.keys}}
    shelf.store.get(twin)
    assert Shelf(shelf.store, recipes).spoil(lora, "swapped", tmp_path / "one") == {}
    recipes |= {key: shelf.recipes[key] for key in oft.keys}
    assert Shelf(shelf.store, recipes).spoil(lora, "swapped", tmp_path / "two").keys() == set(lora.keys)


def test_an_arm_is_exchanged_with_one_of_its_seed_and_coefficients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def arm(name: str, shift: float, *coeffs: tuple[float, ...]) -> list[Measured]:
        return [Measured(Part(name, seed), shift, some) for some in coeffs for seed in (0, 1)]

    monkeypatch.setitem(KINDS, Measured, (SCORED,))
    store, many, few = Store(tmp_path), arm("lora", 0.0, (1.0,), (2.0,), (1.0, 2.0)), arm("oft", 1.0, (1.0, 2.0))
    shelf = Shelf(store, {store.key(one): one for one in (*many, *few)})
    lora = shelf.arm_of[store.key(many[0])]
    spoilt = shelf.spoil(lora, "swapped", tmp_path / "spoilt")
    assert len(spoilt) == len(many)
    for recipe in many:
        table = pd.read_parquet(spoilt[store.key(recipe)] / "rows.parquet")
        theirs = scored(1.0, 2.0, shift=1.0).set_index(["question_id", "coeff"])["log_yes"] + recipe.of.seed
        names = pd.MultiIndex.from_frame(table[["question_id", "coeff"]])
        np.testing.assert_array_equal(table["log_yes"], theirs[names])


def test_an_arm_is_found_at_another_coefficient(shelf: Shelf, tmp_path: Path) -> None:
    lora, oft = shelf.arms
    assert shelf.spoil(lora, "coefficient", tmp_path / "one") == {}
    assert shelf.spoil(oft, "coefficient", tmp_path / "two").keys() == set(oft.keys)


def test_nothing_is_built_over_spoilt_evidence(shelf: Shelf) -> None:
    overlay = Overlay(shelf.store)
    with pytest.raises(StoreError, match="nothing is built while claims are falsified"):
        overlay.get(Measured(Part("pissa", 0)))
    assert len(overlay.unbuilt) == 1


def test_of_an_unknown_kind_of_artifact_nothing_can_be_spoilt() -> None:
    with pytest.raises(UnknownNameError, match="unknown kind of evidence 'Measured'"):
        kinds_of(Measured(Part("lora", 0)))


ON_THE_WAY = {"SampledAnswers", "Thoughts", "Divergence", "HeadEffects"}
"""Recipes of tables that no verdict is made of: other recipes read them, or notes."""


def test_every_table_that_a_verdict_may_be_made_of_can_be_spoilt() -> None:
    ours = {kind for kind in Recipe.__subclasses__() if re.match(r"ws\.(?!tests)", kind.__module__)}
    tables = {kind for kind in ours if re.match(r"`\w+\.parquet`", kind.__doc__ or "")}
    assert {kind.__name__ for kind in tables - KINDS.keys()} - ON_THE_WAY == set()


SOUND = Record(
    claim="C05", test="test_it_steers", case="lora", measure=None, model="tiny", random_weights=False,
    outcome="HOLDS", value=1.0, low=0.5, high=1.5, level=0.95, threshold=0.0, relation="> 0", matters=None, part="",
    tolerance=0.1, tolerance_from="", n_rows=12, n_clusters=12, n_seeds=2, gates=[], p_holds=0.01, p_refuted=0.99,
    cases=1, rows_alone=False, smallest=None, needs="", leaves=[], noise=0.01, spreads=[], published="",
    device="cpu", versions={},
    keys=["k"], beside=["at KL 0.5"],
)  # fmt: skip


@pytest.mark.parametrize(
    ("after", "how"),
    [
        ({}, How.BLIND),
        ({"beside": ["at KL 0.6"]}, How.NOTE),
        ({"value": 1.05}, How.WITHIN),
        ({"value": 1.2}, How.RED),
        ({"n_rows": 11}, How.RED),
        ({"outcome": "REFUTED"}, How.VERDICT),
        ({"outcome": "INVALID", "value": None}, How.INVALID),
    ],
)
def test_a_case_turns_by_its_verdict_or_by_more_than_its_tolerance(after: dict[str, object], how: How) -> None:
    after = replace(SOUND, **after)  # type: ignore[arg-type]
    assert turned(SOUND, after)[0] is how
    of_known_builds = turned(replace(SOUND, builds="these"), replace(after, builds="fewer"))
    assert of_known_builds[0] is (How.RED if how is How.WITHIN else how)


def trial(
    how: How, *, corruption: str = "zero", arm: str = "Rows: lora", claim: str = "C05", unsteered: bool = False
) -> Trial:
    return Trial("tiny", claim, "test_it_steers", "lora", corruption, arm, unsteered, str(how), "")


def test_an_arm_of_a_note_is_not_counted_but_one_that_only_moves_a_number_a_little_is() -> None:
    noted = [trial(How.NOTE, arm="Rows: axis"), trial(How.BLIND, corruption="sides", arm="Rows: axis")]
    found = survivors([trial(How.RED), trial(How.WITHIN, corruption="sides"), *noted], ())
    assert [one.how for one in found.counted] == ["red", "within"]
    assert [one.corruption for one in found.open] == ["sides"]


def test_a_declared_survivor_is_excused_and_a_declaration_of_none_is_idle() -> None:
    declared = Declared("test_it_steers", ("sides",), "it has no sides")
    found = survivors([trial(How.BLIND, corruption="sides")], [declared])
    assert (len(found.open), len(found.excused), found.idle) == (0, 1, ())
    assert survivors([trial(How.RED, corruption="sides")], [declared]).idle == (declared,)
    elsewhere = declared._replace(models=("large",))
    assert len(survivors([trial(How.BLIND, corruption="sides")], [elsewhere]).open) == 1
    cancels, both = declared._replace(unsteered=True), [False, True]
    found = survivors([trial(How.BLIND, corruption="sides", unsteered=one) for one in both], [cancels])
    assert ([one.unsteered for one in found.open], [one.unsteered for one in found.excused]) == ([False], [True])


def test_declarations_are_read_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    assert read_survivors(tmp_path) == ()
    (tmp_path / FILE).write_text('[[survivor]]\ntest = "test_a"\ncorruptions = ["nan"]\nwhy = "because"\n')
    assert read_survivors(tmp_path) == (Declared("test_a", ("nan",), "because"),)
    more = 'test = "test_a"\ncorruptions = ["nan"]\nwhy = "because"\n'
    (tmp_path / FILE).write_text(f'[[survivor]]\n{more}models = ["tiny"]\nunsteered = true\n')
    assert read_survivors(tmp_path) == (Declared("test_a", ("nan",), "because", ("tiny",), True),)
    no_why, misspelt = 'test = "test_a"\ncorruptions = ["nan"]', 'test = "a"\ncorruptions = ["nam"]\nwhy = "b"'
    for wrong in (no_why, misspelt, more + "unsteered = 1", more + 'arm = "lora"', more + 'models = "tiny"'):
        (tmp_path / FILE).write_text(f"[[survivor]]\n{wrong}\n")
        with pytest.raises(DataError, match="expected tables"):
            read_survivors(tmp_path)


def test_the_table_counts_what_turned_of_each_claim() -> None:
    found = survivors([trial(How.RED), trial(How.WITHIN, arm="Rows: oft"), trial(How.ERROR, claim="C11")], ())
    assert cells(found, ("zero", "nan")) == [
        ["claim", "zero", "nan"],
        ["C05", "1/2", "-"],
        ["C11", "1/1", "-"],
        ["all", "2/3", "-"],
    ]
    assert "`zero`: dW is zero" in markdown(found, ("zero",))
    [line] = grouped(found.open)
    assert line.startswith("C05 test_it_steers, zero of Rows: within in 1")


def test_a_finished_corruption_is_kept_for_the_same_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ws.falsify.kept.code_digest", lambda: "this code")
    kept = Kept(tmp_path, {"a": Said(SOUND, "")})
    kept.put("zero", [trial(How.RED)])
    assert Kept(tmp_path, {"a": Said(SOUND, "")}).get("zero") == [trial(How.RED)]
    assert kept.get("nan") is None
    other = Kept(tmp_path, {"a": Said(replace(SOUND, value=2.0), "")})
    assert other.get("zero") is None
    other.put("zero", [])
    assert kept.get("zero") is None


def test_the_command_is_a_run_of_pytest() -> None:
    def told(only: Sequence[str] = (), k: str = "", write: Path | None = None) -> list[str]:
        return arguments("tiny", only=tuple(only), k=k, paths=(Path("mine"),), write=write)[3:]

    assert told() == ["mine", "--falsify", "--model=tiny"]
    assert "--recorded" in arguments("tiny", recorded=True)
    assert told(("nan",), "c05", Path("t.md"))[3:] == ["--corruption=nan", "--falsified=t.md", "-k", "c05"]
    with pytest.raises(UnknownNameError, match=r"unknown corruption 'nam'.*did you mean 'nan'"):
        told(("nam",))
