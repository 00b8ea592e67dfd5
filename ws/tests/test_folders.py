"""dW of PEFT's adapters in folders moves the model as PEFT's own adapter does; what is no dW is refused by name."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ws.adapters import AdapterConfig
from ws.bench.survey import adapters
from ws.bench.survey.adapter_kinds import KINDS, Kind
from ws.bench.survey.adapters import Line, base_model, failures, saved, surveyed
from ws.delta.folders.bases import is_other
from ws.delta.folders.delta import check_folder, folder_delta, folders_delta
from ws.delta.folders.peft_files import CONFIG, WEIGHTS, save_peft
from ws.delta.folders.through_peft import delta_through_peft
from ws.delta.update import LowRank
from ws.delta.weight_delta import WeightDelta
from ws.errors import MismatchError, WsError
from ws.models.language import LanguageModel
from ws.models.table import KnownModel, ModelSource, weights_of
from ws.store.called import call
from ws.tests.small import fingerprint
from ws.tests.told import Told

pytestmark = pytest.mark.usefixtures("told")

OURS = (
    "LoRA, alpha_pattern and rsLoRA",
    "LoRA, DoRA and rsLoRA",
    "LoRA, DoRA, transposed",
    "BOFT, two factors",
    "OFT, r, exact",
)
PEFTS = (
    "LoRA, rank above a layer's width",
    "LoRA, OLoRA",
    "AdaLoRA",
    "VeRA",
    "HRA",
    "FourierFT, transposed",
)
REFUSED = {
    "LoRA, bias=all, biases": r"trained biases \(model.layers.0.self_attn.q_proj.base_layer.bias",
    "LoRA, PiSSA by randomised SVD": "randomised SVD.*path_initial_model_for_weight_conversion",
    "LoRA, CorDA": "weights less their largest directions",
    "LoRA, tied head": r"tensors for lm_head .*share one matrix: merging into one end moves the other",
    "LoRA, embedding": r"tensors for model.embed_tokens .*share one matrix",
    "LoRA, trainable_token_indices": "trains rows of the embedding.*--model FOLDER",
    "Lily": "chooses among its matrices by the input, so that PEFT cannot merge it",
    "BEFT": "trains biases alone",
    "Prompt tuning": "learns tokens in front of the prompt.*train a LoRA in its place",
    "IA3, biases": "IA3 scales the bias",
    "RoAd 1, biases": "changes the bias of model.layers.0.self_attn.q_proj",
    "a type of a later PEFT": "peft_type='LORA_OF_2030', which PEFT .* does not know",
    "a setting of a later PEFT": "a_setting_of_2030=7, which LORA of PEFT .* does not know",
}


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    return base_model("plain")


def made(lm: LanguageModel, folder: Path, kind: Kind) -> Path:
    """An adapter that PEFT saved."""
    saved(kind, lm, folder)
    return folder


def change(folder: Path, **settings: object) -> None:
    """Put settings into a folder's configuration."""
    (folder / CONFIG).write_text(json.dumps(json.loads((folder / CONFIG).read_text()) | settings))


def lora_of(lm: LanguageModel, folder: Path, *, blocks: range = range(0, 2), seed: int = 0) -> Path:
    """A LoRA of ours on the query projections of some blocks."""
    generator = torch.Generator().manual_seed(seed)
    layers = {}
    for path, linear in lm.linears(blocks.start, blocks.stop).items():
        if path.endswith("q_proj"):
            d_out, d_in = linear.weight.shape
            A, B = torch.randn(2, d_in, generator=generator), torch.randn(d_out, 2, generator=generator)
            layers[path] = {"A": A, "B": B}
    save_peft(folder, lm, layers, AdapterConfig("lora", rank=2, alpha=2.0))
    return folder


@pytest.mark.parametrize("name", OURS)
def test_an_adapter_of_our_families_moves_logits_as_in_peft(name: str) -> None:
    assert surveyed(name, KINDS[name]).outcome == "right, ours"


@pytest.mark.parametrize("name", PEFTS)
def test_an_adapter_of_another_kind_does_through_peft(name: str, told: Told) -> None:
    assert surveyed(name, KINDS[name]).outcome == "right, PEFT"
    assert any(line.endswith("dW through PEFT, which takes longer") for line in told)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_change_of_linear_layers_is_refused_by_name(name: str, tmp_path: Path) -> None:
    model = base_model(KINDS[name].base)
    with pytest.raises(WsError, match=REFUSED[name]):
        folder_delta(made(model, tmp_path, KINDS[name]), model)


