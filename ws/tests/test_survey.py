"""The survey tells right from wrong, a refusal from an accident, and lives through an architecture that dies."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from ws.bench.survey import shrink, table
from ws.bench.survey.build import GAIN, architectures, make_loud
from ws.bench.survey.finding import Finding
from ws.bench.survey.judge import compared, judged, language_model
from ws.bench.survey.process import isolated
from ws.errors import ModelError
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
    [("qwen2", "packed", ""), ("bert", "refused", "causal"), ("musicgen", "not built", "AttributeError")],
)
def test_an_architecture_is_judged(architecture: str, outcome: str, note: str) -> None:
    found = judged(architecture)
    assert found.outcome == outcome
    assert note in found.note


def test_random_weights_are_large_enough_to_show_a_change_of_order() -> None:
    with torch.no_grad():
        one, other = (llama().model(torch.tensor([ids])).logits[0, -1] for ids in ([5, 6, 7, 8, 9], [6, 5, 7, 8, 9]))
    assert (one - other).abs().max() > 0.1


def test_loud_weights_keep_the_size_of_what_they_are_applied_to() -> None:
    layer = nn.Linear(400, 300)
    before = layer.bias.clone()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        make_loud(layer)
        x = torch.randn(50, 400)
    y: Tensor = layer(x) - layer.bias
    assert y.std().item() == pytest.approx(GAIN, rel=0.1)
    assert not torch.equal(layer.bias, before)


def test_a_configuration_is_shrunk_and_keeps_its_kinds() -> None:
    settings = {
        "hidden_size": 4096,
        "num_hidden_layers": 40,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "head_dim": None,
        "sliding_window": 4096,
        "logits_scaling": 1.0,
        "rms_norm_eps": 1e-6,
        "image_token_id": 151_655,
        "use_cache": True,
        "layer_types": (["linear_attention"] * 3 + ["full_attention"]) * 10,
        "per_layer_config": {"01": {"head_dim": 512}, "39": {"head_dim": 512}},
        "vision_config": {"model_type": "vit", "depth": 27, "patch_size": 14},
    }
    assert shrink.small(settings) == {
        "hidden_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "head_dim": 16,
        "sliding_window": shrink.WINDOW,
        "logits_scaling": shrink.UNEVEN,
        "rms_norm_eps": 1e-6,
        "image_token_id": 151_655 % shrink.VOCABULARY,
        "use_cache": True,
        "layer_types": ["linear_attention", "full_attention"] * 2,
        "per_layer_config": {"01": {"head_dim": 16}},
        "vision_config": {"model_type": "vit", "depth": 4, "patch_size": 14},
    }


def test_heads_that_shared_keys_still_do() -> None:
    small = shrink.small({"num_hidden_layers": 2, "num_attention_heads": 32, "num_key_value_heads": 8})
    assert (small["num_attention_heads"], small["num_key_value_heads"]) == (4, 2)


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


def test_the_table_fits_80_columns_and_counts() -> None:
    text = table.text(FOUND)
    assert max(map(len, text.splitlines())) <= 80
    assert [line.split()[0] for line in text.splitlines()[1:4]] == ["llama", "gpt2", "bert"]
    assert "    1 refused by name\n    0 an error that is not ours" in text
    assert text.count("encoder") < 9


def test_a_page_has_a_row_for_each() -> None:
    assert [line.split(" | ")[0] for line in table.markdown(FOUND, "transformers 5").splitlines()[-3:]] == [
        "| bert",
        "| gpt2",
        "| llama",
    ]


def test_a_survey_fails_for_one_that_is_wrong_or_an_accident_and_for_too_few() -> None:
    assert table.failures(FOUND, enough=2) == []
    assert table.failures(FOUND, enough=3) == ["2 architectures are right, expected 3 or more"]
    bad = (Finding("a", "wrong", 1.0, 2.0), Finding("b", "exception"))
    assert table.failures((*FOUND, *bad), enough=2) == ["a is wrong", "b is exception"]


def test_every_name_of_the_library_is_looked_at() -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    assert set(architectures()) == set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    assert len(architectures()) > table.ENOUGH
