"""The joint table holds the numbers that claims would compute on the same rows, and marks what cannot be computed."""

import zlib
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ws.errors import DataError
from ws.lenses.names import LENSES
from ws.report import joint as module
from ws.report.joint import Asked, Joint, Line, check, joint, views
from ws.report.joint_text import TOO_SMALL, csv, interval, markdown, terminal
from ws.scoring.rows import Rows
from ws.stats.sweep import Sweep
from ws.steering.interventions import Nothing, Weights
from ws.store import Store
from ws.study.cuts import cut_of
from ws.study.subject import Subject
from ws.training.direction import Direction

TINY = Subject("tiny-random-qwen3")
REAL = Subject("smollm2-135m")
SEEDS = (0, 1)
NORM = 2.0


def frame(recipe: Rows, *, whole: float = 1.0) -> pd.DataFrame:
    """Made-up rows of a recipe: an effect of its own, `whole` for dW itself, and noise of its own."""
    steered = recipe.intervention
    noise = np.random.default_rng(zlib.crc32(recipe.describe().encode()))
    effect = 0.0 if steered == Nothing() else whole if isinstance(steered, Weights) else noise.uniform(-1, 2)
    questions = [(q.cluster, q.pair, q.sign, q.id) for q in recipe.questions]
    table = pd.DataFrame(questions, columns=["cluster", "pair", "sign", "question_id"])
    coeff = 0.0 if steered == Nothing() else 1.0
    moved = effect * table["sign"] + noise.normal(0, 0.3, len(table))
    return table.assign(coeff=coeff, log_ratio=moved, pmass=0.9, norm=abs(effect))


def geometry(direction: Direction) -> pd.DataFrame:
    sums = {"plus_sq": [2.0], "minus_sq": [2.0], "dot": [0.0], "delta_sq": [NORM**2], "tensor": ["one"]}
    return pd.DataFrame(sums)


FEW = ("top 25", "residual writes", "mlp", "activation K=8", "full norm K=8", "shared K=8", "random K=8")


def made(*, whole: float = 1.0) -> Joint:
    """A few lines of the table of two families of the tiny model, from made-up rows."""
    few = tuple(view for view in views("tiny-random-qwen3") if view.name in FEW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "views", lambda model: few)
        patch.setattr(module, "read_rows", lambda store, recipe: frame(recipe, whole=whole))
        patch.setattr(module, "read_geometry", lambda store, direction: geometry(direction))
        return joint(Asked(TINY, ("lora", "oft"), SEEDS), Store(Path("nowhere")))


@pytest.fixture(scope="module")
def table() -> Joint:
    return made()


def arm(line: Line, side: str | None) -> Sweep:
    """The sweep that a claim would make of a side of a line, or of the whole dW."""
    tables = []
    for seed in SEEDS:
        rows = TINY.rows(TINY.weights(line.family, seed=seed))
        if side is not None:
            rows = TINY.cut_rows(cut_of(TINY, line.family, line.view.sides[side], seed=seed))
        tables += [frame(one).assign(seed=seed) for one in (rows, TINY.base_rows)]
    return Sweep(pd.concat(tables, ignore_index=True), line.measure, pair="agree")


def test_every_number_is_the_estimate_of_a_claim(table: Joint) -> None:
    for line in (table.lines[0], table.lines[7], table.lines[-3]):
        np.testing.assert_array_equal(line.whole.numbers, arm(line, None).effect.numbers)
        of = arm(line, None).effect if line.view.of == "whole" else line.denominator
        for name, side in line.sides.items():
            effect = arm(line, name).effect
            np.testing.assert_array_equal(side.effect.numbers, effect.numbers)
            np.testing.assert_array_equal(side.retained.numbers, (effect / of).numbers)


def test_directions_are_shares_of_the_residual_writes(table: Joint) -> None:
    writes = {(x.family, x.measure): x.sides["keep"].effect for x in table.lines if x.view.name == "residual writes"}
    for line in table.of(group="directions"):
        np.testing.assert_array_equal(line.denominator.numbers, writes[line.family, line.measure].numbers)
    assert all(line.denominator is line.whole for line in table.of(group="spectrum"))