def test_much_of_it_is_refused_before_there_is_a_model(lm: LanguageModel, tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match="learns tokens in front of the prompt"):
        check_folder(made(lm, tmp_path, KINDS["Prompt tuning"]))
    check_folder(made(lm, tmp_path, KINDS["VeRA"]))


def test_the_model_and_the_random_numbers_stay_as_they_are(lm: LanguageModel, tmp_path: Path) -> None:
    folder, before, random = made(lm, tmp_path, KINDS["LoRA, OLoRA"]), fingerprint(lm), torch.random.get_rng_state()
    folder_delta(folder, lm)
    assert fingerprint(lm) == before
    assert torch.equal(torch.random.get_rng_state(), random)


def test_a_lora_stays_in_factors(lm: LanguageModel, tmp_path: Path) -> None:
    delta = folder_delta(made(lm, tmp_path, KINDS["LoRA, alpha_pattern and rsLoRA"]), lm)
    assert {type(value) for value in delta.tensors.values()} == {LowRank}
    assert {value.left.shape[1] for value in delta.tensors.values()} == {3, 4}


def test_a_boft_made_with_fewer_factors_than_it_says_is_told(lm: LanguageModel, tmp_path: Path, told: Told) -> None:
    folder_delta(made(lm, tmp_path, KINDS["BOFT, two factors"]), lm)
    assert any("says 2 butterfly factors and holds 1" in line for line in told)


def test_tensors_of_layers_that_the_settings_do_not_name_are_told(
    lm: LanguageModel, tmp_path: Path, told: Told
) -> None:
    folder = made(lm, tmp_path, KINDS["LoRA, alpha_pattern and rsLoRA"])
    settings = json.loads((folder / CONFIG).read_text())
    whole = folder_delta(folder, lm)
    assert not any("do not name" in line for line in told)
    kept = settings["target_modules"][:1]
    (folder / CONFIG).write_text(json.dumps(settings | {"target_modules": kept}))
    assert folder_delta(folder, lm).tensors.keys() == whole.tensors.keys()
    extra = [path for path in whole.tensors if not path.endswith(kept[0])]
    assert any(f"has tensors of {len(extra)} layers that its settings do not name" in line for line in told)


def test_two_alphas_for_a_layer_are_told(lm: LanguageModel, tmp_path: Path, told: Told) -> None:
    folder = made(lm, tmp_path, KINDS["LoRA, alpha_pattern and rsLoRA"])
    settings = json.loads((folder / CONFIG).read_text())
    assert settings["alpha_pattern"] == {"q_proj": 2, "up_proj": 16}
    folder_delta(folder, lm)
    assert not any("alpha_pattern" in line for line in told)
    for pattern, is_told in (
        ({"layers.1.self_attn.q_proj": 8, "q_proj": 2}, True),
        ({"layers.1.self_attn.q_proj": 2, "q_proj": 2}, False),
        ({"layers.9.self_attn.q_proj": 8, "q_proj": 2}, False),
    ):
        told.clear()
        (folder / CONFIG).write_text(json.dumps(settings | {"alpha_pattern": pattern}))
        folder_delta(folder, lm)
        said = "layers.1.self_attn.q_proj and q_proj in alpha_pattern are both for model.layers.1.self_attn.q_proj;"
        assert any(said in line for line in told) == is_told


def test_what_peft_draws_anew_at_each_loading_is_refused(lm: LanguageModel, tmp_path: Path) -> None:
    folder = made(lm, tmp_path, KINDS["LoRA, PiSSA by randomised SVD"])
    settings = json.loads((folder / CONFIG).read_text())
    with pytest.raises(MismatchError, match=r"loads .* to something else each time: dW of model.layers.0"):
        delta_through_peft(folder, lm, settings)


