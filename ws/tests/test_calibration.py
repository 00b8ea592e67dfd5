"""Calibration finds rules that decide too often, and leaves chance alone."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ws.calibration import calibrate as calibration
from ws.calibration import rates
from ws.calibration.rates import Counts, counts, failures
from ws.calibration.scenarios import Scenario, scenarios
from ws.calibration.worlds import World, above, all_of, within_estimated
from ws.stats.cases import PartDoubt
from ws.stats.looks import looks
from ws.stats.moderated import Doubt, doubt
from ws.stats.spreads import Spread

QUIET = Counts(trials=1000, held=50, refuted=50, intervals=1000, covered=950)


def test_every_simulated_claim_has_a_name_of_its_own_and_some_are_quick() -> None:
    names = [scenario.name for scenario in scenarios()]
    assert len(set(names)) == len(names)
    assert 10 < sum(scenario.quick for scenario in scenarios()) < len(names) / 2


@pytest.mark.parametrize("scenario", [one for one in scenarios() if one.quick], ids=lambda one: one.name)
def test_a_seed_settles_what_is_found(scenario: Scenario) -> None:
    first = counts(scenario, trials=2, seed=1)
    assert first == counts(scenario, trials=2, seed=1)
    assert first.trials == 2


def test_the_rules_keep_what_they_promise_of_a_claim_of_three_cases() -> None:
    scenario = Scenario("three", above, World(cases=3, draws=50))
    assert failures(scenario, counts(scenario, trials=30)) == []


def test_rules_without_doubt_about_seeds_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A normal distribution in place of Student's t, and half of the variance that three seeds had."""

    def normal(own: Spread, siblings: Sequence[Spread] = ()) -> Doubt:
        found = doubt(own, siblings)
        variances = np.full_like(found.variances, own.total / 2)
        return replace(found, variances=variances, freedom=np.full_like(found.freedom, 1e9))

    monkeypatch.setattr("ws.stats.cases.doubt", normal)
    scenario = Scenario("three", above, World(cases=3, draws=50, seed_variance=3.0))
    said = " and ".join(failures(scenario, counts(scenario, trials=30)))
    assert "false HOLDS in" in said
    assert "intervals cover" in said


def test_parts_that_are_not_paid_for_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = Scenario("ten", all_of(10), World(draws=50))
    assert counts(scenario, trials=30).refuted < 6

    def free(found: Sequence[PartDoubt]) -> tuple[float, float]:
        return max(one.p_holds for one in found), min(one.p_refuted for one in found)

    monkeypatch.setattr("ws.stats.verdict.p_values", free)
    assert "false REFUTED in" in failures(scenario, counts(scenario, trials=30))[0]


def test_looks_that_each_spend_the_whole_error_rate_err_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = Scenario("looks", above, World(seeds=34, seed_variance=3.0, draws=20), until_decided=True)
    shared = counts(scenario, trials=60)
    assert failures(replace(scenario, conservative=True), shared) == []
    monkeypatch.setattr("ws.stats.looks.looks", lambda most, error: [replace(it, error=error) for it in looks(most)])
    free = counts(scenario, trials=60)
    assert free.held + free.refuted > 2 * (shared.held + shared.refuted)


def test_what_is_seen_of_a_world_is_its_first_seeds() -> None:
    """As many seeds are made whatever is seen, so that a look has the seeds of the one before."""
    world = World(seeds=8, draws=1)
    [whole], [seen] = (replace(world, seen=n).table(np.random.default_rng(0), np.zeros(1)) for n in (None, 5))
    assert (whole.n_seeds, seen.n_seeds) == (8, 5)
    assert seen.each_seed == pytest.approx(whole.each_seed[:5])


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (QUIET, []),
        (replace(QUIET, held=60, refuted=65), []),
        (replace(QUIET, held=80), ["false HOLDS in 8.0% of 1000 claims, above 5%"]),
        (replace(QUIET, refuted=80), ["false REFUTED in 8.0% of 1000 claims, above 5%"]),
        (replace(QUIET, covered=880), ["intervals cover 88.0%, below 93%"]),
        (replace(QUIET, covered=1000), ["intervals cover 100.0%, above 97%, and are not said to be conservative"]),
        (replace(QUIET, intervals=0, covered=0), []),
    ],
)
def test_a_rate_out_of_bounds_is_named_if_chance_does_not_explain_it(found: Counts, said: list[str]) -> None:
    assert failures(Scenario("any", above, World()), found) == said


def test_intervals_said_to_be_conservative_may_cover_all() -> None:
    assert failures(Scenario("any", above, World(), conservative=True), replace(QUIET, covered=1000)) == []


@pytest.mark.parametrize("variance", [0.0, 2.0])
def test_the_estimates_of_a_world_vary_as_it_says(variance: float) -> None:
    rng, world = np.random.default_rng(0), World(cases=300, seed_variance=variance, draws=1)
    values = [one.value for one in world.table(rng, np.full(300, 5.0))]
    assert np.mean(values) == pytest.approx(5, abs=0.3)
    assert np.var(values) == pytest.approx(1 + variance, rel=0.3)


def test_a_shared_arm_is_in_every_case() -> None:
    world = World(cases=2, shared=0.9, seed_variance=50.0, draws=1)
    values = np.array([[one.value for one in world.table(np.random.default_rng(k), np.zeros(2))] for k in range(200)])
    assert 0.8 < np.corrcoef(values.T)[0, 1] < 0.97


def test_a_truth_is_what_the_shown_number_estimates() -> None:
    cases = within_estimated(World(cases=100, draws=1), np.random.default_rng(0))
    off = [hypothesis.parts[0].shown.value - truth for hypothesis, truth in cases if truth]
    assert np.mean(off) == pytest.approx(0, abs=0.4)
    sides = [side.value for hypothesis, _ in cases for side in hypothesis.parts[0].sides]
    assert np.mean(np.reshape(sides, (-1, 2)).min(axis=1)) == pytest.approx(0, abs=0.4)


def test_the_table_is_printed_as_it_is_found_and_broken_rates_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text("Before\n\n<!-- table -->\n<!-- end of table -->\n")
    bad = replace(QUIET, held=200)
    monkeypatch.setattr(calibration, "all_counts", lambda chosen, trials: ((one, bad) for one in chosen))
    broken = calibration.calibrate(quick=True, write=page)
    quick = [one for one in scenarios() if one.quick]
    assert len(broken) == len([one for one in quick if not one.may_hold])
    assert broken[0].startswith(f"{quick[0].name}: false HOLDS in 20.0%")
    line = f"| {quick[0].name} | 20.0% | 5.0% | 95.0% * |"
    assert line in capsys.readouterr().out
    assert line in page.read_text()
    # Of a tenth more it is right that it holds.
    assert "| 7 cases of a tenth more |  | 5.0% | 95.0% * |" in page.read_text()


def test_a_batch_finds_its_scenario_by_name() -> None:
    scenario = next(scenarios())
    assert rates._batch(scenario.name, 3) == counts(scenario, trials=rates.BATCH, seed=3)
