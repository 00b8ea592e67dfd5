"""Two parts of a model compute what the whole does, a packed prompt equals the prompt alone, nothing stays changed."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ws.engine.attention import packed_attention
from ws.engine.caches import cache_name
from ws.engine.depth import lower, prefilled, upper, window
from ws.engine.packing import Packed, blocks_of, pack
from ws.errors import DataError, MismatchError
from ws.models.language import LanguageModel
from ws.tests.architectures import ARCHITECTURES, random_model, tiny_decoder

# The kinds are chosen so that after a cut at layer 1 or 2, an uncut list of kinds would pick the wrong rotation.
KINDS = ["sliding_attention", "full_attention", "full_attention", "sliding_attention"]
WINDOW = 32
CUTS = range(len(KINDS))
PROMPTS = (
    (5, 6, 7, 8),
    (5, 6, 7, 9, 10, 11, 12, 13, 14, 15),
    (5, 6, 7, 8, 20, 21),
    (40, 41),
    (5, 6, 7, 8),
    (60,),
)
"""Forks, a prompt inside another, twins and strangers."""

Run = Callable[[LanguageModel, Packed], object]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def lm(request: pytest.FixtureRequest) -> LanguageModel:
    return random_model(request.param, kinds=KINDS, window=WINDOW)


@pytest.fixture(scope="module")
def packed() -> Packed:
    [sequence] = pack(PROMPTS)
    return sequence


def whole(lm: LanguageModel, packed: Packed) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The final hidden states of the uncut model under its own attention, and the stream that enters each layer."""
    before = blocks_of(packed.parents.numpy(), packed.positions.numpy(), size=len(packed.ids))
    assert before.before.numel() == 0
    with torch.no_grad():
        out = lm.model.get_decoder()(
            input_ids=packed.ids[None],
            attention_mask=before.mask(dtype=lm.dtype, device="cpu"),
            position_ids=packed.positions[None],
            use_cache=False,
            output_hidden_states=True,
        )
    return out.last_hidden_state[0], tuple(states[0] for states in out.hidden_states)


def alone(lm: LanguageModel, prompt: tuple[int, ...]) -> Tensor:
    """Logits after a prompt that is the only one, under the model's own mask and positions."""
    with torch.no_grad():
        return lm.model(torch.tensor([prompt]), use_cache=False).logits[0, -1]


def parts(lm: LanguageModel) -> tuple[object, ...]:
    """Everything that running a part may have to put back."""
    decoder = lm.model.get_decoder()
    kinds = getattr(decoder.config, "layer_types", None)
    modules = [(path, id(module)) for path, module in lm.model.named_modules()]
    return modules, decoder.config.num_hidden_layers, id(kinds), kinds and list(kinds)


@pytest.mark.parametrize("cut", CUTS)
def test_two_parts_are_the_whole_model(lm: LanguageModel, packed: Packed, cut: int) -> None:
    final, _ = whole(lm, packed)
    states = lower(lm, packed, stop=cut)
    torch.testing.assert_close(upper(lm, packed, states, start=cut), final, rtol=0, atol=1e-5)