def test_a_norm_share_is_the_mean_over_seeds(table: Joint) -> None:
    line = table.lines[0]
    cuts = [frame(TINY.cut_rows(cut_of(TINY, line.family, line.view.keep, seed=seed))) for seed in SEEDS]
    expected = np.mean([rows["norm"].iloc[0] / NORM for rows in cuts])
    assert line.sides["keep"].norm_share == pytest.approx(expected)


def test_a_share_of_nothing_is_said_to_be_none() -> None:
    table = made(whole=0.0)
    spectrum = [line for line in table.of(group="spectrum") if line.measure == "corrected"]
    assert not any(line.has_denominator for line in spectrum)
    lines = pd.read_csv(StringIO(csv(table)))
    none = lines[(lines["group"] == "spectrum") & (lines["measure"] == "corrected")]
    assert none["keep_retained"].isna().all()
    assert (none["denominator"] == "too small").all()
    assert TOO_SMALL in terminal(table)
    assert TOO_SMALL in markdown(table)


def test_the_csv_has_a_line_of_full_numbers_for_each_line(table: Joint) -> None:
    lines = pd.read_csv(StringIO(csv(table)))
    assert len(lines) == len(table.lines)
    first = table.lines[0].sides["drop"]
    low, high = first.retained.interval()
    shown = lines.loc[0, ["drop_effect", "drop_retained", "drop_retained_low", "drop_retained_high"]]
    assert list(shown) == pytest.approx([first.effect.value, first.retained.value, low, high])
    assert lines.loc[0, "drop_norm_share"] == pytest.approx(first.norm_share)


def test_the_terminal_needs_no_more_than_80_columns(table: Joint) -> None:
    text = terminal(table)
    said = ("lora: whole dW", "oft: whole dW", "tiny-random-qwen3, 2 seeds")
    assert max(map(len, text.splitlines())) <= 80
    effects = [side.effect for line in table.lines for side in line.sides.values()]
    assert [effect for effect in effects if interval(effect) not in text] == []
    assert [phrase for phrase in said if phrase not in text] == []


@pytest.mark.parametrize("model", ["tiny-random-qwen3", "smollm2-135m"])
def test_every_line_has_a_name_of_its_own_and_known_lenses(model: str) -> None:
    lines = views(model)
    assert len({view.name for view in lines}) == len(lines)
    assert {cut for view in lines for cut in view.sides.values() if isinstance(cut, str)} <= LENSES.keys()


def test_an_empty_store_is_told_which_claims_fill_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(\d+) of \1 artifacts .*base model; `pytest claims/") as seen:
        check(Asked(TINY, ("lora",), SEEDS), Store(tmp_path))
    text = str(seen.value)
    assert f'or c23 or c25" --smoke --seeds 2 --store={tmp_path}` builds what' in text
    assert text.endswith("--build all of it")


def test_what_is_there_is_not_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = Asked(TINY, ("lora",), (0,))
    recipes = asked.recipes()
    monkeypatch.setattr(Store, "has", lambda self, recipe: "C22" not in recipes[recipe])
    with pytest.raises(DataError, match=r'14 of \d+ artifacts .*-k "c22" --smoke'):
        check(asked, Store(tmp_path))
    monkeypatch.setattr(Store, "has", lambda self, recipe: True)
    check(asked, Store(tmp_path))


def test_build_makes_every_artifact_of_the_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    built = []
    monkeypatch.setattr(Store, "get", lambda self, recipe: built.append(recipe))
    asked = Asked(TINY, ("lora",), (0,))
    module.build(asked, Store(tmp_path))
    assert built == list(asked.recipes())


@pytest.mark.parametrize(("families", "seeds"), [((), (0,)), (("lora",), ())])
def test_nothing_asked_is_refused(families: tuple[str, ...], seeds: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="make no table; name at least one family and one seed"):
        Asked(TINY, families, seeds)


def test_the_whole_is_taken_on_the_rows_of_its_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "read_rows", lambda store, recipe: frame(recipe))
    rows = module._of_cuts(REAL, REAL.base_rows, Store(Path("nowhere")))
    assert set(rows["question_id"]) == {question.id for question in REAL.cut_questions}
    assert len(rows) < len(REAL.base_rows.questions) / 2
