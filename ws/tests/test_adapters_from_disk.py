"""A folder in PEFT's format is not trusted: whatever this package would not compute exactly is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ws.delta.folders.peft_files import CONFIG, PICKLE, PREFIX, WEIGHTS, load_peft, save_peft
from ws.errors import MismatchError, ShapeError
from ws.models.language import LanguageModel
from ws.tests.test_peft_files import SHAPES, moved

Spoil = Callable[[Path], None]


@pytest.fixture
def folder(lm: LanguageModel, tmp_path: Path) -> Path:
    """A LoRA that this package wrote."""
    save_peft(tmp_path, lm, moved(lm, "lora"), SHAPES["lora"])
    return tmp_path


def change(folder: Path, **settings: object) -> None:
    """Put settings into the configuration of a folder."""
    written = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(written | settings))


def rewrite(folder: Path, edit: Callable[[dict[str, Tensor]], object]) -> None:
    """Edit the tensors of a folder."""
    tensors = load_file(folder / WEIGHTS)
    edit(tensors)
    save_file(tensors, folder / WEIGHTS)


def test_patterns_and_paths_in_the_configuration_are_not_read(lm: LanguageModel, folder: Path) -> None:
    expected, _ = load_peft(folder, lm)
    for hostile in ["(a+)+$", "(", ["../../etc/passwd"], None]:
        change(folder, target_modules=hostile, layers_pattern=hostile, base_model_name_or_path="/nowhere")
        seen, _ = load_peft(folder, lm)
        assert seen.keys() == expected.keys()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank_pattern": {"q_proj": 8}}, r"q_proj.lora_A.weight of shape \(4, 64\), expected \(8, 64\)"),
        ({"rank_pattern": {"(": 8}}, "rank_pattern has a pattern that is none"),
        ({"rank_pattern": [8]}, r"rank_pattern is \[8\], expected names with numbers"),
        ({"alpha_pattern": {"q_proj": "8"}}, "setting lora_alpha is '8', expected a finite number"),
        ({"alpha_pattern": {"q_proj": 2}}, "has layers of 2 configurations"),
        ({"lora_bias": True}, "with lora_bias=True, which adds to biases"),
        ({"modules_to_save": ["lm_head"]}, r"with modules_to_save=\['lm_head'\], which trains whole modules"),
        ({"layer_replication": [[0, 2]]}, r"with layer_replication=\[\[0, 2\]\], which runs blocks several times"),
        ({"init_lora_weights": "olora"}, "init_lora_weights='olora' where a lora adapter has True"),
        ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights='pissa_niter_4': it belongs to weights less"),
        ({"a_setting_of_2030": 7}, "a_setting_of_2030=7 where a lora adapter has None"),
        ({"peft_type": "VERA"}, "peft_type='VERA', which this package has no formula for; use ws.delta.folders"),
        ({"peft_type": ["LORA"]}, r"peft_type=\['LORA'\], which this package has no formula for"),
        ({"use_dora": True, "init_lora_weights": "pissa"}, "peft_type='LORA' with use_dora and PiSSA"),
        ({"r": "4"}, "setting r is '4', expected a whole number"),
        ({"r": True}, "setting r is True, expected a whole number"),
        ({"lora_alpha": float("nan")}, "setting lora_alpha is nan, expected a finite number"),
        ({"lora_alpha": None}, "setting lora_alpha is None, expected a finite number"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_a_setting_that_changes_the_formula_is_refused(
    lm: LanguageModel, folder: Path, settings: dict[str, object], message: str
) -> None:
    change(folder, **settings)
    with pytest.raises(MismatchError, match=message):
        load_peft(folder, lm)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("lora", {"init_lora_weights": "gaussian"}),
        ("lora", {"init_lora_weights": False}),
        ("lora", {"init_lora_weights": "eva", "eva_config": {"rho": 2.0}}),
        ("lora", {"lora_dropout": 0.1}),
        ("lora", {"bias": "all"}),
        ("lora", {"fan_in_fan_out": True}),
        ("lora", {"corda_config": {"corda_method": "ipm"}}),
        ("delora", {"init_weights": False}),
        ("ia3", {"init_ia3_weights": False}),
        ("oft", {"init_weights": False}),
        ("oft", {"r": 16, "oft_block_size": 0}),
        ("oft", {"module_dropout": 0.1}),
        ("boft", {"boft_block_num": 16, "boft_block_size": 0}),
        ("boft", {"boft_n_butterfly_factor": 2}),
        ("boft", {"boft_dropout": 0.1}),
        ("delora", {"module_dropout": 0.1, "lambda_pattern": {"q_proj": 2.0}}),
        ("lora", {"a_setting_of_2030": None}),
        ("lora", {"task_type": "CAUSAL_LM", "peft_version": "0.30.0"}),
    ],
    ids=str,
)
def test_a_setting_that_does_not_is_read_over(
    lm: LanguageModel, tmp_path: Path, name: str, settings: dict[str, object]
) -> None:
    save_peft(tmp_path, lm, moved(lm, name), SHAPES[name])
    change(tmp_path, **settings)
    assert load_peft(tmp_path, lm)[1] == SHAPES[name]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("oft", {"use_cayley_neumann": True}),
        ("oft", {"coft": True}),
        ("oft", {"block_share": True}),
        ("ia3", {"fan_in_fan_out": True}),
    ],
    ids=str,
)
def test_settings_of_the_other_families_are_refused_too(
    lm: LanguageModel, tmp_path: Path, name: str, settings: dict[str, object]
) -> None:
    save_peft(tmp_path, lm, moved(lm, name), SHAPES[name])
    change(tmp_path, **settings)
    with pytest.raises(MismatchError, match=f"{next(iter(settings))}=True where a {name} adapter has False"):
        load_peft(tmp_path, lm)


def test_a_setting_that_an_older_peft_did_not_write_counts_as_its_default(lm: LanguageModel, tmp_path: Path) -> None:
    save_peft(tmp_path, lm, moved(lm, "oft"), SHAPES["oft"])
    written = json.loads((tmp_path / CONFIG).read_text())
    del written["use_cayley_neumann"], written["coft"]
    (tmp_path / CONFIG).write_text(json.dumps(written))
    with pytest.raises(MismatchError, match="use_cayley_neumann=True where a oft adapter has False"):
        load_peft(tmp_path, lm)


def odd_and_marked(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    cut = {name: value[:3] if "lora_A" in name else value[:, :3].contiguous() for name, value in tensors.items()}
    save_file(cut, folder / WEIGHTS, metadata={"family": "pissa"})
    change(folder, r=3)


def written(content: str | bytes) -> Spoil:
    """Put this in the place of the configuration."""
    return lambda folder: (folder / CONFIG).write_bytes(content if isinstance(content, bytes) else content.encode())


def edited(edit: Callable[[dict[str, Tensor], str], object]) -> Spoil:
    """Edit the tensors, given the name of the first."""
    return lambda folder: rewrite(folder, lambda tensors: edit(tensors, min(tensors)))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda folder: (folder / WEIGHTS).rename(folder / PICKLE),
            r"found: adapter_model\.bin, a pickle, which can run code.*save the adapter anew",
        ),
        (lambda folder: (folder / WEIGHTS).unlink(), "has no adapter_model.safetensors"),
        (lambda folder: (folder / CONFIG).unlink(), "has no adapter_config.json; give the folder"),
        (written("r: 4"), "is no JSON"),
        (written('{"r": ' + "[" * 100_000), "is no JSON"),
        (written('{"r": "é"}'.encode("latin-1")), "is no JSON"),
        (written("[4]"), "holds a list, expected an object"),
        (lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-10]), "is damaged"),
        (
            edited(lambda tensors, _: tensors.update({f"{PREFIX}model.layers.99.mlp.up_proj.x": torch.zeros(1)})),
            r"layers.99.mlp.up_proj.x'\] that .* lacks and 14 that it has.*use the adapter with",
        ),
        (edited(lambda tensors, _: tensors.clear()), "0 that it has"),
        (edited(lambda tensors, one: tensors.pop(one)), r"lora_A.weight of shape None, expected \(4, \d+\)"),
        (
            edited(lambda tensors, one: tensors.update({one.replace("lora_A", "lora_C"): torch.zeros(1)})),
            r"lora_C.weight of shape \(1,\), expected None",
        ),
        (
            edited(lambda tensors, one: tensors.update({one: tensors[one].T.contiguous()})),
            r"of shape \(\d+, 4\), expected \(4, \d+\)",
        ),
        (edited(lambda tensors, one: tensors[one].fill_(torch.nan)), "lora_A.weight that are no finite numbers"),
        (
            edited(lambda tensors, one: tensors.update({one: tensors[one].int()})),
            "holds torch.int32 in .*lora_A.weight, expected floating-point numbers",
        ),
        (odd_and_marked, "holds a lora of rank 3, expected a lora of an even rank"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_spoilt_folder_is_refused(lm: LanguageModel, folder: Path, spoil: Spoil, message: str) -> None:
    spoil(folder)
    with pytest.raises(MismatchError, match=message):
        load_peft(folder, lm)


@pytest.mark.parametrize(("name", "setting"), [("lora", "r"), ("delora", "r")])
def test_a_size_that_does_not_fit_is_refused_before_memory_is_taken(
    lm: LanguageModel, tmp_path: Path, name: str, setting: str
) -> None:
    save_peft(tmp_path, lm, moved(lm, name), SHAPES[name])
    change(tmp_path, **{setting: 10**12})
    with pytest.raises(ShapeError, match="choose a"):
        load_peft(tmp_path, lm)
