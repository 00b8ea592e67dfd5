"""transformers reads merged weights as the model with dW added, and what bfloat16 takes of it is told as it is."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer
from transformers.utils.quantization_config import GPTQConfig

from ws.bench.survey.adapters import base_model
from ws.exports import merged
from ws.exports.base import EXACT_NATS, Limits
from ws.exports.command import share_off, travelled
from ws.exports.merged import remaining
from ws.models.language import LanguageModel
from ws.store import Store
from ws.tests import small
from ws.tests.exporting import of_delta, of_family, random_prompts

pytestmark = pytest.mark.usefixtures("told")

HALF = Limits(dtype="bfloat16")


@pytest.mark.parametrize("family", ["lora", "oft"])
def test_all_of_dw_comes_back_in_float32(lm: LanguageModel, store: Store, tmp_path: Path, family: str) -> None:
    what, before = of_family(lm, store, family), small.fingerprint(lm)
    written = merged.write(tmp_path, what, Limits())
    trip = travelled(tmp_path, what, merged, written, random_prompts(lm))
    assert trip.off <= EXACT_NATS < trip.moved
    assert trip.lost == 0
    assert share_off(tmp_path, what, merged) <= 1e-4
    assert small.fingerprint(lm) == before
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.backend_tokenizer.to_str() == lm.tokenizer.backend_tokenizer.to_str()
    assert tokenizer.chat_template == lm.tokenizer.chat_template


@pytest.mark.parametrize("base", ["plain", "biased", "transposed"])
def test_every_kind_of_layer_is_merged_at_any_coefficient(tmp_path: Path, base: str) -> None:
    lm = base_model(base)
    what = of_delta(lm, small.random_update(lm), coeff=-0.5)
    written = merged.write(tmp_path, what, Limits())
    trip = travelled(tmp_path, what, merged, written, random_prompts(lm))
    assert trip.off <= EXACT_NATS < trip.moved
    # The head and the embedding are one matrix here, and stay one.
    with merged.read_back(tmp_path, what) as back:
        assert back.model.get_output_embeddings().weight is back.model.get_input_embeddings().weight


def test_what_bfloat16_takes_is_measured_in_weights_and_in_effect(
    lm: LanguageModel, store: Store, tmp_path: Path
) -> None:
    what = of_family(lm, store, "lora")
    written = merged.write(tmp_path, what, HALF)
    trip = travelled(tmp_path, what, merged, written, random_prompts(lm))
    assert trip.off <= EXACT_NATS < trip.lost
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"
    # Rounding the weights moves the model by itself, which is no loss of dW.
    assert (trip.without - trip.base).abs().max() > EXACT_NATS
    assert 0.5 < trip.correlation < 1
    assert "of the entries change, the change points along dW with a cosine of 0." in written.holds
    assert share_off(tmp_path, what, merged) is None


def test_what_is_left_counts_steps_of_rounded_weights() -> None:
    # Between 1 and 2, bfloat16 has a number every 1/128.
    plain = torch.tensor([[1.0, 1.0, 1.5, 1.25]])
    step = torch.tensor([[1 / 128, 1 / 512, 3 / 512, 0.0]])
    left = remaining(plain.bfloat16(), (plain + step).bfloat16(), step)
    assert (left.entries, left.changed) == (4, 2)
    assert left.change_sq == pytest.approx(2 / 128**2)
    assert left.dot == pytest.approx((1 + 3 / 4) / 128**2)
    assert left.delta_sq == pytest.approx((1 + 1 / 16 + 9 / 16) / 128**2)
    twice = left + left
    assert (twice.entries, twice.changed, twice.dot) == (8, 4, 2 * left.dot)
    cosine = 1.75 / (2 * 1.625) ** 0.5
    assert left.said.startswith(f"50% of the entries change, the change points along dW with a cosine of {cosine:.2f}")
    assert left.said.endswith(f"has {1.75 / 1.625:.2f} of its length in that direction")


def test_a_model_from_a_quantised_file_is_saved_as_a_plain_one(tmp_path: Path) -> None:
    lm = base_model("plain")
    # What transformers leaves on a model that it has read from such a file.
    lm.model.config.quantization_config = GPTQConfig(bits=4)
    what = of_delta(lm, small.random_update(lm))
    merged.write(tmp_path, what, Limits())
    assert "quantization_config" not in json.loads((tmp_path / "config.json").read_text())
    assert lm.model.config.quantization_config.bits == 4
    with merged.read_back(tmp_path, what) as back:
        assert type(back.model) is type(lm.model)
