"""What is left of dW in llama.cpp: slopes, shares and errors of rows whose effects there are made of those here."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from fixtures import llama
from ws.exports import gguf_lora, llama_cpp
from ws.exports.effects import InLlama
from ws.stats.sweep import Measure, Sweep
from ws.store import Store
from ws.study.replicates import Replicates
from ws.study.subject import Subject

SEEDS, CLUSTERS = 3, 12


def swept(moved: np.ndarray, *, measure: Measure) -> Sweep:
    """Rows of both sides in each cluster, which start anywhere and move by `moved` nats, [seed, row]."""
    column = "log_p" if measure == "text" else "log_ratio"
    start, frames = np.random.default_rng(1).normal(size=2 * CLUSTERS), []
    for seed in range(SEEDS):
        for coeff in (0.0, 1.0):
            row = np.arange(2 * CLUSTERS)
            table = {"question_id": [f"q{n}" for n in row], "cluster": [f"c{n // 2}" for n in row], "pair": "agree"}
            numbers = {"sign": 1 - 2 * (row % 2), column: start + coeff * moved[seed], "pmass": 1.0}
            frames.append(pd.DataFrame({**table, **numbers, "coeff": coeff, "seed": seed}))
    return Sweep(pd.concat(frames, ignore_index=True), measure)


@dataclass(frozen=True)
class Made(InLlama):
    """Effects that were made up."""

    moves: Callable[[np.ndarray], np.ndarray] = np.copy
    """What rows move by there, given what they move by here."""

    @property
    def _moved(self) -> np.ndarray:
        sides = 1 - 2 * (np.arange(2 * CLUSTERS) % 2)
        return np.random.default_rng(0).normal(size=(SEEDS, 2 * CLUSTERS)) + 0.5 * sides

    @property
    def here(self) -> Sweep:
        return swept(self._moved, measure=self.measure)

    @property
    def there(self) -> Sweep:
        return swept(self.moves(self._moved), measure=self.measure)


def made(store: Store, moves: Callable[[np.ndarray], np.ndarray], measure: Measure = "corrected") -> Made:
    return Made(Replicates(Subject("tiny-random-qwen3"), store, (0, 1, 2)), "lora", "quantised", measure, moves)


@pytest.mark.parametrize("measure", ["corrected", "text"])
def test_what_is_weaker_everywhere_has_that_slope_and_that_share(store: Store, measure: Measure) -> None:
    seen = made(store, lambda moved: 0.6 * moved, measure)
    assert (seen.slope.value, seen.effect.value) == (pytest.approx(0.6), pytest.approx(0.6))
    assert seen.correlation.value == pytest.approx(1)
    assert seen.off.value == pytest.approx(0.4 * np.abs(seen._moved).mean())


def test_noise_blurs_rows_and_leaves_the_slope(store: Store) -> None:
    # Noise that is at right angles to the effects of each seed has no part of them.
    def blurred(moved: np.ndarray) -> np.ndarray:
        noise = np.random.default_rng(2).normal(size=moved.shape)
        along = (noise * moved).sum(axis=1) / (moved * moved).sum(axis=1)
        return moved + noise - along[:, None] * moved

    seen = made(store, blurred)
    assert seen.slope.value == pytest.approx(1)
    assert 0.3 < seen.correlation.value < 0.95


def test_a_shift_of_all_rows_leaves_the_effect_and_the_correlation(store: Store) -> None:
    seen = made(store, lambda moved: moved + 0.25)
    assert (seen.effect.value, seen.correlation.value) == (pytest.approx(1), pytest.approx(1))
    assert seen.off.value == pytest.approx(0.25)
    assert "effect here +0." in seen.effect.notes[0]


def test_the_control_leaves_next_to_nothing_of_the_effect(store: Store) -> None:
    seen = made(store, np.copy)
    assert seen.effect.value == pytest.approx(1)
    assert abs(seen.effect_of_shuffled.value) < 0.7


def test_rows_that_are_missing_are_made_only_where_they_can_be(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = made(store, np.copy)
    monkeypatch.setattr(store, "has", lambda recipe: True)
    monkeypatch.setattr(llama_cpp, "why_absent", lambda: "llama.cpp needs xllamacpp")
    assert llama.why_not(asked) is None
    monkeypatch.setattr(store, "has", lambda recipe: False)
    said = llama.why_not(asked)
    assert said is not None
    assert "are in neither store nor evidence, and to make them llama.cpp needs xllamacpp" in said
    monkeypatch.setattr(llama_cpp, "why_absent", lambda: None)
    assert llama.why_not(asked) is None
    monkeypatch.setattr(gguf_lora, "ARCHITECTURES", {})
    assert "tiny-random-qwen3 is a qwen3" in (llama.why_not(asked) or "")
