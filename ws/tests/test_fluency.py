"""A range ends before the first coefficient that breaks the model, and nothing beyond that is looked at."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws.behaviors.neutral_text import read_passages
from ws.errors import DataError, MismatchError
from ws.models.language import LanguageModel, Placed
from ws.models.table import weights_of
from ws.scoring.fluency import Fluency, FluentRange, Point, read_range, walked
from ws.scoring.rows import Rows, read_rows
from ws.scoring.side_effects import SideEffects, perplexity, read_text
from ws.stats.sweep import PMASS_GATE
from ws.steering.interventions import Activations, Intervention, Nothing, Ready, SystemPrompt
from ws.store import Store
from ws.tests.small import ON, SYCOPHANCY
from ws.tests.test_interventions import Given

PASSAGES = read_passages()[:4]
QUESTIONS = SYCOPHANCY.questions("validation")[:4]
VECTORS = Activations(Given(), (2, 4))
RANGE = FluentRange(ON, VECTORS, QUESTIONS, SYCOPHANCY.prefill, PASSAGES, pmass_gate=0.0)
"""Of the tiny model, which hardly ever says Yes or No: with a pmass gate that anything passes."""


@dataclass(frozen=True)
class Watched(Activations):
    """Activations that note at which coefficients they are used."""

    def ready(self, lm: LanguageModel, store: Store) -> Ready:
        inner = super().ready(lm, store)
        return Ready(inner.start, partial(noted, inner))


SEEN: list[float] = []


def noted(inner: Ready, *, coeff: float, tokens: int | None = None) -> object:
    SEEN.append(coeff)
    return inner.at(coeff, tokens=tokens)


@pytest.fixture(autouse=True)
def nothing_seen() -> Iterator[None]:
    SEEN.clear()
    yield
    SEEN.clear()


def point(coeff: float, within: bool) -> Point:
    return Point(coeff, 1.0, 1.0, within)


@given(st.lists(st.booleans(), min_size=1))
def test_a_walk_ends_at_its_first_failure(verdicts: list[bool]) -> None:
    asked: list[int] = []

    def at(coeff: float) -> Point:
        asked.append(int(coeff))
        return point(coeff, verdicts[int(coeff) - 1])

    grid = [float(place) for place in range(1, len(verdicts) + 1)]
    walk = walked(grid, at)
    fluent = verdicts.index(False) if False in verdicts else len(verdicts)
    assert walk.reach == fluent
    assert walk.open == (False not in verdicts)
    assert asked == list(range(1, min(fluent + 1, len(verdicts)) + 1))
    assert [each.coeff for each in walk.points] == asked


def test_a_walk_downwards_reaches_a_negative_coefficient() -> None:
    walk = walked([-1.0, -2.0, -4.0], lambda coeff: point(coeff, coeff > -3))
    assert (walk.reach, walk.open) == (-2.0, False)


def test_every_point_is_what_the_arms_and_the_passages_say(store: Store) -> None:
    found = read_range(store, replace(RANGE, grid=(1.0, 2.0)))
    coeffs = (-2.0, -1.0, 0.0, 1.0, 2.0)
    rows = read_rows(store, Rows(ON, QUESTIONS, SYCOPHANCY.prefill, VECTORS, coeffs))
    text = read_text(store, SideEffects(ON, VECTORS, coeffs, PASSAGES, ("Hi",), 1))
    expected = {
        coeff: Fluency(
            pytest.approx(rows[rows["coeff"] == coeff]["pmass"].mean()),
            pytest.approx(perplexity(text[text["coeff"] == coeff])),
        )
        for coeff in coeffs
    }
    assert found.base == expected.pop(0.0)
    assert {each.coeff: Fluency(each.pmass, each.perplexity) for each in found.points} == expected
    assert [each.coeff for each in found.points] == sorted(expected)


def test_a_grid_that_ends_inside_the_gates_leaves_the_range_open(store: Store) -> None:
    found = read_range(store, replace(RANGE, grid=(1.0, 2.0)))
    assert (found.low, found.high, found.open_low, found.open_high) == (-2.0, 2.0, True, True)
    assert all(each.within for each in found.points)


def gated_by_perplexity(store: Store) -> FluentRange:
    """A recipe whose ratio lies between what coefficients +2 and +4 do; the tiny model knows no prose to forget."""
    text = read_text(store, SideEffects(ON, VECTORS, (0.0, 2.0, 4.0), PASSAGES, ("Hi",), 1))
    base, two, four = (perplexity(lines) for _, lines in text.groupby("coeff"))
    assert base < two < four
    return replace(RANGE, intervention=Watched(Given(), (2, 4)), perplexity_ratio=math.sqrt(two * four) / base)


def test_perplexity_ends_a_range_and_nothing_beyond_is_evaluated(store: Store, tmp_path: Path) -> None:
    recipe = gated_by_perplexity(store)
    # Built here whatever the store has, so that it is seen.
    recipe.build(tmp_path, store)
    found = read_range(store, recipe)
    assert (found.high, found.open_high) == (2.0, False)
    assert [each for each in found.points if not each.within] == [found.points[-1]]
    assert found.points[-1].coeff == 4.0
    assert sorted(set(SEEN)) == [each.coeff for each in found.points]
    assert max(SEEN) == 4.0


def test_pmass_ends_a_range(store: Store) -> None:
    top = Activations(Given(1.0), (5,))
    rows = read_rows(store, Rows(ON, QUESTIONS, SYCOPHANCY.prefill, top, (0.0, 4.0, 8.0)))
    base, four, eight = rows.groupby("coeff")["pmass"].mean()
    assert base > four > eight
    found = read_range(store, replace(RANGE, intervention=top, pmass_gate=float(four + eight) / 2))
    assert (found.high, found.open_high) == (4.0, False)
    assert found.points[-1].coeff == 8.0
    assert found.points[-1].perplexity < 2 * found.base.perplexity


def test_a_range_without_a_fluent_coefficient_is_zero(store: Store, tmp_path: Path) -> None:
    # So far from 0 that the tiny model has no finite number left.
    recipe = replace(RANGE, grid=(1e38, 2e38), intervention=Watched(Given(), (2, 4)))
    recipe.build(tmp_path, store)
    found = read_range(store, recipe)
    assert (found.low, found.high, found.open_low, found.open_high) == (0.0, 0.0, False, False)
    assert [each.coeff for each in found.points] == [-1e38, 1e38]
    assert set(SEEN) == {-1e38, 1e38}


def test_numbers_that_are_not_finite_are_outside_and_survive_the_file(store: Store) -> None:
    found = read_range(store, replace(RANGE, grid=(1.0, 1e38), perplexity_ratio=1e6))
    assert (found.low, found.high) == (-1.0, 1.0)
    first, last = found.points[0], found.points[-1]
    assert all(math.isnan(each.pmass) and math.isnan(each.perplexity) for each in (first, last))
    assert (first.coeff, first.within, last.coeff, last.within) == (-1e38, False, 1e38, False)


def test_a_base_model_that_does_not_answer_is_refused(store: Store) -> None:
    pmass = read_range(store, replace(RANGE, grid=(1.0, 2.0))).base.pmass
    assert 0 < pmass < 0.5
    with pytest.raises(DataError, match=rf"base model puts {pmass:.2g} of its .* less than the gate of 0\.5"):
        read_range(store, replace(RANGE, pmass_gate=PMASS_GATE))


RISES = "expected positive coefficients that rise"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(({"intervention": SystemPrompt("Hi."), "grid": grid}, "no strength") for grid in ((0.5, 1.0), (1.0,))),
        ({"intervention": Nothing()}, "expected 0: leave out the others"),
        *(({"grid": grid}, RISES) for grid in ((), (0.0, 1.0), (-1.0, 1.0), (1.0, 1.0), (2.0, 1.0), (math.nan,))),
        ({"pmass_gate": -0.1}, "expected a share from 0 to 1, and 1 or more times"),
        ({"pmass_gate": 1.1}, "expected a share from 0 to 1, and 1 or more times"),
        ({"perplexity_ratio": 0.9}, "expected a share from 0 to 1, and 1 or more times"),
        ({"questions": ()}, "0 questions to ask"),
        ({"passages": ()}, "0 passages, expected one or more"),
    ],
    ids=str,
)
def test_what_has_no_range_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(RANGE, **changes)


@pytest.mark.parametrize("intervention", [VECTORS, Watched(Given(), (2, 4))], ids=["Activations", "Watched"])
def test_an_intervention_of_another_model_is_refused(intervention: Intervention) -> None:
    with pytest.raises(MismatchError, match="it was made for tiny-random-qwen3; make it anew"):
        replace(RANGE, intervention=intervention, on=Placed(weights_of("smollm2-135m")))
