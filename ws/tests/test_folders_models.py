"""dW of mlx-lm's adapters and of whole models agrees with their formulas; what is no dW is refused by name."""

import copy
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ws.bench.survey.adapters import base_model
from ws.delta.folders.delta import check_folder, folder_delta, folder_sha256, folders_delta
from ws.delta.folders.mlx import WEIGHTS
from ws.delta.folders.peft_files import CONFIG
from ws.delta.update import Dense, LowRank
from ws.errors import MismatchError
from ws.models.language import LanguageModel
from ws.tests.test_folders import lora_of
from ws.tests.told import Told

pytestmark = pytest.mark.usefixtures("told")

PATH = "model.layers.3.mlp.up_proj"


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    return base_model("plain")


# mlx-lm


def mlx_tensors(linear: nn.Linear, *, path: str = PATH, dora: bool = False, seed: int = 0) -> dict[str, Tensor]:
    """What mlx-lm keeps of one layer at rank 3."""
    generator, (d_out, d_in) = torch.Generator().manual_seed(seed), linear.weight.shape
    parts = {
        "lora_a": torch.randn(d_in, 3, generator=generator),
        "lora_b": torch.randn(3, d_out, generator=generator),
        **({"m": 1 + torch.rand(d_out, generator=generator)} if dora else {}),
    }
    return {f"{path}.{name}": value for name, value in parts.items()}


def mlx_folder(folder: Path, tensors: Mapping[str, Tensor], **settings: object) -> Path:
    """A folder as mlx-lm writes it."""
    usual = {
        "fine_tune_type": "lora",
        "model": "owner/model",
        "num_layers": 1,
        "lora_parameters": {"rank": 3, "scale": 5.0, "dropout": 0.0, "keys": ["mlp.up_proj"]},
    }
    folder.mkdir(exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(usual | settings))
    save_file(dict(tensors), folder / WEIGHTS)
    return folder


def test_a_lora_of_mlx_is_scaled_but_not_divided_by_its_rank(lm: LanguageModel, tmp_path: Path) -> None:
    tensors = mlx_tensors(lm.model.get_submodule(PATH))
    delta = folder_delta(mlx_folder(tmp_path, tensors), lm)
    (update,) = delta.tensors.values()
    assert isinstance(update, LowRank)
    expected = 5.0 * (tensors[f"{PATH}.lora_a"] @ tensors[f"{PATH}.lora_b"]).T
    torch.testing.assert_close(update.dense(), expected, rtol=0, atol=1e-4)


def test_a_dora_of_mlx_gives_rows_their_lengths(lm: LanguageModel, tmp_path: Path) -> None:
    linear = lm.model.get_submodule(PATH)
    tensors = mlx_tensors(linear, dora=True)
    delta = folder_delta(mlx_folder(tmp_path, tensors, fine_tune_type="dora"), lm)
    merged = linear.weight + delta.tensors[PATH].dense()
    torch.testing.assert_close(merged.norm(dim=1), tensors[f"{PATH}.m"])
    turned = linear.weight + 5.0 * (tensors[f"{PATH}.lora_a"] @ tensors[f"{PATH}.lora_b"]).T
    torch.testing.assert_close(nn.functional.cosine_similarity(merged, turned), torch.ones(len(merged)))


def test_whole_weights_of_mlx_are_subtracted(lm: LanguageModel, tmp_path: Path, told: Told) -> None:
    norm = "model.layers.3.input_layernorm.weight"
    tensors = {f"{PATH}.weight": lm.model.get_submodule(PATH).weight + 0.5, norm: torch.full((64,), 2.0)}
    delta = folder_delta(mlx_folder(tmp_path, tensors, fine_tune_type="full"), lm)
    assert list(delta.tensors) == [PATH]
    torch.testing.assert_close(delta.tensors[PATH].dense(), torch.full_like(tensors[f"{PATH}.weight"], 0.5))
    assert any(f"left out of dW, as no linear layer in a block: {norm}" in line for line in told)


@pytest.mark.parametrize(("settings", "missing"), [({}, 0), ({"num_layers": 2}, 1), ({"num_layers": -1}, 3)], ids=str)
def test_blocks_of_mlx_count_from_the_last(
    lm: LanguageModel,
    tmp_path: Path,
    told: Told,
    settings: dict[str, object],
    missing: int,
) -> None:
    folder_delta(mlx_folder(tmp_path, mlx_tensors(lm.model.get_submodule(PATH)), **settings), lm)
    assert [f"no tensors for {missing} layers" in line for line in told] == [True] * bool(missing)


