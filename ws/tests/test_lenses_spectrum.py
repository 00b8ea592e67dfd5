"""Crops of dW's own spectrum hold what their shares say, and the control of equal spectrum is cropped alike."""

import gc
from weakref import ref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ws.delta.update import Dense, LowRank, Spectrum
from ws.delta.weight_delta import WeightDelta
from ws.errors import ShapeError, UnknownNameError
from ws.lenses.spectrum import (
    MEASURES,
    PARTS,
    EqualSpectrum,
    SpectrumCrop,
    band,
    decomposed,
    orthonormal,
    random_low_rank_of_equal_spectrum,
)
from ws.models.language import LanguageModel
from ws.tests.small import random_update

UP = "model.layers.1.mlp.up_proj"

FEW = settings(max_examples=50, deadline=None)
spectra = st.lists(st.floats(0.01, 10), min_size=1, max_size=40).map(
    lambda values: torch.tensor(sorted(values, reverse=True))
)


def of_spectrum(values: list[float], *, width: int = 12) -> LowRank:
    """An update of these singular values."""
    generator = torch.Generator().manual_seed(0)
    left, right = (orthonormal(width, len(values), generator) for _ in range(2))
    return LowRank(left * torch.tensor(values), right.T)


def singular_values(delta: WeightDelta) -> list[float]:
    return delta.tensors[UP].svd().values.tolist()


@pytest.mark.parametrize(
    ("rank", "quarter", "half"),
    [(1, 1, 0), (2, 1, 1), (3, 1, 2), (4, 1, 2), (8, 2, 4), (10, 3, 5), (64, 16, 32)],
)
def test_a_quarter_by_index_is_a_quarter_of_the_rank_rounded_up(rank: int, quarter: int, half: int) -> None:
    values = torch.arange(rank, 0, -1.0)
    parts = [
        band(values, part=part, share=share, by="index") for part, share in zip(PARTS, (0.25, 0.5, 0.25), strict=True)
    ]
    assert [part.stop - part.start for part in parts] == [quarter, half, rank - quarter - half]
    assert [parts[0].start, parts[0].stop, parts[1].stop, parts[2].stop] == [0, parts[1].start, parts[2].start, rank]


@FEW
@given(values=spectra, share=st.floats(0.01, 1))
def test_the_top_by_energy_is_the_shortest_that_suffices(values: torch.Tensor, share: float) -> None:
    top = band(values, part="top", share=share, by="energy")
    energy = values.double().numpy() ** 2
    assert energy[top].sum() >= (share - 1e-6) * energy.sum()
    assert energy[: top.stop - 1].sum() < share * energy.sum()


@FEW
@given(values=spectra, share=st.floats(0.02, 0.98), by=st.sampled_from(MEASURES))
def test_parts_whose_ends_meet_share_nothing(values: torch.Tensor, share: float, by: str) -> None:
    top = band(values, part="top", share=share, by=by)
    bottom = band(values, part="bottom", share=1 - share, by=by)
    middle = band(values, part="middle", share=abs(2 * share - 1) or 1.0, by=by)
    assert (top.start, top.stop, bottom.stop) == (0, bottom.start, len(values))
    assert {middle.start, middle.stop} <= {
        top.stop,
        band(values, part="top", share=1 - share, by=by).stop,
        0,
        len(values),
    }


@pytest.mark.parametrize(
    ("lens", "kept"),
    [
        (SpectrumCrop("top", 0.25), [8.0]),
        (SpectrumCrop("middle", 0.5), [4.0, 2.0]),
        (SpectrumCrop("bottom", 0.25), [1.0]),
        (SpectrumCrop("top", 0.25, keep=False), [4.0, 2.0, 1.0]),
        (SpectrumCrop("middle", 0.5, keep=False), [8.0, 1.0]),
        (SpectrumCrop("top", 0.75, by="energy"), [8.0]),
        (SpectrumCrop("top", 0.76, by="energy"), [8.0, 4.0]),
        (SpectrumCrop("top", 0.9, by="energy", keep=False), [2.0, 1.0]),
    ],
    ids=lambda case: case.describe() if isinstance(case, SpectrumCrop) else "",
)
@pytest.mark.parametrize("thin", [True, False])
def test_a_crop_keeps_the_singular_values_of_its_part(
    lm: LanguageModel, lens: SpectrumCrop, kept: list[float], thin: bool
) -> None:
    update = of_spectrum([8.0, 4.0, 2.0, 1.0])
    whole = WeightDelta({UP: update if thin else Dense(update.dense())})
    crop = lens.apply(whole, lm).tensors[UP]
    seen = crop.svd()
    assert seen.values[: seen.rank].tolist() == pytest.approx(kept, rel=1e-4)
    assert crop.dot(update) == pytest.approx(sum(value**2 for value in kept), rel=1e-4)


def test_shares_are_of_the_rank_and_not_of_the_columns(lm: LanguageModel) -> None:
    update = of_spectrum([8.0, 4.0, 2.0, 1.0])
    doubled = WeightDelta({UP: 0.5 * (update + update)})
    crop = SpectrumCrop("top", 0.25).apply(doubled, lm)
    assert crop.tensors[UP].left.shape[1] == 1
    rest = SpectrumCrop("top", 0.25, keep=False).apply(doubled, lm)
    assert singular_values(rest)[:3] == pytest.approx([4, 2, 1], rel=1e-4)


