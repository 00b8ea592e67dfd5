"""mlx-lm computes with an exported adapter what the model computes here when it is steered."""

import json
from pathlib import Path

import pytest
import torch

from ws.delta.folders.peft_files import CONFIG
from ws.exports import mlx_lora
from ws.exports.base import EXACT_NATS, Limits
from ws.exports.command import share_off, travelled
from ws.models.language import LanguageModel
from ws.store import Store
from ws.tests import small
from ws.tests.exporting import llama_file, of_delta, of_family, random_prompts
from ws.tests.told import Told


def test_a_family_comes_back_whole(lm: LanguageModel, store: Store, tmp_path: Path, told: Told) -> None:
    what = of_family(lm, store, "lora")
    written = mlx_lora.write(tmp_path, what, Limits())
    told.clear()
    trip = travelled(tmp_path, what, mlx_lora, written, random_prompts(lm))
    assert trip.off <= EXACT_NATS < trip.moved
    assert share_off(tmp_path, what, mlx_lora) <= 1e-6
    # It aims at no layer that it has no tensors for.
    assert told == []
    settings = json.loads((tmp_path / CONFIG).read_text())
    assert settings["lora_parameters"]["keys"] == sorted(what.delta.tensors)


@pytest.mark.parametrize("architecture", ["Llama", "Qwen3"])
def test_mlx_lm_computes_the_same(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, told: Told, architecture: str
) -> None:
    mx = pytest.importorskip("mlx.core", reason="mlx is not installed; pip install 'mlx[cpu]' mlx-lm")
    utils = pytest.importorskip("mlx_lm.utils", reason="mlx-lm is not installed; pip install 'mlx[cpu]' mlx-lm")
    lm, _ = llama_file(architecture, tmp_path_factory.mktemp("gguf"))
    what, asked = of_delta(lm, small.random_update(lm)), random_prompts(lm)
    for folder in ("base", "adapter"):
        (tmp_path / folder).mkdir()
    lm.model.save_pretrained(tmp_path / "base")
    # Layers of unequal rank, of which some are left out.
    mlx_lora.write(tmp_path / "adapter", what, Limits(energy=1.0))
    model, _ = utils.load_model(tmp_path / "base")
    model = utils.load_adapters(model, str(tmp_path / "adapter"))
    with what.ready.at(1.0):
        ours = torch.stack([lm.model(torch.tensor([ids])).logits[0, -1] for ids in asked.prompts])
    theirs = torch.tensor([model(mx.array([ids]))[0, -1].astype(mx.float32).tolist() for ids in asked.prompts])
    assert (theirs - ours).abs().max() <= EXACT_NATS