def renamed(path: str, name: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    """Tensors under another path, or another name."""
    return lambda tensors: {key.replace(PATH, path).replace("lora_b", name): t for key, t in tensors.items()}


@pytest.mark.parametrize(
    ("edit", "settings", "message"),
    [
        (dict, {"fine_tune_type": "lokr"}, "fine_tune_type='lokr', expected one of lora, dora, full"),
        (dict, {"fine_tune_type": "dora"}, r"expected dora's \['lora_a', 'lora_b', 'm'\]"),
        (dict, {"lora_parameters": {"alpha": 8}}, "expected an object with a finite number as scale"),
        (dict, {"lora_parameters": {"scale": 0}}, r"lora_parameters.scale=0, by which the whole update is multiplied"),
        (dict, {"lora_parameters": None}, "lora_parameters=None, expected an object"),
        (renamed("model.layers.9.mlp.up_proj", "lora_b"), {}, r"\['model.layers.9.mlp.up_proj'\] that .* lacks"),
        (renamed("model.embed_tokens", "lora_b"), {}, "tensors for model.embed_tokens .*share one matrix"),
        (renamed("model.layers.3.mlp.down_proj", "lora_b"), {}, r"for model.layers.3.mlp.down_proj, expected lora's"),
        (renamed(PATH, "lora_c"), {}, r"lora_c.*expected lora's \['lora_a', 'lora_b'\]"),
        (lambda tensors: tensors | {f"{PATH}.lora_a": torch.zeros(())}, {}, r"\(\), .*expected lora's"),
        (lambda tensors: {key: t.int() for key, t in tensors.items()}, {}, "expected floating-point numbers"),
    ],
)
def test_a_folder_of_mlx_that_is_no_dw_is_refused(
    lm: LanguageModel,
    tmp_path: Path,
    edit: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    settings: dict[str, object],
    message: str,
) -> None:
    folder = mlx_folder(tmp_path, edit(mlx_tensors(lm.model.get_submodule(PATH))), **settings)
    with pytest.raises(MismatchError, match=message):
        folder_delta(folder, lm)


# Whole models


def fine_tuned(lm: LanguageModel, folder: Path, *, change: float, dtype: torch.dtype = torch.float32) -> Path:
    """A copy of the model with one weight changed, and its last norm, as transformers saves it, in several files."""
    model = copy.deepcopy(lm.model)
    model.get_submodule(PATH).weight.data += change
    model.model.norm.weight.data += change
    model.to(dtype).save_pretrained(folder, max_shard_size="100KB")
    return folder


def test_dw_of_two_models_is_what_their_weights_differ_by(
    lm: LanguageModel,
    tmp_path: Path,
    told: Told,
) -> None:
    plus = fine_tuned(lm, tmp_path / "plus", change=0.5)
    minus = fine_tuned(lm, tmp_path / "minus", change=-0.25)
    assert len(list(plus.glob("model-*.safetensors"))) > 2
    check_folder(plus)
    delta = folders_delta(plus, minus, lm)
    assert list(delta.tensors) == [PATH]
    torch.testing.assert_close(delta.tensors[PATH].dense(), torch.full(delta.tensors[PATH].shape, 0.75))
    assert any("left out of dW, as no linear layer in a block: model.norm.weight, 0.8% of" in line for line in told)


def test_a_model_and_an_adapter_of_it_go_together(lm: LanguageModel, tmp_path: Path) -> None:
    plus, minus = fine_tuned(lm, tmp_path / "plus", change=0.5), lora_of(lm, tmp_path / "minus")
    delta = folders_delta(plus, minus, lm)
    assert delta.tensors.keys() == {PATH, *folder_delta(minus, lm).tensors}
    assert isinstance(delta.tensors[PATH], Dense)


def test_rounded_models_are_told(lm: LanguageModel, tmp_path: Path, told: Told) -> None:
    folder_delta(fine_tuned(lm, tmp_path, change=0.5, dtype=torch.bfloat16), lm)
    assert any("is stored in bfloat16: changes finer than its rounding are lost from dW" in line for line in told)


def write_config(folder: Path, **settings: object) -> None:
    (folder / "config.json").write_text(json.dumps(json.loads((folder / "config.json").read_text()) | settings))


def one_file(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder, which afterwards has none."""
    tensors = {name: value for file in folder.glob("model-*") for name, value in load_file(file).items()}
    for file in [*folder.glob("model-*"), folder / "model.safetensors.index.json"]:
        file.unlink()
    return tensors


def as_one_file(edit: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Callable[[Path], None]:
    """All tensors in one file, edited."""
    return lambda folder: save_file(edit(one_file(folder)), folder / "model.safetensors")


def instead(name: str, content: bytes) -> Callable[[Path], object]:
    """A file in the place of all tensors."""
    return lambda folder: one_file(folder) and (folder / name).write_bytes(content)


def listing(index: object) -> Callable[[Path], object]:
    """Another index of the files."""
    return lambda folder: (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (partial(write_config, model_type="gemma3_text"), "of type 'gemma3_text', tiny Qwen3 is a qwen3"),
        (partial(write_config, quantization_config={"quant_method": "x"}), "holds quantised weights"),
        (instead("pytorch_model.bin", b""), "found pytorch_model.bin, a pickle, which can run code"),
        (lambda folder: min(folder.glob("model-*")).unlink(), "has no model-00001-of"),
        (listing({"weight_map": {"a": "../a.safetensors"}}), r"lists \['../a.safetensors'\], expected names of files"),
        (listing({}), r"lists \[\], expected names"),
        (
            as_one_file(lambda tensors: {n: v for n, v in tensors.items() if n != f"{PATH}.weight"}),
            f"has no weight for {PATH} of tiny Qwen3",
        ),
        (
            as_one_file(lambda tensors: tensors | {f"{PATH}.weight": torch.zeros(3, 3)}),
            rf"{PATH}.weight has shape \(3, 3\) in .*, expected \(128, 64\)",
        ),
        (
            as_one_file(lambda tensors: {name: value.int() for name, value in tensors.items()}),
            "holds torch.int32 in .*expected floating-point",
        ),
        (instead("model.safetensors", b"nothing"), "is damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_model_that_is_no_dw_is_refused(
    lm: LanguageModel, tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    folder = fine_tuned(lm, tmp_path, change=0.5)
    spoil(folder)
    with pytest.raises(MismatchError, match=message):
        folder_delta(folder, lm)


def test_the_base_model_may_be_one_of_the_two(lm: LanguageModel, tmp_path: Path) -> None:
    base, plus = tmp_path / "base", lora_of(lm, tmp_path / "plus")
    lm.model.save_pretrained(base)
    assert folders_delta(plus, base, lm).tensors.keys() == folder_delta(plus, lm).tensors.keys()
    assert list(folders_delta(fine_tuned(lm, tmp_path / "model", change=0.5), base, lm).tensors) == [PATH]
    with pytest.raises(MismatchError, match=r"dW is zero: no linear layer of .*base differs from .*base"):
        folders_delta(base, base, lm)


def test_a_folder_is_known_by_all_of_its_files(lm: LanguageModel, tmp_path: Path) -> None:
    folder = fine_tuned(lm, tmp_path, change=0.5)
    before = folder_sha256(folder)
    last = max(folder.glob("model-*.safetensors"))
    save_file({name: value + 1 for name, value in load_file(last).items()}, last)
    assert folder_sha256(folder) != before


def test_an_empty_folder_is_refused(lm: LanguageModel, tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match=r"no adapter_config.json and no config.json; give a folder"):
        check_folder(tmp_path)


def test_weights_that_a_model_keeps_transposed_are_turned(tmp_path: Path) -> None:
    lm = base_model("transposed")
    model, path = copy.deepcopy(lm.model), "transformer.h.1.mlp.c_fc"
    step = torch.randn(model.get_submodule(path).weight.shape, generator=torch.Generator().manual_seed(0))
    model.get_submodule(path).weight.data += step
    model.save_pretrained(tmp_path)
    delta = folder_delta(tmp_path, lm)
    assert list(delta.tensors) == [path]
    torch.testing.assert_close(delta.tensors[path].dense(), step.T)
