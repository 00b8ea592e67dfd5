"""The survey tells right from wrong and a refusal from a crash, and survives an architecture that kills its process."""

import copy
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

from ws.bench.survey import folder, judge, shrink, steps, table
from ws.bench.survey.build import architectures
from ws.bench.survey.finding import Finding
from ws.bench.survey.folder import saved
from ws.bench.survey.judge import compared, judged, judged_in, language_model
from ws.bench.survey.process import isolated
from ws.bench.survey.steps import STEPS, stumbles
from ws.errors import MismatchError, ModelError, ShapeError
from ws.models.anatomy import matrix
from ws.models.language import LanguageModel
from ws.tests.survey_standins import dies, fine, hangs, raises


@cache
def llama() -> LanguageModel:
    return language_model("llama")


def packed(lm: LanguageModel) -> LanguageModel:
    return replace(lm, passes="packed")


def plain(lm: LanguageModel) -> LanguageModel:
    return replace(lm, passes="plain")


class Scaled(nn.Module):
    """A head whose logits the model multiplies once more in its own forward pass."""

    def __init__(self, model: nn.Module, factor: float) -> None:
        super().__init__()
        self.model, self.factor = model, factor

    def __getattr__(self, name: str) -> object:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.model, name)

    def forward(self, *args: object, **kwargs: object) -> object:
        output = self.model(*args, **kwargs)
        output.logits = output.logits * self.factor
        return output


@pytest.mark.parametrize("passes", [packed, plain])
def test_a_pass_that_agrees_is_right(passes: object) -> None:
    found = compared(llama(), passes)
    assert found.right
    assert found.outcome == passes.__name__
    assert found.off_nats < 1e-4 < found.moved_nats


def test_a_pass_that_leaves_out_a_scale_is_wrong() -> None:
    scaled = replace(llama(), model=Scaled(llama().model, 0.5))
    found = compared(scaled, packed)
    assert found.outcome == "wrong"
    assert found.off_nats > 0.1
    assert compared(scaled, plain).outcome == "plain"


def test_a_number_that_is_none_is_wrong() -> None:
    assert compared(replace(llama(), model=Scaled(llama().model, float("nan"))), plain).outcome == "wrong"


def test_a_dw_that_moves_nothing_proves_nothing() -> None:
    assert compared(replace(llama(), model=Scaled(llama().model, 0.0)), plain).outcome == "wrong"


@pytest.mark.parametrize(
    ("raised", "outcome"),
    [(ModelError("an encoder"), "refused"), (AttributeError("no norm"), "exception"), (KeyError("x"), "exception")],
)
def test_a_refusal_is_told_from_an_accident(raised: Exception, outcome: str) -> None:
    def refuse(lm: LanguageModel) -> LanguageModel:
        raise raised

    found = compared(llama(), refuse)
    assert (found.outcome, found.note) == (outcome, f"{type(raised).__name__}: {raised}")


@pytest.mark.parametrize(
    ("architecture", "outcome", "note"),
    [
        ("qwen2", "packed", ""),
        ("bert", "refused", "causal"),
        ("musicgen", "not built", "AttributeError"),
        ("emu3", "not stored", "ModelError: store/models/emu3@"),
    ],
)
def test_an_architecture_is_judged(architecture: str, outcome: str, note: str) -> None:
    found = judged(architecture)
    assert found.outcome == outcome
    assert note in found.note


def twisted(lm: LanguageModel) -> LanguageModel:
    """A copy of the model with another weight."""
    model = copy.deepcopy(lm.model)
    with torch.no_grad():
        matrix(next(iter(replace(lm, model=model).linears(0, 1).values()))).mul_(1.1)
    return replace(lm, model=model)


def test_what_is_loaded_is_compared_with_what_was_saved() -> None:
    assert compared(llama(), plain, llama()).right
    assert compared(twisted(llama()), plain, llama()).outcome == "wrong"


def test_other_weights_in_the_folder_are_the_fault_of_what_saved_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "saved", lambda built, folder: saved(twisted(built), folder))
    found = judged_in(tmp_path, llama(), plain)
    assert (found.outcome, found.note) == ("not stored", "transformers reads back another model than it saved")
    assert found.off_nats > 0.01


def test_other_weights_from_the_same_folder_are_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "read", lambda folder, store: twisted(llama()))
    assert judged_in(tmp_path, llama(), plain).outcome == "wrong"


@pytest.mark.parametrize(
    ("error", "outcome"), [(ModelError("no"), "refused"), (ValueError("an attention that it lacks"), "exception")]
)
def test_a_folder_that_only_we_cannot_load_is_no_fault_of_transformers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, outcome: str
) -> None:
    def refuse(*_: object, **__: object) -> LanguageModel:
        raise error

    monkeypatch.setattr(folder, "load", refuse)
    found = judged_in(tmp_path, llama())
    assert (found.outcome, found.note) == (outcome, f"{type(error).__name__}: {error}")


