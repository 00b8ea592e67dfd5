"""Every lens cuts an update in two that sum to it; wrappers change a lens only as they say."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ws.adapters import FAMILIES
from ws.delta.update import Dense, LowRank
from ws.delta.weight_delta import WeightDelta
from ws.errors import MismatchError, ShapeError, UnknownNameError
from ws.lenses.base import (
    Lens,
    NormMatched,
    RandomLike,
    Rest,
    Then,
    Whole,
    fitting,
    joined,
    remainder,
    unwritten,
    written,
)
from ws.lenses.base_spectrum import SIDES, BaseCrop
from ws.lenses.modules import GROUPS, KINDS, STREAM, THIRDS, Layers, Modules, Third
from ws.lenses.names import LENSES, named
from ws.lenses.shared import RandomBasis
from ws.lenses.spectrum import MEASURES, PARTS, EqualSpectrum, SpectrumCrop
from ws.models.language import LanguageModel
from ws.store import Recipe, Store
from ws.tests.small import random_update

UP, DOWN, QUERY = (f"model.layers.1.{name}" for name in ("mlp.up_proj", "mlp.down_proj", "self_attn.q_proj"))

FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# Shares this wide leave some of rank 3 and of rank 32 on either side.
shares = st.sampled_from([0.25, 1 / 3, 0.5, 0.6])
# Made inside the test: checking its annotations draws random items, which must not happen in a strategy.
cuts = st.one_of(
    st.builds(partial, st.just(SpectrumCrop), st.sampled_from(PARTS), shares, st.sampled_from(MEASURES)),
    st.builds(
        partial, st.just(BaseCrop), st.sampled_from(PARTS), shares, st.sampled_from(MEASURES), st.sampled_from(SIDES)
    ),
    st.builds(partial, st.just(Modules), st.sampled_from([*KINDS.values(), *GROUPS, *STREAM])),
    st.builds(partial, st.just(Third), st.sampled_from(THIRDS)),
    st.builds(partial, st.just(Layers), st.lists(st.integers(1, 3), min_size=1, max_size=2, unique=True).map(tuple)),
    st.builds(partial, st.just(RandomBasis), st.integers(1, 31), st.integers(0, 99)),
)


@pytest.fixture(scope="module")
def delta(lm: LanguageModel) -> WeightDelta:
    return random_update(lm)


@FEW
@given(made=cuts, seed=st.integers(0, 99))
def test_what_is_kept_and_what_is_dropped_are_the_whole(lm: LanguageModel, made: Callable[[], Lens], seed: int) -> None:
    lens = made()
    delta = random_update(lm, seed=seed)
    kept, dropped = lens.apply(delta, lm), replace(lens, keep=False).apply(delta, lm)
    close(joined(kept, dropped), delta)
    close(Rest(lens).apply(delta, lm), dropped)
    assert 0 < kept.norm < delta.norm


@FEW
@given(made=cuts)
def test_a_lens_leaves_its_input_as_it_was(lm: LanguageModel, delta: WeightDelta, made: Callable[[], Lens]) -> None:
    lens = made()
    before = {path: value.dense().clone() for path, value in delta.tensors.items()}
    once, twice = lens.apply(delta, lm), lens.apply(delta, lm)
    close(once, twice)
    for path, value in before.items():
        torch.testing.assert_close(delta.tensors[path].dense(), value, rtol=0, atol=0)


@pytest.mark.parametrize(
    "lens",
    [SpectrumCrop("top", 0.5), BaseCrop("top", 0.5), BaseCrop(side="left"), RandomBasis(4, seed=0)],
    ids=lambda lens: lens.describe(),
)
@pytest.mark.parametrize("keep", [True, False])
def test_factors_stay_factors(lm: LanguageModel, delta: WeightDelta, lens: Lens, keep: bool) -> None:
    cut = replace(lens, keep=keep).apply(delta, lm)
    assert {path for path, value in cut.tensors.items() if isinstance(value, LowRank)} >= {
        path for path, value in delta.tensors.items() if isinstance(value, LowRank)
    }


@FEW
@given(made=cuts)
def test_at_full_norm_a_cut_is_the_cut_and_longer(
    lm: LanguageModel, delta: WeightDelta, made: Callable[[], Lens]
) -> None:
    lens = made()
    kept, long = lens.apply(delta, lm), NormMatched(lens).apply(delta, lm)
    assert long.norm == pytest.approx(delta.norm, rel=1e-5)
    close((kept.norm / delta.norm) * long, kept)


@FEW
@given(made=cuts, seed=st.integers(0, 99))
def test_a_random_cut_has_the_norms_and_ranks_of_the_cut(
    lm: LanguageModel, made: Callable[[], Lens], seed: int
) -> None:
    lens = made()
    delta = random_update(lm, seed=seed + 1000)  # drawn in the same order, so not from the same seed
    kept, noise = lens.apply(delta, lm), RandomLike(lens, seed).apply(delta, lm)
    assert noise.tensors.keys() == kept.tensors.keys()
    for path, value in kept.tensors.items():
        assert noise.tensors[path].norm == pytest.approx(value.norm, rel=1e-4)
        # A square of random numbers has, one time in a thousand, a direction that rounding hides.
        assert value.svd().rank - noise.tensors[path].svd().rank in range(1 + isinstance(value, Dense))
    assert abs(noise.dot(kept)) < 0.5 * kept.norm**2
    close(RandomLike(lens, seed).apply(delta, lm), noise)
    assert (RandomLike(lens, seed + 1).apply(delta, lm) - noise).norm > 0.5 * kept.norm


def test_the_whole_is_all_of_it(lm: LanguageModel, delta: WeightDelta) -> None:
    assert Whole().apply(delta, lm) is delta
    with pytest.raises(ShapeError, match="the lens lets all of it through; choose a narrower lens"):
        Rest(Whole()).apply(delta, lm)


def test_lenses_compose_from_left_to_right(lm: LanguageModel, delta: WeightDelta) -> None:
    writers, crop = Modules("writers"), SpectrumCrop("top", 0.5)
    close(Then(writers, crop).apply(delta, lm), crop.apply(writers.apply(delta, lm), lm))
    behind = Then(writers, NormMatched(crop)).apply(delta, lm)
    assert behind.norm == pytest.approx(writers.apply(delta, lm).norm, rel=1e-5)
    assert NormMatched(Then(writers, crop)).apply(delta, lm).norm == pytest.approx(delta.norm, rel=1e-5)


def test_nothing_cannot_be_scaled(lm: LanguageModel, delta: WeightDelta) -> None:
    with pytest.raises(ShapeError, match="q is zero and cannot be scaled; choose a wider lens"):
        NormMatched(Modules("q")).apply(0.0 * delta, lm)


def test_every_named_lens_cuts(lm: LanguageModel, delta: WeightDelta) -> None:
    for name in LENSES:
        cut = named(name).apply(delta, lm)
        assert 0 < cut.norm <= delta.norm * (1 + 1e-6), name
        if f"drop_{name}" in LENSES:
            close(joined(cut, named(f"drop_{name}").apply(delta, lm)), delta)


def test_no_two_names_are_one_lens() -> None:
    assert len({lens.describe() for lens in LENSES.values()}) == len(LENSES) == len(set(LENSES.values()))
    with pytest.raises(UnknownNameError, match="unknown lens 'top_26'; known: attention, base_bottom_25"):
        named("top_26")


def test_a_reason_of_one_lens_is_that_of_all_around_it() -> None:
    control = EqualSpectrum(0)
    around = Then(control, Whole()), Then(Whole(), control), Rest(control), NormMatched(control), RandomLike(control, 0)
    for family in FAMILIES:
        assert {lens.applies(family) for lens in around} == {control.applies(family)}
        assert (control.applies(family) is None) == (family in {"lora", "pissa", "delora"})
        assert Whole().applies(family) is None


@dataclass(frozen=True)
class Cut(Recipe):
    """A recipe with a lens in it."""

    lens: Lens

    def build(self, out: Path, store: Store) -> None:
        self.lens.apply(None, None)


def test_a_recipe_can_hold_a_lens(tmp_path: Path) -> None:
    store = Store(tmp_path)
    lenses = [
        SpectrumCrop(),
        SpectrumCrop(keep=False),
        SpectrumCrop(share=0.5),
        SpectrumCrop(share=0.5, by="energy"),
        BaseCrop(),
        BaseCrop(side="left"),
        Modules("q"),
        Layers((1,)),
        Layers((1, 2)),
        Third("early"),
        RandomBasis(8, seed=0),
        RandomLike(SpectrumCrop(), 0),
        RandomLike(SpectrumCrop(), 1),
        NormMatched(SpectrumCrop()),
        Rest(SpectrumCrop()),
        Then(Modules("q"), SpectrumCrop()),
        Whole(),
    ]
    assert len({store.key(Cut(lens)) for lens in lenses}) == len(lenses)
    assert store.key(Cut(Layers((1, 2)))) == store.key(Cut(Layers((1, 2))))


@pytest.mark.parametrize("thin", [True, False])
def test_what_is_written_and_what_is_not_are_orthogonal(thin: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(6, 2, generator=generator), torch.randn(2, 5, generator=generator)
    update = LowRank(left, right) if thin else Dense(left @ right)
    basis = torch.linalg.qr(torch.randn(6, 3, generator=generator)).Q
    inside, outside = written(update, basis), unwritten(update, basis)
    torch.testing.assert_close(inside.dense(), basis @ basis.T @ left @ right)
    torch.testing.assert_close((inside + outside).dense(), update.dense())
    assert inside.dot(outside) == pytest.approx(0, abs=1e-5)


def test_a_remainder_leaves_out_what_is_kept_whole(delta: WeightDelta) -> None:
    kept = WeightDelta({UP: delta.tensors[UP], DOWN: 0.5 * delta.tensors[DOWN]})
    rest = remainder(delta, kept)
    assert rest.tensors.keys() == delta.tensors.keys() - {UP}
    assert rest.tensors[DOWN].norm == pytest.approx(0.5 * delta.tensors[DOWN].norm, rel=1e-5)
    close(joined(kept, rest), delta)
    with pytest.raises(MismatchError, match=r"model\.layers\.1\.mlp\.up_proj is kept of an update without it"):
        remainder(delta.select(lambda path: path != UP), kept)


def test_an_update_of_another_model_is_refused(lm: LanguageModel, delta: WeightDelta) -> None:
    assert fitting(delta, lm) is delta
    with pytest.raises(MismatchError, match=r"tiny-random-qwen3 has no such layer; use the model that this dW"):
        fitting(WeightDelta({"model.layers.9.mlp.up_proj": delta.tensors[UP]}), lm)
    with pytest.raises(MismatchError, match=r"of shape \(64, 128\), tiny-random-qwen3 has \(64, 64\)"):
        fitting(WeightDelta({QUERY: delta.tensors[DOWN]}), lm)


def close(seen: WeightDelta, expected: WeightDelta) -> None:
    """Equal to fp32 rounding of the largest entries; a missing tensor is zero."""
    for path in seen.tensors.keys() | expected.tensors.keys():
        pair = [one.tensors[path].dense() if path in one.tensors else torch.zeros(()) for one in (seen, expected)]
        torch.testing.assert_close(*torch.broadcast_tensors(*pair), atol=1e-5, rtol=1e-4)
