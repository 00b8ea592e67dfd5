"""PEFT itself reads an export as the very dW that was written, and the model is left as it was."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from ws.bench.survey.adapters import base_model
from ws.delta.folders.delta import folder_delta
from ws.delta.folders.peft_files import CONFIG, WEIGHTS
from ws.delta.weight_delta import WeightDelta
from ws.errors import DataError, MismatchError
from ws.exports import peft_lora
from ws.exports.base import EXACT_NATS, Limits
from ws.exports.command import check_trip, export, share_off, travelled
from ws.models.language import LanguageModel
from ws.store import Store
from ws.tests import small
from ws.tests.exporting import of_delta, of_family, random_prompts
from ws.tests.told import Told

pytestmark = pytest.mark.usefixtures("told")


@pytest.mark.parametrize("family", ["lora", "delora", "pissa"])
def test_a_family_with_factors_comes_back_whole(lm: LanguageModel, store: Store, tmp_path: Path, family: str) -> None:
    what, before = of_family(lm, store, family), small.fingerprint(lm)
    written = peft_lora.write(tmp_path, what, Limits())
    trip = travelled(tmp_path, what, peft_lora, written, random_prompts(lm))
    assert written.meant is None
    assert written.holds == f"all of dW, rank {2 * small.SHAPES[family].rank} in 21 layers"
    assert trip.off <= EXACT_NATS < trip.moved
    assert trip.lost == 0
    assert share_off(tmp_path, what, peft_lora) <= 1e-6
    assert small.fingerprint(lm) == before


@pytest.mark.parametrize("limits", [Limits(rank=3), Limits(energy=0.8)], ids=["rank", "energy"])
def test_a_dense_family_comes_back_cut(lm: LanguageModel, store: Store, tmp_path: Path, limits: Limits) -> None:
    what = of_family(lm, store, "oft")
    written = peft_lora.write(tmp_path, what, limits)
    trip = travelled(tmp_path, what, peft_lora, written, random_prompts(lm))
    assert trip.off <= EXACT_NATS < trip.lost
    share = share_off(tmp_path, what, peft_lora)
    assert written.holds.startswith(f"dW but for {share:.2%} of its norm, rank ")
    if limits.energy is not None:
        assert share**2 <= 1 - limits.energy
    # What is left is most of the effect, so its direction is the same.
    assert 0.5 < trip.correlation <= 1


@pytest.mark.parametrize("base", ["plain", "biased", "transposed"])
def test_unequal_ranks_come_back_on_every_kind_of_layer(tmp_path: Path, base: str) -> None:
    lm = base_model(base)
    delta = small.random_update(lm)
    made = {path: value for place, (path, value) in enumerate(sorted(delta.tensors.items())) if place != 1}
    what = of_delta(lm, WeightDelta(made), coeff=-0.5)
    written = peft_lora.write(tmp_path, what, Limits(energy=1.0))
    trip = travelled(tmp_path, what, peft_lora, written, random_prompts(lm))
    assert trip.off <= EXACT_NATS < trip.moved
    back = folder_delta(tmp_path, lm)
    assert back.tensors.keys() == made.keys()
    assert (back - what.delta).norm <= 1e-5 * what.delta.norm


def test_a_folder_names_the_base_and_one_rank(lm: LanguageModel, store: Store, tmp_path: Path) -> None:
    peft_lora.write(tmp_path, of_family(lm, store, "lora"), Limits())
    settings = json.loads((tmp_path / CONFIG).read_text())
    assert (settings["r"], settings["lora_alpha"], settings["rank_pattern"]) == (8, 8, {})
    assert (settings["base_model_name_or_path"], settings["task_type"]) == ("tiny-random-qwen3", "CAUSAL_LM")
    assert {value.shape[0] for name, value in load_file(tmp_path / WEIGHTS).items() if "lora_A" in name} == {8}


def test_an_export_that_reads_back_wrong_is_not_put_in_place(
    lm: LanguageModel, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = of_family(lm, store, "lora")
    read_back = peft_lora.read_back

    def spoilt(place: Path, what: object) -> object:
        tensors = load_file(place / WEIGHTS)
        save_file({name: 1.01 * value for name, value in tensors.items()}, place / WEIGHTS)
        return read_back(place, what)

    monkeypatch.setattr(peft_lora, "read_back", spoilt)
    with pytest.raises(MismatchError, match=r"peft .* reads something else than was written: a log-ratio is off by"):
        export(tmp_path / "export", what, peft_lora, Limits(), random_prompts(lm))
    assert list(tmp_path.iterdir()) == []


def test_an_export_says_what_came_of_it(lm: LanguageModel, store: Store, tmp_path: Path, told: Told) -> None:
    place = tmp_path / "export"
    said = export(place, of_family(lm, store, "oft"), peft_lora, Limits(rank=2), random_prompts(lm))
    assert said.startswith(f"{place}\n  what        PEFT LoRA of dW oft seed 0")
    assert max(map(len, said.splitlines()[1:])) <= 80
    words = " ".join(said.split())
    assert "read by peft " in words
    assert "nats at most from what was written, over 4 held-out questions that dW moves by" in words
    assert "nats at most; the effect is" in words
    readme = (place / "README.md").read_text()
    assert said.partition("\n")[2] in readme
    assert f'peft.PeftModel.from_pretrained(model, "{place}")' in readme
    assert {path.name for path in place.iterdir()} == {CONFIG, WEIGHTS, "README.md"}


def test_full_rank_without_a_limit_is_refused_before_anything_is_written(
    lm: LanguageModel, store: Store, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="full rank"):
        export(tmp_path / "export", of_family(lm, store, "oft"), peft_lora, Limits(), random_prompts(lm))
    assert list(tmp_path.iterdir()) == []


def test_a_trip_that_is_not_a_number_is_no_exact_trip(lm: LanguageModel, store: Store, tmp_path: Path) -> None:
    what = of_family(lm, store, "lora")
    trip = travelled(tmp_path, what, peft_lora, peft_lora.write(tmp_path, what, Limits()), random_prompts(lm))
    trip.theirs[0] = float("nan")
    with pytest.raises(MismatchError, match="off by nan nats"):
        check_trip(trip, peft_lora)