def test_a_tensor_of_which_nothing_is_left_is_absent(lm: LanguageModel) -> None:
    other = "model.layers.2.mlp.up_proj"
    whole = WeightDelta({UP: of_spectrum([3.0]), other: of_spectrum([2.0, 1.0])})
    assert set(SpectrumCrop("top", 0.5, keep=False).apply(whole, lm).tensors) == {other}
    spare = WeightDelta({UP: of_spectrum([3.0]) + of_spectrum([3.0])})
    with pytest.raises(ShapeError, match="nothing is left of dW: all but top 50% of dW's spectrum"):
        SpectrumCrop("top", 0.5, keep=False).apply(spare, lm)


@pytest.mark.parametrize("lens", [SpectrumCrop(), EqualSpectrum(0)])
@pytest.mark.parametrize(
    "nothing", [Dense(torch.zeros(4, 3)), LowRank(torch.zeros(4, 2), torch.ones(2, 3))], ids=["dense", "thin"]
)
def test_nothing_has_no_spectrum(
    lm: LanguageModel, lens: SpectrumCrop | EqualSpectrum, nothing: Dense | LowRank
) -> None:
    with pytest.raises(ShapeError, match=r"the update of model\.layers\.1\.mlp\.up_proj is zero: rank 0, expected 1"):
        lens.apply(WeightDelta({UP: nothing}), lm)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"part": "head"}, UnknownNameError, "unknown part of a spectrum 'head'; known: bottom, middle, top"),
        ({"by": "size"}, UnknownNameError, "unknown measure of a spectrum 'size'; known: energy, index"),
        ({"share": 0.0}, ShapeError, "a share of 0.0 of a spectrum; expected more than 0, at most 1"),
        ({"share": 1.5}, ShapeError, "a share of 1.5"),
        ({"share": float("nan")}, ShapeError, "a share of nan"),
    ],
)
def test_a_crop_that_does_not_exist_is_refused(
    changes: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        SpectrumCrop(**changes)


def test_the_control_has_the_spectrum_and_not_the_directions(lm: LanguageModel) -> None:
    delta = random_update(lm)
    control = random_low_rank_of_equal_spectrum(delta, seed=0)
    assert control.tensors.keys() == delta.tensors.keys()
    for path, value in delta.tensors.items():
        drawn, own = control.tensors[path].svd(), value.svd()
        assert control.tensors[path].shape == value.shape
        torch.testing.assert_close(drawn.values, own.values[: own.rank], rtol=1e-4, atol=1e-5)
    assert abs(control.dot(delta)) < 0.1 * delta.norm**2


def test_a_seed_fixes_the_control(lm: LanguageModel) -> None:
    delta = random_update(lm)
    first, same, other = (EqualSpectrum(seed).apply(delta, lm).tensors[UP].dense() for seed in (0, 0, 1))
    torch.testing.assert_close(first, same, rtol=0, atol=0)
    assert (first - other).norm() > first.norm()


@pytest.mark.parametrize("lens", [SpectrumCrop("top", 0.9, by="energy"), SpectrumCrop("top", 0.25)])
def test_a_crop_keeps_of_any_update_of_one_spectrum_the_same_energy(lm: LanguageModel, lens: SpectrumCrop) -> None:
    delta = random_update(lm)
    kept, of_control = (lens.apply(one, lm).norm for one in (delta, EqualSpectrum(0).apply(delta, lm)))
    assert of_control == pytest.approx(kept, rel=1e-5)


def test_crops_of_one_update_share_its_decomposition(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    delta, again = random_update(lm), random_update(lm)
    counted = [0]

    def counting(cls: type[Dense] | type[LowRank]) -> None:
        real = cls.svd

        def svd(self: Dense | LowRank) -> Spectrum:
            counted[0] += 1
            return real(self)

        monkeypatch.setattr(cls, "svd", svd)

    counting(Dense)
    counting(LowRank)
    for lens in (SpectrumCrop("top", 0.5), SpectrumCrop("bottom", 0.5, keep=False), EqualSpectrum(0)):
        lens.apply(delta, lm)
    assert counted == [len(delta.tensors)]
    SpectrumCrop("top", 0.5).apply(again, lm)
    assert counted == [2 * len(delta.tensors)]


def test_a_decomposition_is_forgotten_with_its_update() -> None:
    update = of_spectrum([2.0, 1.0])
    assert decomposed(update) is decomposed(update)
    seen = ref(decomposed(update).values)
    del update
    gc.collect()
    assert seen() is None


def test_random_directions_are_orthonormal_and_uniform() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([orthonormal(5, 2, generator) for _ in range(2000)])
    torch.testing.assert_close(drawn.mT @ drawn, torch.eye(2).expand(2000, 2, 2), atol=1e-5, rtol=0)
    np.testing.assert_allclose((drawn @ drawn.mT).mean(0), 2 / 5 * np.eye(5), atol=0.03)
    with pytest.raises(ShapeError, match="6 orthonormal directions in a space of width 5; choose from 1 to 5"):
        orthonormal(5, 6, generator)