@pytest.mark.parametrize("cut", CUTS)
def test_the_lower_part_ends_with_what_enters_the_cut_layer(lm: LanguageModel, packed: Packed, cut: int) -> None:
    _, entering = whole(lm, packed)
    torch.testing.assert_close(lower(lm, packed, stop=cut), entering[cut], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("budget", [1, 10, 384])
@pytest.mark.parametrize("cut", [0, 2])
def test_a_packed_prompt_scores_as_it_does_alone(lm: LanguageModel, budget: int, cut: int) -> None:
    for packed in pack(PROMPTS, budget=budget):
        with torch.no_grad():
            hidden = upper(lm, packed, lower(lm, packed, stop=cut), start=cut)
            logits = lm.model.get_output_embeddings()(hidden[packed.last])
        expected = torch.stack([alone(lm, PROMPTS[place]) for place in packed.prompts])
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("cut", [0, 3])
def test_the_last_layer_runs_in_full_where_it_is_read(lm: LanguageModel, packed: Packed, cut: int) -> None:
    states, ran = lower(lm, packed, stop=cut), []
    handle = lm.layers[-1].mlp.down_proj.register_forward_hook(lambda module, args, output: ran.append(output.shape[1]))
    try:
        read = upper(lm, packed, states, start=cut, read=packed.last)
        torch.testing.assert_close(read, upper(lm, packed, states, start=cut)[packed.last], rtol=0, atol=1e-5)
    finally:
        handle.remove()
    assert ran == [len(packed.paths), len(packed.ids)]


def test_many_blocks_give_what_one_gives(lm: LanguageModel) -> None:
    generator = torch.Generator().manual_seed(0)
    prompts = [(1, 2, 3, *torch.randint(4, 40, (12,), generator=generator).tolist()) for _ in range(20)]
    [packed] = pack(prompts)
    assert len(packed.blocks.before) > 2
    torch.testing.assert_close(
        upper(lm, packed, lower(lm, packed, stop=1), start=1), whole(lm, packed)[0], rtol=0, atol=1e-5
    )


def test_keys_and_values_are_those_of_each_prompt_alone(lm: LanguageModel, packed: Packed) -> None:
    nodes = prefilled(lm, packed)
    assert len(nodes) == lm.n_layers
    for place, path in packed.paths.items():
        with torch.no_grad():
            cache = lm.model(torch.tensor([PROMPTS[place]]), use_cache=True)[cache_name(lm.model.forward)]
        for (keys, values), layer in zip(nodes, cache.layers, strict=True):
            torch.testing.assert_close(keys[:, path], layer.keys[0], rtol=0, atol=1e-5)
            torch.testing.assert_close(values[:, path], layer.values[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("extra", [{"softcap": 50.0}, {"s_aux": torch.zeros(4)}], ids=["softcap", "sinks"])
def test_attention_of_another_form_is_refused(packed: Packed, extra: dict[str, object]) -> None:
    x = torch.zeros(1, 1, len(packed.ids), 2)
    mask = packed.blocks.mask(dtype=torch.float32, device="cpu")
    with pytest.raises(MismatchError, match="Identity caps its attention scores or adds sinks"):
        packed_attention(nn.Identity(), x, x, x, mask, before=packed.blocks.before, scaling=1.0, **extra)


def test_the_lower_part_keeps_no_graph_and_the_upper_part_does(lm: LanguageModel, packed: Packed) -> None:
    states = lower(lm, packed, stop=2)
    assert not states.requires_grad
    states.requires_grad_()
    (gradient,) = torch.autograd.grad(upper(lm, packed, states, start=2).square().sum(), states)
    assert gradient.abs().max() > 0


def run_lower(lm: LanguageModel, packed: Packed) -> Tensor:
    return lower(lm, packed, stop=3)


def run_upper(lm: LanguageModel, packed: Packed) -> Tensor:
    return upper(lm, packed, torch.zeros(len(packed.ids), lm.d_model), start=1)


@pytest.mark.parametrize("run", [run_lower, run_upper])
def test_the_model_is_as_before_afterwards(lm: LanguageModel, packed: Packed, run: Run) -> None:
    before, (final, _) = parts(lm), whole(lm, packed)
    run(lm, packed)
    assert parts(lm) == before
    assert torch.equal(whole(lm, packed)[0], final)


@pytest.mark.parametrize("run", [run_lower, run_upper])
def test_the_model_is_as_before_after_an_error_inside(lm: LanguageModel, packed: Packed, run: Run) -> None:
    before, (final, _) = parts(lm), whole(lm, packed)

    def refuse(module: nn.Module, args: tuple[object, ...]) -> None:
        raise RuntimeError("the third layer refuses")

    handle = lm.layers[2].register_forward_pre_hook(refuse)
    try:
        with pytest.raises(RuntimeError, match="the third layer refuses"):
            run(lm, packed)
    finally:
        handle.remove()
    assert parts(lm) == before
    assert torch.equal(whole(lm, packed)[0], final)


@pytest.mark.parametrize("cut", CUTS)
def test_only_the_layers_of_the_part_run(lm: LanguageModel, packed: Packed, cut: int) -> None:
    ran: list[int] = []
    handles = [
        layer.register_forward_pre_hook(lambda module, args, place=place: ran.append(place))
        for place, layer in enumerate(lm.layers)
    ]
    try:
        states = lower(lm, packed, stop=cut)
        assert ran == [*CUTS[:cut]]
        upper(lm, packed, states, start=cut)
        assert ran == [*CUTS]
    finally:
        for handle in handles:
            handle.remove()


def test_a_prompt_longer_than_an_attention_window_is_refused(lm: LanguageModel) -> None:
    [longer] = pack([tuple(range(1, 34))])
    assert int(longer.positions.max()) + 1 == WINDOW + 1
    if lm.name == "Gemma3":
        with pytest.raises(DataError, match="33 tokens is longer than what Gemma3 reads without a window, 32 tokens"):
            lower(lm, longer, stop=1)
    else:
        assert len(lower(lm, longer, stop=1)) == 33


LONGROPE = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [2.0] * 4, "rope_theta": 1e4}


@pytest.mark.parametrize(
    ("architecture", "settings", "longest"),
    [
        ("Llama", {}, None),
        ("Qwen3", {"sliding_window": 9}, None),
        ("Mistral", {"sliding_window": 9}, 9),
        ("Mistral", {"sliding_window": None}, None),
        ("Phi3", {"rope_parameters": LONGROPE, "original_max_position_embeddings": 24}, 24),
        ("Llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}, 64),
        ("Llama", {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}}, None),
    ],
)
def test_how_long_a_prompt_may_be_packed(architecture: str, settings: dict[str, object], longest: int | None) -> None:
    assert window(tiny_decoder(architecture, num_hidden_layers=1, **settings)) == longest
