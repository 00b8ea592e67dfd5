"""Adapters go to PEFT's folders and come back: the same parameters, the same logits."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ws.adapters import FAMILIES, AdapterConfig, Params, family, ia3, pissa
from ws.adapters.peft.layers import SIDES
from ws.delta.folders.peft_files import WEIGHTS, load_peft, save_peft
from ws.delta.update import Dense
from ws.delta.weight_delta import WeightDelta
from ws.errors import MismatchError, ShapeError
from ws.models.language import LanguageModel
from ws.tests.small import LAYERS, fingerprint, merged
from ws.training.inject import is_feedforward_output

if TYPE_CHECKING:
    from peft import PeftModel

# PEFT asks transformers 5 for a property under its old name.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

IDS = torch.randint(10, 900, (2, 12), generator=torch.Generator().manual_seed(3))

SHAPES = {
    "lora": AdapterConfig("lora", rank=4, alpha=8.0),
    "dora": AdapterConfig("dora", rank=4, alpha=8.0),
    "pissa": AdapterConfig("pissa", rank=4, alpha=6.0),
    "delora": AdapterConfig("delora", rank=4, bound=1.0),
    "oft": AdapterConfig("oft", block=4),
    "boft": AdapterConfig("boft", block=4),
    "ia3": AdapterConfig("ia3"),
}
every_family = pytest.mark.parametrize("name", FAMILIES)

Layers = dict[str, Params]


def moved(lm: LanguageModel, name: str, *, seed: int = 0, size: float = 0.05) -> Layers:
    """An adapter in two blocks with its trainable parameters away from their start."""
    generator = torch.Generator().manual_seed(seed)
    layers = {}
    for path, linear in lm.linears(LAYERS.start, LAYERS.start + 2).items():
        start = family(name).init(
            linear.weight.detach(), config=SHAPES[name], generator=generator, feedforward=is_feedforward_output(path)
        )
        layers[path] = {
            symbol: value + size * torch.randn(value.shape, generator=generator) * (symbol in family(name).TRAINABLE)
            for symbol, value in start.items()
        }
    return layers


def ours(lm: LanguageModel, layers: Layers, shape: AdapterConfig) -> Tensor:
    """Logits of the model with the adapter merged by our formula."""
    weights = {path: lm.model.get_submodule(path).weight.detach() for path in layers}
    deltas = {
        path: Dense(family(shape.family).delta(weights[path], params, config=shape)) for path, params in layers.items()
    }
    return logits(merged(lm, WeightDelta(deltas), coeff=1.0))


def logits(model: torch.nn.Module) -> Tensor:
    with torch.no_grad():
        return model(IDS).logits


def pefts(lm: LanguageModel, folder: Path) -> "PeftModel":
    """A copy of the model with the adapter of a folder, loaded by PEFT."""
    from peft import PeftModel

    with SIDES["boft"].building(SHAPES["boft"]):
        return PeftModel.from_pretrained(copy.deepcopy(lm.model), str(folder))


def trained_by_peft(lm: LanguageModel, name: str, **changes: object) -> "PeftModel":
    """A copy of the model with a PEFT adapter that is away from its start."""
    from peft import get_peft_model

    paths = lm.linears(LAYERS.start, LAYERS.start + 2)
    config = SIDES[name].peft_config(
        SHAPES[name], targets="|".join(paths), feedforward="|".join(filter(is_feedforward_output, paths))
    )
    for setting, value in changes.items():
        setattr(config, setting, value)
    with torch.random.fork_rng(), SIDES["boft"].building(SHAPES["boft"]):
        torch.manual_seed(0)
        model = get_peft_model(copy.deepcopy(lm.model), config)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def close(seen: Tensor, expected: Tensor) -> None:
    """Logits up to 1e-5 of the largest: this model's float32 logits, of size 8, are 2e-5 off their float64 values."""
    torch.testing.assert_close(seen, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


@every_family
def test_peft_computes_what_the_merged_update_computes(lm: LanguageModel, name: str, tmp_path: Path) -> None:
    layers = moved(lm, name)
    save_peft(tmp_path, lm, layers, SHAPES[name])
    expected = ours(lm, layers, SHAPES[name])
    assert (expected - logits(lm.model)).abs().max() > 1e-2
    close(logits(pefts(lm, tmp_path)), expected)


@every_family
def test_an_adapter_comes_back_equal(lm: LanguageModel, name: str, tmp_path: Path) -> None:
    layers = moved(lm, name)
    save_peft(tmp_path, lm, layers, SHAPES[name])
    back, shape = load_peft(tmp_path, lm)
    assert shape == SHAPES[name]
    assert back.keys() == layers.keys()
    assert all(back[path].keys() == params.keys() for path, params in layers.items())
    assert all(torch.equal(back[path][n], value) for path, params in layers.items() for n, value in params.items())


@every_family
def test_an_adapter_that_peft_saved_computes_the_same_here(lm: LanguageModel, name: str, tmp_path: Path) -> None:
    model = trained_by_peft(lm, name)
    model.save_pretrained(str(tmp_path))
    layers, shape = load_peft(tmp_path, lm)
    assert shape == SHAPES[name]
    close(ours(lm, layers, shape), logits(model))
    close(logits(pefts(lm, tmp_path)), logits(model))


@every_family
def test_reading_and_writing_leave_the_model_and_the_random_numbers_alone(
    lm: LanguageModel, name: str, tmp_path: Path
) -> None:
    before, random = fingerprint(lm), torch.random.get_rng_state()
    save_peft(tmp_path, lm, moved(lm, name), SHAPES[name])
    load_peft(tmp_path, lm)
    assert fingerprint(lm) == before
    assert torch.equal(torch.random.get_rng_state(), random)


# PiSSA and the weights it stands on


def base_weights(model: "PeftModel") -> Tensor:
    weights = {name: value for name, value in model.named_parameters() if "base_layer.weight" in name}
    return torch.cat([weights[name].flatten() for name in sorted(weights)])


def originals(lm: LanguageModel) -> Tensor:
    linears = lm.linears(LAYERS.start, LAYERS.start + 2)
    return torch.cat([linears[path].weight.detach().flatten() for path in sorted(linears)])


def test_a_pissa_written_here_leaves_the_base_weights_as_they_are(lm: LanguageModel, tmp_path: Path) -> None:
    save_peft(tmp_path, lm, moved(lm, "pissa"), SHAPES["pissa"])
    assert torch.equal(base_weights(pefts(lm, tmp_path)), originals(lm))


def test_a_pissa_that_peft_saved_overwrites_them(lm: LanguageModel, tmp_path: Path) -> None:
    trained_by_peft(lm, "pissa").save_pretrained(str(tmp_path))
    assert (base_weights(pefts(lm, tmp_path)) - originals(lm)).abs().max() > 0.01


@pytest.mark.parametrize("name", ["pissa", "boft"])
def test_both_signs_fit_into_one_peft_model(lm: LanguageModel, name: str, tmp_path: Path) -> None:
    signs = {"default": moved(lm, name, seed=0), "minus": moved(lm, name, seed=1)}
    for sign, layers in signs.items():
        save_peft(tmp_path / sign, lm, layers, SHAPES[name])
    model = pefts(lm, tmp_path / "default")
    with SIDES["boft"].building(SHAPES["boft"]):
        model.load_adapter(str(tmp_path / "minus"), adapter_name="minus")
    for sign, layers in signs.items():
        model.set_adapter(sign)
        close(logits(model), ours(lm, layers, SHAPES[name]))


def test_a_pissa_without_its_mark_is_a_lora_with_the_same_update(lm: LanguageModel, tmp_path: Path) -> None:
    layers = moved(lm, "pissa")
    save_peft(tmp_path, lm, layers, SHAPES["pissa"])
    save_file(load_file(tmp_path / WEIGHTS), tmp_path / WEIGHTS)
    pairs, shape = load_peft(tmp_path, lm)
    assert shape == AdapterConfig("lora", rank=8, alpha=12.0)
    close(ours(lm, pairs, shape), ours(lm, layers, SHAPES["pissa"]))


def test_a_pissa_that_peft_converted_is_that_lora_too(lm: LanguageModel, tmp_path: Path) -> None:
    model = trained_by_peft(lm, "pissa")
    expected = logits(model)
    start = trained_by_peft(lm, "pissa")
    with torch.no_grad():
        for path in lm.linears(LAYERS.start, LAYERS.start + 2):
            linear, layer = lm.model.get_submodule(path), start.base_model.model.get_submodule(path)
            A0, B0 = pissa.principal(linear.weight.detach(), config=SHAPES["pissa"])
            layer.lora_A["default"].weight.copy_(A0)
            layer.lora_B["default"].weight.copy_(B0)
    start.peft_config["default"].init_lora_weights = True
    start.save_pretrained(str(tmp_path / "start"))
    model.peft_config["default"].init_lora_weights = True
    model.save_pretrained(str(tmp_path / "lora"), path_initial_model_for_weight_conversion=str(tmp_path / "start"))
    pairs, shape = load_peft(tmp_path / "lora", lm)
    assert shape == AdapterConfig("lora", rank=8, alpha=12.0)
    close(ours(lm, pairs, shape), expected)


# What cannot be written


def test_a_layer_that_the_model_lacks_is_not_written(lm: LanguageModel, tmp_path: Path) -> None:
    layers = moved(lm, "lora")
    layers["model.layers.99.up_proj"] = layers.pop(min(layers))
    with pytest.raises(MismatchError, match=r"\['model.layers.99.up_proj'\] that"):
        save_peft(tmp_path / "new", lm, layers, SHAPES["lora"])
    assert not (tmp_path / "new").exists()


def test_parameters_of_another_rank_are_not_written(lm: LanguageModel, tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match=r"shape \(4, 64\) does not fit the PEFT layer's, of shape \(5, 64\)"):
        save_peft(tmp_path / "new", lm, moved(lm, "lora"), replace(SHAPES["lora"], rank=5))
    assert not (tmp_path / "new").exists()


def test_ia3_gates_stay_at_their_side(lm: LanguageModel, tmp_path: Path) -> None:
    save_peft(tmp_path, lm, moved(lm, "ia3"), SHAPES["ia3"])
    back, _ = load_peft(tmp_path, lm)
    assert {path for path, params in back.items() if ia3.at_input(params["l"])} == set(
        filter(is_feedforward_output, back)
    )