def test_a_merge_that_is_not_the_adapter_is_refused(
    lm: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft.tuners.hira import Linear

    folder = made(lm, tmp_path, KINDS["HiRA"])
    folder_delta(folder, lm)
    right = Linear.get_delta_weight
    monkeypatch.setattr(Linear, "get_delta_weight", lambda self, *names: 1.01 * right(self, *names))
    with pytest.raises(MismatchError, match=r"merged weights are not this adapter: model.layers.0.* off, where"):
        folder_delta(folder, lm)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda tensors: tensors.pop(min(tensors)), "lacks or has too many tensors for its settings: .*down_proj"),
        (lambda tensors: tensors.update(more=torch.zeros(1)), "too many tensors for its settings: more"),
        (lambda tensors: tensors[min(tensors)].fill_(float("inf")), "that are no finite numbers"),
        (
            lambda tensors: tensors.update({min(tensors): torch.zeros(3)}),
            r"PEFT cannot load and merge .*\(RuntimeError",
        ),
        (lambda tensors: tensors.clear(), "too many tensors for its settings: .*down_proj.hira_A"),
    ],
    ids=["lacking", "more", "infinite", "shape", "none"],
)
def test_a_spoilt_file_that_peft_would_read_is_refused(
    lm: LanguageModel, tmp_path: Path, spoil: Callable[[dict[str, Tensor]], object], message: str
) -> None:
    folder = made(lm, tmp_path, KINDS["HiRA"])
    tensors = load_file(folder / WEIGHTS)
    spoil(tensors)
    save_file(tensors, folder / WEIGHTS)
    with pytest.raises(MismatchError, match=message):
        folder_delta(folder, lm)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"r": -1}, r"PEFT cannot load and merge .*, a HIRA adapter \(ValueError"),
        ({"r": "many"}, r"PEFT cannot load and merge .*, a HIRA adapter \(TypeError"),
        ({"rank_pattern": {"(": 2}}, r"PEFT cannot load and merge"),
        ({"hira_dropout": [[]]}, r"PEFT cannot load and merge"),
        ({"peft_type": ["HIRA"]}, r"peft_type=\['HIRA'\], which PEFT .* does not know"),
        ({"megatron_config": {"a": 1}, "megatron_core": "antigravity"}, "whose code the file names"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_settings_that_make_no_sense_are_refused(
    lm: LanguageModel, tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    folder = made(lm, tmp_path, KINDS["HiRA"])
    change(folder, **settings)
    with pytest.raises(MismatchError, match=message):
        folder_delta(folder, lm)


def test_paths_and_patterns_of_a_file_are_not_followed(lm: LanguageModel, tmp_path: Path) -> None:
    folder = made(lm, tmp_path, KINDS["HiRA"])
    expected = folder_delta(folder, lm)
    change(folder, target_modules="(a+)+$", exclude_modules="(", layers_pattern="(", base_model_name_or_path="/nowhere")
    assert folder_delta(folder, lm).tensors.keys() == expected.tensors.keys()


# Adapters that add nothing


@pytest.mark.parametrize(("name", "alpha"), [("LoRA", "lora_alpha"), ("LoHa", "alpha")])
def test_an_update_that_its_settings_multiply_with_zero_is_refused(
    lm: LanguageModel, tmp_path: Path, name: str, alpha: str
) -> None:
    folder, other = made(lm, tmp_path / "plus", KINDS[name]), lora_of(lm, tmp_path / "minus")
    change(folder, **{alpha: 0})
    message = f"plus/{CONFIG} has {alpha}=0, by which the whole update is multiplied, so plus adds nothing to any layer"
    with pytest.raises(MismatchError, match=message):
        folder_delta(folder, lm)
    with pytest.raises(MismatchError, match=message):
        folders_delta(other, folder, lm)


def test_a_dora_without_a_scale_still_has_its_lengths(lm: LanguageModel, tmp_path: Path) -> None:
    folder = made(lm, tmp_path, KINDS["LoRA, DoRA"])
    change(folder, lora_alpha=0)
    assert folder_delta(folder, lm).norm > 0


def test_untrained_adapters_are_told_and_two_of_them_are_no_dw(lm: LanguageModel, tmp_path: Path, told: Told) -> None:
    plus, minus, trained = (lora_of(lm, tmp_path / name, seed=seed) for seed, name in enumerate(("plus", "minus", "t")))
    for folder in (plus, minus):
        tensors = load_file(folder / WEIGHTS)
        save_file({key: 0 * t if "lora_B" in key else t for key, t in tensors.items()}, folder / WEIGHTS)
    folders_delta(trained, minus, lm)
    assert told == ["minus adds nothing to any layer: its update is zero, as it is before training"]
    with pytest.raises(MismatchError, match=r"dW is zero: neither .*plus nor .*minus adds anything to a layer"):
        folders_delta(plus, minus, lm)


# The survey


def test_the_survey_tells_a_wrong_dw_and_a_bare_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(folder: Path, lm: LanguageModel) -> WeightDelta:
        raise KeyError("bare")

    monkeypatch.setattr(adapters, "folder_delta", lambda folder, lm: 1.001 * folder_delta(folder, lm))
    wrong = surveyed("LoRA", KINDS["LoRA"])
    monkeypatch.setattr(adapters, "folder_delta", raising)
    bare = surveyed("LoRA", KINDS["LoRA"])
    assert (wrong.outcome, bare.outcome, bare.words) == ("WRONG", "EXCEPTION", "KeyError: 'bare'")
    assert failures([wrong, bare], enough=0) == ["LoRA: WRONG", "LoRA: EXCEPTION"]
    right = Line("LoRA", "right, ours")
    assert (failures([right], enough=1), len(failures([right], enough=2))) == ([], 1)


def test_the_survey_looks_at_every_type_of_peft() -> None:
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    seen = {kind.written.get("peft_type", kind.type) for kind in KINDS.values()}
    assert {kind.value for kind in PEFT_TYPE_TO_CONFIG_MAPPING} <= seen


# Two folders


def test_dw_of_two_folders_is_their_difference(lm: LanguageModel, tmp_path: Path) -> None:
    plus, minus = lora_of(lm, tmp_path / "plus"), made(lm, tmp_path / "minus", KINDS["LoRA, regex"])
    delta = folders_delta(plus, minus, lm)
    one, other = folder_delta(plus, lm), folder_delta(minus, lm)
    assert delta.tensors.keys() == one.tensors.keys() | other.tensors.keys()
    for path, value in delta.tensors.items():
        parts = [sign * side.tensors[path].dense() for sign, side in ((1, one), (-1, other)) if path in side.tensors]
        torch.testing.assert_close(value.dense(), sum(parts), rtol=0, atol=1e-6)


def test_layers_that_only_one_of_them_changes_are_told(lm: LanguageModel, tmp_path: Path, told: Told) -> None:
    minus = lora_of(lm, tmp_path / "minus", blocks=range(0, 1), seed=1)
    folders_delta(lora_of(lm, tmp_path / "plus"), minus, lm)
    assert any(line.startswith(f"{minus} leaves 1 layers as they were that the other changes: model.") for line in told)


def test_two_base_models_are_told(lm: LanguageModel, tmp_path: Path, told: Told) -> None:
    plus, minus = lora_of(lm, tmp_path / "plus"), lora_of(lm, tmp_path / "minus", seed=1)
    change(plus, base_model_name_or_path="owner/one")
    change(minus, base_model_name_or_path="owner/one/")
    folders_delta(plus, minus, lm)
    assert not told
    change(minus, base_model_name_or_path="owner/two")
    folders_delta(plus, minus, lm)
    assert told == [f"{plus} names owner/one as its base model, {minus} names owner/two: is dW one model's?"]


COMMIT = "0" * 40
THE_SAME = {
    "smollm2-135m": (
        "smollm2-135m",
        "./models/smollm2-135m/",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "unsloth/SmolLM2-135M-Instruct-bnb-4bit",
        "/data/SmolLM2-135M-Instruct-Q8_0.gguf",
    ),
    "qwen3-0.6b": (
        "Qwen/Qwen3-0.6B",
        r"C:\models\qwen3-0.6b",
        f"hf:Qwen/Qwen3-0.6B@{COMMIT}",
        f"/home/me/.cache/huggingface/hub/models--Qwen--Qwen3-0.6B/snapshots/{COMMIT}",
        "mlx-community/Qwen3-0.6B-4bit",
    ),
    "gemma-3-1b-it": ("unsloth/gemma-3-1b-it-unsloth-bnb-4bit",),
}
UNTOLD = ("", "/nowhere", "model", "./merged", "out/checkpoint-500", "owner/one", "model 0123abcd")
OTHERS = {
    "smollm2-135m": ("HuggingFaceTB/SmolLM2-135M", "qwen3-0.6b", "/data/Llama-3.2-1B", "microsoft/phi-2"),
    "qwen3-0.6b": ("Qwen/Qwen3-0.6B-Base", "Qwen/Qwen3-1.7B", f"hf:Qwen/Qwen3-1.7B@{COMMIT}"),
    "tiny-random-qwen3": ("Qwen/Qwen3-0.6B",),
}


@pytest.mark.parametrize(
    ("model", "named"),
    [(model, named) for model in ("smollm2-135m", "qwen3-0.6b", "gemma-3-1b-it") for named in UNTOLD]
    + [(model, named) for model, names in THE_SAME.items() for named in names],
)
def test_a_base_model_that_may_be_the_same_is_no_other(model: str, named: str) -> None:
    assert not is_other(named, weights_of(model))


@pytest.mark.parametrize(("model", "named"), [(model, named) for model, names in OTHERS.items() for named in names])
def test_a_base_model_of_another_name_is_another(model: str, named: str) -> None:
    assert is_other(named, weights_of(model))


@pytest.mark.parametrize(
    ("origin", "named", "other"),
    [
        ("hf:meta-llama/Llama-3.2-1B@main", "unsloth/Llama-3.2-1B", False),
        ("hf:meta-llama/Llama-3.2-1B@main", "meta-llama/Llama-3.2-3B", True),
        ("/data/Llama-3.2-1B-Q8_0.gguf", "meta-llama/Llama-3.2-1B", False),
        ("/data/Llama-3.2-1B", "Qwen/Qwen3-0.6B", True),
        ("/data/mine", "Qwen/Qwen3-0.6B", False),
        ("/data/mine", "model 01234567", False),
    ],
)
def test_a_model_of_one_s_own_is_known_by_where_it_came_from(
    monkeypatch: pytest.MonkeyPatch, origin: str, named: str, other: bool
) -> None:
    own = KnownModel("mine@01234567", ModelSource("files", "01234567"), seeds=3, home=Path("/"), origin=origin)
    monkeypatch.setattr("ws.store.called._CALLED", {})
    call(own.source.place, origin, "mine")
    assert is_other(named, own.weights) is other


def test_a_model_that_nothing_is_known_of_is_no_other() -> None:
    unheard_of = KnownModel("mine@89abcdef", ModelSource("files", "89abcdef"), seeds=3, home=Path("/"))
    assert not is_other("Qwen/Qwen3-0.6B", unheard_of.weights)


def test_an_adapter_for_another_base_model_is_told_once(lm: LanguageModel, tmp_path: Path, told: Told) -> None:
    folder = lora_of(lm, tmp_path / "plus")
    folder_delta(folder, lm)
    assert not told
    change(folder, base_model_name_or_path="meta-llama/Llama-3.2-1B")
    for _ in range(2):
        folder_delta(folder, lm)
    assert told == [
        "plus was trained for 'meta-llama/Llama-3.2-1B', says its adapter_config.json, and is added to "
        "tiny-random-qwen3; unless these are the same weights, its numbers mean nothing: use it with its own model "
        "(--model)"
    ]


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({"target_modules": ["q_proj"]}, "2 layers that it aims at, which stay as they were: model.layers.2"),
        ({"target_modules": ["q_proj"], "layers_to_transform": [0, 1]}, None),
        ({"target_modules": ["q_proj"], "layers_to_transform": [1, 2]}, "1 layers that it aims at"),
        ({"target_modules": "all-linear"}, "26 layers that it aims at"),
        ({"target_modules": ".*layers.[0-3].self_attn.q_proj"}, None),
        ({"target_modules": ["q_proj"], "exclude_modules": ".*2.*"}, None),
    ],
    ids=str,
)
def test_layers_without_tensors_are_told(
    lm: LanguageModel, tmp_path: Path, told: Told, settings: dict[str, object], missing: str | None
) -> None:
    folder = lora_of(lm, tmp_path)
    change(folder, **settings)
    folder_delta(folder, lm)
    found = [line for line in told if "aims at" in line]
    assert [missing in line for line in found] == ([] if missing is None else [True])
