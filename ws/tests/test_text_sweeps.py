"""Sweeps of text and of written answers, over seeds: of families, of cuts, of a subject's own behavior."""

import inspect
from dataclasses import replace
from pathlib import Path

import pytest

from ws.errors import DataError, UnknownNameError
from ws.scoring.scored import read_scored
from ws.scoring.text import FIRST_PAIR
from ws.stats.sweep import OF_YES_AND_NO
from ws.steering.interventions import Nothing, Weights
from ws.store import Store
from ws.study import sweeps
from ws.study.cuts import cut_of
from ws.study.replicates import Replicates
from ws.study.study import Study
from ws.study.subject import TEXT_SEED, WRITTEN_SEED, Subject

SUBJECT = Subject("tiny-random-qwen3")


@pytest.fixture(scope="module")
def replicates(store: Store) -> Replicates:
    return Replicates(SUBJECT, store, (0, 1))


def test_a_family_is_read_on_the_answers_of_each_seed(replicates: Replicates) -> None:
    swept = sweeps.sweep(replicates, "lora", measure="text", coeffs=(1.0,))
    rows = {
        (seed, coeff): read_scored(replicates.store, SUBJECT.text_rows(made, seed=seed, coeffs=(coeff,)))
        for seed in (0, 1)
        for made, coeff in ((SUBJECT.weights("lora", seed=seed), 1.0), (Nothing(), 0.0))
    }
    apart = {where: 2 * (table["sign"] * table["log_p"]).mean() for where, table in rows.items()}
    assert swept.effect.by_seed.to_list() == pytest.approx([apart[s, 1.0] - apart[s, 0.0] for s in (0, 1)], abs=1e-6)
    assert swept.effect.n_clusters == 10
    assert len(swept.sources) == 4
    [note] = swept.notes
    assert note.startswith("all answers ")
    assert note.endswith(" lora")


def test_answers_of_a_training_seed_have_a_sampling_seed_that_no_training_has() -> None:
    assert SUBJECT.answers(1).seed == TEXT_SEED + 1
    assert SUBJECT.written_rows(Nothing(), seed=1, coeffs=(0.0,)).seed == WRITTEN_SEED + 1
    assert not {SUBJECT.answers(seed).seed for seed in range(100)} & {SUBJECT.pairs(seed).seed for seed in range(100)}


def test_a_cut_is_read_on_one_pair_of_answers_and_so_is_the_whole(replicates: Replicates) -> None:
    part = sweeps.cut_sweep(replicates, "lora", "residual_writes", measure="text")
    whole = sweeps.cut_sweep(replicates, "lora", measure="text")
    assert set(part.rows["pair"]) == set(whole.rows["pair"]) == {FIRST_PAIR}
    assert part.effect.index.equals(whole.effect.index)
    cut = SUBJECT.cut_text_rows(cut_of(SUBJECT, "lora", "residual_writes", seed=0), seed=0)
    assert replicates.store.key(cut) in part.sources
    kept = sweeps.kept_energy(replicates, "lora", "residual_writes", measure="text")
    assert 0 < kept.value < 1
    assert replicates.store.key(SUBJECT.direction("lora", seed=0)) in kept.sources
    assert kept.value == pytest.approx(sweeps.kept_energy(replicates, "lora", "residual_writes").value)


def test_cuts_are_not_written(replicates: Replicates) -> None:
    with pytest.raises(DataError, match="hundreds of cuts would write for days; measure it as text"):
        sweeps.cut_sweep(replicates, "lora", "residual_writes", measure="written")


def test_written_answers_have_the_ends_and_one(replicates: Replicates) -> None:
    swept = sweeps.sweep(replicates, "lora", measure="written")
    assert sorted(set(swept.rows["coeff"])) == [-2.0, 0.0, 1.0, 2.0]
    assert swept.effect.n_clusters == 10


def test_a_study_scores_text_as_it_scores_questions(store: Store) -> None:
    study = Study(SUBJECT, store)
    direction = SUBJECT.direction("lora", seed=0)
    effect = study.score(direction, coeffs=(1.0,), measure="text").effect
    one = sweeps.sweep(Replicates(SUBJECT, store, (0,)), "lora", measure="text", coeffs=(1.0,))
    assert effect.value == pytest.approx(one.effect.value)
    rows = store.key(SUBJECT.text_rows(Weights(direction), seed=0, coeffs=(1.0,)))
    assert rows in one.sources


def test_a_pool_that_is_too_small_says_so(tmp_path: Path) -> None:
    (tmp_path / "pool.json").write_text('[{"cat": "fact", "suffix": "It", "user_msg": "What is rain?"}]')
    mine = replace(SUBJECT, behavior_name="honesty", pool=tmp_path / "pool.json")
    with pytest.raises(DataError, match=r"pool.json has 1 messages, 0 of them not trained on; .* add 14 to it"):
        mine.answers(0)


def test_a_measure_that_does_not_exist_is_refused_by_name() -> None:
    # Only here are types checked before the function itself is asked.
    for scored in map(inspect.unwrap, (Subject.scored, Subject.cut_scored)):
        for typo in ("RAW", "Text", "txt"):
            with pytest.raises(
                UnknownNameError, match=f"unknown measure '{typo}'; known: corrected, raw, text, written"
            ):
                scored(SUBJECT, typo, Nothing(), seed=0, coeffs=(0.0,))
    for measure in OF_YES_AND_NO:
        assert SUBJECT.scored(measure, Nothing(), seed=0, coeffs=(0.0,)) == SUBJECT.base_rows
