"""Blocks and linear maps are found in every kind of decoder, and steering them equals a copy with dW merged."""

import copy
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from ws.adapters import AdapterConfig, family
from ws.bench.survey.build import tiny_model
from ws.delta.steering import steered
from ws.delta.update import Dense, LowRank
from ws.delta.weight_delta import WeightDelta
from ws.engine.selfcheck import examined
from ws.errors import ModelError
from ws.models import anatomy, tiny
from ws.models.anatomy import matrix
from ws.models.language import LanguageModel
from ws.models.table import weights_of
from ws.tests.small import fingerprint
from ws.training.inject import injected

DECODERS = (
    "gpt2",
    "gpt_neox",
    "opt",
    "bloom",
    "falcon",
    "mixtral",
    "deepseek_v3",
    "mamba",
    "llama4_text",
    "zamba",
    "longcat_flash",
)
"""Conv1D; other names of everything; learned positions; ALiBi; a subclass of nn.Linear; experts in one tensor; latent
attention; a state space; a router that is a subclass of nn.Linear; blocks that share weights; a router whose weight is
multiplied."""
MULTIPLYING = ("gpt2", "mamba")
"""Kept transposed; multiplied by the model itself."""
IDS = torch.randint(10, 200, (1, 9), generator=torch.Generator().manual_seed(3))


@cache
def decoder(architecture: str) -> LanguageModel:
    tokenizer = tiny.tiny_tokenizer(["a stone floats on water"])
    return LanguageModel(architecture, tiny_model(architecture), tokenizer, weights_of("tiny-random-qwen3"))


@pytest.fixture(params=DECODERS)
def lm(request: pytest.FixtureRequest) -> LanguageModel:
    return decoder(request.param)


def logits(lm: LanguageModel) -> Tensor:
    with torch.no_grad():
        return lm.model(IDS).logits


def update(lm: LanguageModel) -> WeightDelta:
    """Thin factors on every linear map of the last two blocks."""
    generator = torch.Generator().manual_seed(0)

    def draw(d_out: int, d_in: int) -> LowRank:
        left, right = torch.randn(d_out, 2, generator=generator), torch.randn(2, d_in, generator=generator)
        return 0.05 * LowRank(left, right)

    linears = lm.linears(lm.n_layers - 2, lm.n_layers)
    return WeightDelta({path: draw(*matrix(linear).shape) for path, linear in linears.items()})


def test_every_linear_map_is_in_one_block(lm: LanguageModel) -> None:
    of_block = [set(lm.linears(block, block + 1)) for block in range(lm.n_layers)]
    assert set.union(*of_block) == set(lm.linears(0, lm.n_layers))
    assert sum(map(len, of_block)) == len(lm.linears(0, lm.n_layers))
    assert [{anatomy.block_of(path) for path in paths} for paths in of_block] == [{i} for i in range(lm.n_layers)]
    assert anatomy.block_of("lm_head") is None


def test_a_linear_map_is_its_matrix_and_bias(lm: LanguageModel) -> None:
    for linear in lm.linears(0, lm.n_layers).values():
        W, bias = matrix(linear), linear.bias
        x = torch.randn(2, 3, W.shape[1], generator=torch.Generator().manual_seed(1))
        expected = x @ W.T if bias is None else x @ W.T + bias
        torch.testing.assert_close(linear(x), expected, atol=1e-4, rtol=1e-4)


def test_every_weight_of_a_block_is_reached_or_named(lm: LanguageModel) -> None:
    reached = {id(linear.weight) for linear in lm.linears(0, lm.n_layers).values()}
    named = anatomy.left_out(lm.model, 0, lm.n_layers)
    inside = {id(parameter) for parameter in lm.layers.parameters() if parameter.ndim >= 2}
    assert reached | {id(lm.model.get_parameter(path)) for path in named} == inside
    assert reached.isdisjoint(id(lm.model.get_parameter(path)) for path in named)


@pytest.mark.parametrize(
    ("architecture", "ending"),
    [
        ("gpt2", None),
        ("mixtral", "experts.gate_up_proj"),
        ("mamba", "conv1d.weight"),
        ("llama4_text", "router.weight"),
    ],
)
def test_what_is_no_linear_map_is_left_out(architecture: str, ending: str | None) -> None:
    named = anatomy.left_out(decoder(architecture).model, 2, 4)
    assert any(path.endswith(ending) for path in named) if ending else not named
    assert {anatomy.block_of(path) for path in named} <= {2, 3}


def test_what_is_left_out_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("ws.training.inject.say", said.append)
    for architecture in ("mixtral", "mixtral", "gpt2"):
        with injected(decoder(architecture), AdapterConfig("lora", rank=4), layers=range(2, 4), seed=0):
            pass
    [line] = said
    assert line.startswith("mixtral: ")
    assert "of the weights of blocks 2 to 3 are no linear layers" in line
    assert "experts." in line