def test_a_model_that_cannot_be_saved_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Path:
        raise RuntimeError("weights share memory")

    monkeypatch.setattr(judge, "saved", refuse)
    assert judged_in(tmp_path, llama()) == Finding("llama", "not stored", note="RuntimeError: weights share memory")


def raising(error: Exception) -> object:
    def step(lm: LanguageModel) -> float:
        raise error

    return step


@pytest.mark.parametrize(
    ("step", "outcome", "note"),
    [
        (lambda lm: 1e-6, "plain", ""),
        (raising(ShapeError("rank 2")), "plain", "it: ShapeError: rank 2"),
        (raising(AttributeError("no heads")), "exception", "it: AttributeError: no heads"),
        (lambda lm: 0.5, "wrong", "it: off by 0.5 nats"),
        (lambda lm: float("nan"), "wrong", "it: off by nan nats"),
    ],
)
def test_a_step_that_fails_is_told(monkeypatch: pytest.MonkeyPatch, step: object, outcome: str, note: str) -> None:
    monkeypatch.setattr(steps, "STEPS", {"it": step})
    found = compared(llama(), plain)
    assert (found.outcome, found.note) == (outcome, note)
    assert ("1 of the right ones refuse" in table.counts([found])) == (outcome == "plain" and note != "")


@pytest.mark.parametrize("passes", [packed, plain])
def test_every_step_is_right_on_a_plain_model(passes: object) -> None:
    assert stumbles(passes(llama())) == {}
    assert set(STEPS) == {"rows", "ends", "adapters", "readout"}


def test_a_state_that_is_not_what_the_logits_are_read_from_is_seen() -> None:
    """In packed passes the head's own code is left out, so a scaled model's readout is not what it says."""
    scaled = replace(packed(llama()), model=Scaled(llama().model, 0.5))
    assert set(stumbles(scaled)) == {"rows", "readout"}


def test_a_layer_with_one_output_takes_no_adapter_and_hinders_none() -> None:
    assert stumbles(plain(language_model("qwen2_moe"))) == {}


def test_a_step_that_is_refused_by_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(lm: LanguageModel) -> float:
        raise MismatchError("no readout of it")

    monkeypatch.setattr(steps, "STEPS", {"readout": refusing, "rows": lambda lm: 0.0})
    assert stumbles(llama()) == {"readout": ("refused", "MismatchError: no readout of it")}


def test_a_configuration_is_shrunk_and_keeps_its_kinds() -> None:
    settings = {
        "hidden_size": 4096,
        "num_hidden_layers": 40,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "sliding_window": 4096,
        "image_token_id": 151_655,
        "layer_types": (["linear_attention"] * 3 + ["full_attention"]) * 10,
        "vision_config": {"model_type": "vit", "depth": 27, "patch_size": 14},
    }
    assert shrink.small(settings) == {
        "hidden_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "sliding_window": shrink.WINDOW,
        "image_token_id": 151_655 % shrink.VOCABULARY,
        "layer_types": ["linear_attention", "full_attention"] * 2,
        "vision_config": {"model_type": "vit", "depth": 4, "patch_size": 14},
    }


def test_an_architecture_that_ends_its_process_or_hangs_is_a_finding() -> None:
    assert isolated("a", fine) == fine("a")
    assert "LookupError('no such thing')" in isolated("d", raises).note
    assert "died with status 3" in isolated("b", dies).note
    late = isolated("c", hangs, patience_s=0.5)
    assert late == Finding("c", "exception", note="no answer after 0.5 s")


FOUND = (
    Finding("gpt2", "plain", 1e-6, 2.0),
    Finding("llama", "packed", 1e-6, 2.0),
    Finding("bert", "refused", note="ModelError: " + "it is an encoder and not a decoder, " * 9),
)


def test_a_survey_fails_for_one_that_is_wrong_or_an_accident_and_for_too_few() -> None:
    assert table.failures(FOUND, enough=2) == []
    assert table.failures(FOUND, enough=3) == ["2 architectures are right, expected 3 or more"]
    bad = (Finding("a", "wrong", 1.0, 2.0), Finding("b", "exception"))
    assert table.failures((*FOUND, *bad), enough=2) == ["a is wrong", "b is exception"]


def test_a_known_fault_is_no_failure_until_it_is_another_or_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "KNOWN", {"a": "exception"})
    assert table.failures([Finding("a", "exception")], enough=0) == []
    assert table.failures([Finding("a", "wrong")], enough=0) == ["a is wrong"]
    assert table.failures([Finding("a", "plain")], enough=0) == ["a is mended: see KNOWN"]


def test_every_name_of_the_library_is_looked_at() -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    assert set(architectures()) == set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    assert len(architectures()) > table.ENOUGH
