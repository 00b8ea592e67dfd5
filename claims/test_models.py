"""What becomes of findings on a larger model, beside the embedded one.

Source: research journal, 2026-04-27, status of fork plan T1 to T8, T5 (rankings on other models: proposed, not run);
2026-04-26, hyperparameter correction (Qwen3-1.7B beside Qwen3-0.6B).
"""

import pytest

from ws.adapters import FAMILIES

MEASURES = pytest.mark.parametrize("measure", ["raw", "corrected", "text"])
EACH_FAMILY = pytest.mark.parametrize("family", FAMILIES)

ALIKE = 0.5
"""Spearman's correlation of two rankings of seven families whose places are two apart, as root mean square."""


@MEASURES
@pytest.mark.claim("C28")
@pytest.mark.every_family
def test_rankings_of_families_survive_another_model(ranking_on, smaller, holds, measure):
    holds(ranking_on(smaller) > ALIKE)


@MEASURES
@EACH_FAMILY
@pytest.mark.claim("C35")
def test_larger_model_spreads_further(sweep, sweep_on, smaller, holds, family, measure):
    holds(sweep(family).spread > sweep_on(smaller, family).spread)


@MEASURES
@EACH_FAMILY
@pytest.mark.claim("C35")
def test_spread_beyond_one_falls_short_of_proportion(sweep, holds, family, measure):
    swept = sweep(family)
    holds(swept.at(2.0) - swept.at(-2.0) < 2 * (swept.at(1.0) - swept.at(-1.0)))
