"""Movements of rows that share only seeds can be compared; a direction that moves everything is not specific."""

import numpy as np
import pandas as pd
import pytest

from ws.errors import DataError
from ws.stats.specificity import TARGET, group_means, is_specific, largest_other, movements
from ws.stats.verdict import Outcome, judge

SEEDS = (0, 1, 2)


def rows(prefix: str, topics: tuple[str, ...], moved: dict[str, float], *, n: int = 20, noise: float = 0.0):
    """Balanced rows at coefficients 0 and 1 that move towards their label by `moved` of their topic."""
    random = np.random.default_rng(0)
    lines = [
        {
            "seed": seed,
            "question_id": f"{topic}-{place:02d}",
            "cluster": f"{prefix}{topic}-{place:02d}",
            "topic": topic,
            "sign": sign,
            "coeff": coeff,
            "log_ratio": -0.5 + coeff * (sign * moved[topic] + noise * random.normal()),
        }
        for seed in SEEDS
        for topic in topics
        for place, sign in enumerate([+1, -1] * (n // 2), start=1)
        for coeff in (0.0, 1.0)
    ]
    return pd.DataFrame(lines)


def means(target: float, *, noise: float = 0.0, bias: float = 0.0, **axes: float):
    dilemmas = rows("d-", ("money",), {"money": target}, noise=noise)
    off = rows("a-", tuple(axes), axes, noise=noise)
    for table in (dilemmas, off):
        table["log_ratio"] += bias * table["coeff"]
    return group_means(movements(dilemmas, off))


def test_each_group_has_the_mean_of_its_own_rows() -> None:
    found = means(0.4, calm=-0.1, tidy=0.3)
    assert {group: round(mean.value, 9) for group, mean in found.items()} == {TARGET: 0.4, "calm": -0.1, "tidy": 0.3}


def test_each_group_has_the_spread_of_its_own_rows() -> None:
    dilemmas, off = rows("d-", ("money",), {"money": 0.4}, noise=0.2), rows("a-", ("calm",), {"calm": 0.1}, noise=0.2)
    joint = group_means(movements(dilemmas, off))[TARGET]
    moved = movements(dilemmas, off.assign(question_id="x-" + off["question_id"]))
    alone = group_means(moved[moved["group"] == TARGET])[TARGET]
    assert joint.value == pytest.approx(alone.value)
    assert np.std(joint.resampled) == pytest.approx(np.std(alone.resampled), rel=0.25)


@pytest.mark.parametrize(
    ("target", "calm", "specific"), [(0.4, 0.1, True), (0.4, 0.5, False), (0.4, -0.5, False), (-0.4, 0.1, False)]
)
def test_only_a_target_beyond_every_axis_on_both_sides_is_specific(target: float, calm: float, specific: bool) -> None:
    verdict = judge(is_specific(means(target, calm=calm, tidy=0.05, noise=0.02)))
    assert (verdict.outcome is Outcome.HOLDS) is specific


def test_a_push_towards_yes_moves_no_group_and_widens_no_interval() -> None:
    plain, pushed = means(0.4, calm=0.1, noise=0.02), means(0.4, calm=0.1, noise=0.02, bias=3.0)
    for group in plain:
        assert pushed[group].value == pytest.approx(plain[group].value)
    assert np.std(pushed["calm"].resampled) == pytest.approx(np.std(plain["calm"].resampled), rel=1e-6)


def test_the_largest_other_group_counts_by_distance() -> None:
    assert largest_other(means(0.4, calm=-0.3, tidy=0.2)) == "calm"


def test_specificity_knows_the_sources_of_both_tables() -> None:
    moved = movements(rows("d-", ("money",), {"money": 0.4}), rows("a-", ("calm",), {"calm": 0.1}))
    assert is_specific(group_means(moved, sources=("dilemmas", "axes"))).sources == ("dilemmas", "axes")


def test_facts_are_no_target() -> None:
    dilemmas = rows("d-", ("money",), {"money": 0.4})
    facts = rows("f-", ("neutral",), {"neutral": 9.0}).assign(sign=0)
    found = group_means(movements(pd.concat([dilemmas, facts]), rows("a-", ("calm",), {"calm": 0.1})))
    assert found[TARGET].value == pytest.approx(0.4)


def test_a_row_without_its_unchanged_self_is_refused() -> None:
    dilemmas = rows("d-", ("money",), {"money": 0.4})
    with pytest.raises(DataError, match=r"60 rows at coefficient 0 and 59 at \+1 are not the same rows"):
        movements(dilemmas.drop(index=dilemmas.index[-1]), rows("a-", ("calm",), {"calm": 0.1}))


def test_specificity_needs_a_target_and_something_beside_it() -> None:
    alone = {TARGET: means(0.4, calm=0.1)[TARGET]}
    with pytest.raises(DataError, match=r"groups \['target'\]; expected 'target' and one or more others"):
        is_specific(alone)
