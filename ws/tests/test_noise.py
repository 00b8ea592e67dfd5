"""How far another machine may move a number: tables have a noise of their own, which passes through every formula."""

import math

import numpy as np
import pytest

from ws.stats.estimate import Estimate
from ws.stats.noise import FLOOR, OF_ONE_SEED, OF_SEEDS, OF_SIZE, noise_of
from ws.tests.test_estimate import noisy, table


def test_a_table_that_seeds_do_not_change_has_the_noise_of_its_size() -> None:
    values = np.tile([3.0, -4.0, 5.0], 4)
    [(mean, noise)] = Estimate.of(table(values, n_seeds=4, n_clusters=3)).leaves
    assert (mean, noise) == (pytest.approx(4 / 3), pytest.approx(FLOOR + OF_SIZE * math.sqrt(50 / 3)))


def test_what_seeds_change_another_processor_changes_by_a_tenth() -> None:
    rng = np.random.default_rng(0)
    values = np.tile(rng.normal(size=500), 4) + 0.3 * rng.normal(size=2000)
    [(_, noise)] = Estimate.of(table(values, n_seeds=4, n_clusters=10)).leaves
    assert noise == pytest.approx(OF_SEEDS * 0.3, rel=0.05)


def test_one_seed_does_not_show_how_far_training_moves() -> None:
    [(_, noise)] = Estimate.of(table([2.0, 2.0], n_seeds=1, n_clusters=2)).leaves
    assert noise == pytest.approx(FLOOR + (OF_SIZE + OF_ONE_SEED) * 2)


def test_a_table_cancels_from_itself_and_two_tables_add_their_noise() -> None:
    a, b = noisy(5), noisy(5, seed=1)
    assert a.noise == pytest.approx(a.leaves[0][1])
    assert (noisy(5) - a).noise == 0
    assert (a - b).noise == pytest.approx(math.hypot(a.noise, b.noise), rel=0.4)
    assert (a + 3).noise == pytest.approx(a.noise)
    assert (-2 * a).noise == pytest.approx(2 * a.noise)
    assert (a - b).leaves == a.leaves + b.leaves
    assert (a - noisy(5)).leaves == a.leaves


def test_the_noise_of_a_ratio_grows_without_bounds_as_its_denominator_nears_0() -> None:
    whole = noisy(5)
    noises = [(noisy(5, seed=1) / (whole - whole.value + near)).noise for near in (1.0, 0.1, 1e-9)]
    assert noises == sorted(noises)
    assert noises[-1] > 10


def test_a_number_that_was_divided_by_what_may_be_0_has_no_interval() -> None:
    ratio = noisy(5) / (noisy(0) - noisy(0).value)
    assert ratio.interval() == (-math.inf, math.inf)
    assert (2 * ratio - 1).interval() == (-math.inf, math.inf)
    assert not (noisy(5) / noisy(5, seed=1)).unbounded


def test_a_number_without_tables_has_no_noise() -> None:
    assert noise_of(1.0, np.zeros(0)) == 0.0