def test_a_shared_weight_is_in_its_first_block_alone() -> None:
    lm = decoder("zamba")
    shared = [path for path in lm.linears(0, 4) if "shared_transf" in path]
    assert shared
    assert {anatomy.block_of(path) for path in shared} == {1}
    assert any("3.shared_transf" in path for path, _ in lm.model.named_parameters(remove_duplicate=False))


def test_dw_beside_the_weights_and_in_them_is_dw_added_by_hand(lm: LanguageModel) -> None:
    delta, before, answers = update(lm), fingerprint(lm), logits(lm)
    by_hand = copy.deepcopy(lm.model)
    for path, value in delta.tensors.items():
        module = by_hand.get_submodule(path)
        step = value.dense() if isinstance(module, nn.Linear) else value.dense().T
        module.weight.data += step
    with torch.no_grad():
        expected = by_hand(IDS).logits
    assert (expected - answers).abs().max() > 0.05
    for tokens in (None, 1):
        with steered(lm, delta, coeff=1.0, tokens=tokens):
            torch.testing.assert_close(logits(lm), expected, atol=2e-4, rtol=2e-4)
    assert fingerprint(lm) == before


@pytest.mark.parametrize(
    ("architecture", "names"),
    [("mamba", {"dt_proj"}), ("longcat_flash", {"classifier"}), ("gpt2", set()), ("mixtral", set())],
)
def test_weights_that_the_model_multiplies_by_itself(architecture: str, names: set[str]) -> None:
    model = decoder(architecture).model
    assert {path.rpartition(".")[-1] for path in anatomy.multiplied(model)} == names
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_a_weight_that_the_model_multiplies_by_itself_needs_fp32() -> None:
    half = replace(decoder("mamba"), model=copy.deepcopy(decoder("mamba").model).bfloat16())
    with pytest.raises(ModelError, match="without calling that layer"), steered(half, update(half), coeff=1.0):
        pass


@pytest.mark.parametrize("architecture", MULTIPLYING)
@pytest.mark.parametrize("name", ["lora", "dora", "delora", "oft"])
def test_an_adapter_trains_and_its_dw_is_what_it_computes(architecture: str, name: str) -> None:
    lm, shape = decoder(architecture), AdapterConfig(name, rank=4, alpha=8.0, bound=1.0, block=4)
    before, answers = fingerprint(lm), logits(lm)
    with injected(lm, shape, layers=range(2, 4), seed=0) as parameters:
        torch.testing.assert_close(lm.model(IDS).logits, answers, atol=1e-4, rtol=1e-4)
        trainable = [parameter for parameter in lm.model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.SGD(trainable, lr=0.05)
        for _ in range(2):  # LoRA's A moves from the second step on.
            optimizer.zero_grad()
            nn.functional.cross_entropy(lm.model(IDS).logits[0, :-1], IDS[0, 1:]).backward()
            optimizer.step()
        assert all(parameter.grad.any() for parameter in trainable)
        params, trained = parameters(), lm.model(IDS).logits.detach()
    assert fingerprint(lm) == before
    assert (trained - answers).abs().max() > 0.01
    updates = {
        path: Dense(family(name).delta(matrix(linear).contiguous(), params[path], config=shape))
        for path, linear in lm.linears(2, 4).items()
    }
    with steered(lm, WeightDelta(updates), coeff=1.0):
        torch.testing.assert_close(logits(lm), trained, atol=2e-4, rtol=2e-4)


def test_the_text_model_within_a_larger_one_is_steered() -> None:
    lm = decoder("gemma3")
    assert all(path.startswith("model.language_model.layers.") for path in lm.linears(0, lm.n_layers))
    assert lm.d_model == lm.model.config.text_config.hidden_size


def test_a_stream_wider_than_its_embeddings() -> None:
    from transformers import OPTConfig, OPTForCausalLM

    config = OPTConfig(
        hidden_size=32, word_embed_proj_dim=16, ffn_dim=48, num_hidden_layers=1, num_attention_heads=2, vocab_size=99
    )
    assert anatomy.width(OPTForCausalLM(config)) == 32


def test_the_largest_list_of_modules_holds_the_blocks() -> None:
    model = decoder("gemma3n_text").model
    assert len(model.model.altup_projections) > 0
    assert anatomy.blocks(model) is model.model.layers


def test_half_of_an_encoder_decoder_is_refused() -> None:
    with pytest.raises(ModelError, match=r"BartForCausalLM is half of an encoder-decoder \(bart\)"):
        examined(decoder("bart"))
    anatomy.check_alone(decoder("gpt2").model)


def test_a_model_without_blocks_is_refused() -> None:
    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.only = nn.Linear(2, 2)

        def get_decoder(self) -> nn.Module:
            return self

        base_model = property(get_decoder)

    with pytest.raises(ModelError, match="Flat has no list of blocks"):
        anatomy.blocks(Flat())
