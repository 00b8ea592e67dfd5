"""Each construction is its formula: by identities, by a second way to compute it, or by a model that was planted."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ws.constructed import attention
from ws.constructed.attention import (
    ATTENTION,
    WEIGHTS,
    AttendedContrasts,
    AttendedWrite,
    attended,
    shared_end,
    weighing,
    weighted,
)
from ws.constructed.base import read_contrast, read_update, weights_of
from ws.constructed.function_vectors import (
    FunctionVectors,
    Head,
    HeadEffects,
    head_effects,
    head_terms,
    heads_write,
    read_effects,
    top_heads,
)
from ws.constructed.gate_kernel import GATE, GateKernel
from ws.constructed.inputs import mean_inputs, mean_outputs, watching, within
from ws.constructed.ov_write import beside, head_width, through_ov
from ws.constructed.reft import coordinate_set
from ws.constructed.table import construction, contrast, in_turns
from ws.delta.update import LowRank
from ws.delta.weight_delta import WeightDelta
from ws.engine.plain import own_logits
from ws.errors import DataError, MismatchError, ModelError, ShapeError
from ws.lenses.bases import writes_not_read
from ws.lenses.modules import layer_of
from ws.models.chat import prompt_ids
from ws.models.language import LanguageModel
from ws.scoring.text import Spoken
from ws.steering.states import Prompt
from ws.store import Store
from ws.study.subject import Subject
from ws.tests.small import LAYERS, ON, fingerprint

SUBJECT = Subject("tiny-random-qwen3")
PLUS, MINUS = (Prompt("I think snow is warm.", system=persona) for persona in ("You flatter.", "You always correct."))
SELF_ATTN, MLP = (f"model.layers.{LAYERS.start}.{name}" for name in ("self_attn", "mlp"))
IDS = list(range(5, 25))


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Write-not-read


def test_write_not_read_writes_what_the_persona_write_has_in_its_directions(store: Store, lm: LanguageModel) -> None:
    whole, inside = (
        construction(SUBJECT, name).construct(lm, store)  # at its own scale
        for name in ("persona-write", "write-not-read")
    )
    bases = writes_not_read(lm, list(LAYERS), 8)
    for path, update in whole.tensors.items():
        B = bases[layer_of(path)]
        torch.testing.assert_close(inside.tensors[path].dense(), B @ (B.T @ update.dense()), atol=1e-5, rtol=1e-4)
        assert 0 < inside.tensors[path].norm < update.norm


# OV-write


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4))
def test_the_ov_circuits_are_summed_over_heads_with_the_values_of_their_groups(
    seed: int, groups: int, heads: int, d_head: int
) -> None:
    W, values = drawn(seed, 5, groups * heads * d_head), drawn(seed + 1, groups * d_head)
    expected = torch.zeros(5, dtype=torch.float64)
    for head in range(groups * heads):
        group = head // heads
        expected += W[:, head * d_head : (head + 1) * d_head] @ values[group * d_head : (group + 1) * d_head]
    torch.testing.assert_close(through_ov(W, values, d_head), expected)


def test_attention_to_a_single_token_writes_what_goes_through_the_ov_circuits(lm: LanguageModel) -> None:
    # A first token can attend to itself alone, so that its heads' outputs are its values.
    module = lm.model.get_submodule(SELF_ATTN)
    with watching({"v": module.v_proj, "o": module.o_proj}) as seen, torch.no_grad():
        lm.model(input_ids=torch.tensor([[7]]))
    weights = weights_of(lm)
    values = weights[f"{SELF_ATTN}.v_proj"] @ seen["v"][0, 0]
    through = through_ov(weights[f"{SELF_ATTN}.o_proj"], values, head_width(lm))
    torch.testing.assert_close(through, weights[f"{SELF_ATTN}.o_proj"] @ seen["o"][0, 0], atol=1e-5, rtol=1e-4)


def test_layers_are_paired_by_their_module() -> None:
    assert beside(["a.0.o_proj", "a.0.v_proj", "a.0.q_proj"], "o_proj", "v_proj") == {"a.0.o_proj": "a.0.v_proj"}
    for paths in (["a.0.o_proj", "a.1.v_proj"], ["a.0.query_key_value"]):
        with pytest.raises(ModelError, match="no v_proj beside each"):
            beside(paths, "o_proj", "v_proj")


# Gate kernel


def test_at_its_own_gate_the_kernel_is_the_mlp(lm: LanguageModel) -> None:
    mlp, gates = lm.model.get_submodule(MLP), within(lm, (0.3, 0.8), GATE)
    x = mean_inputs(lm, [PLUS], {"up": mlp.up_proj})["up"].float()
    gate = mean_outputs(lm, [PLUS], gates)[f"{MLP}.{GATE}"].float()
    weights = weights_of(lm)
    kernel = weights[f"{MLP}.down_proj"] @ torch.diag(gate) @ weights[f"{MLP}.up_proj"]
    with torch.no_grad():
        torch.testing.assert_close(kernel @ x, mlp(x[None])[0], atol=1e-5, rtol=1e-4)


def test_the_gate_kernel_writes_the_contrast_through_the_mean_gate(store: Store, lm: LanguageModel) -> None:
    made = construction(SUBJECT, "gate-kernel")
    assert isinstance(made, GateKernel)
    difference, plain = read_contrast(made.contrast, lm, store)
    update = made.construct(lm, store).tensors[f"{MLP}.down_proj"]
    gate = mean_outputs(lm, made.contrast.plain.prompts, within(lm, made.layers, GATE))[f"{MLP}.{GATE}"].float()
    up, down = (weights_of(lm)[f"{MLP}.{name}"] for name in ("up_proj", "down_proj"))
    promised = down @ torch.diag(gate) @ up @ difference[f"{MLP}.up_proj"]
    torch.testing.assert_close(update.apply(plain[f"{MLP}.down_proj"]), promised, atol=1e-5, rtol=1e-4)


def test_a_model_without_a_gated_mlp_is_refused(lm: LanguageModel) -> None:
    with pytest.raises(ModelError, match="expected one in each, as Llama and Qwen have it"):
        within(lm, (0.3, 0.8), "no_such_function")


# Attention


def test_attention_weights_are_those_of_queries_and_keys_and_leave_no_trace(lm: LanguageModel) -> None:
    before = fingerprint(lm)
    with weighing(lm), watching(within(lm, (0.3, 0.8), ATTENTION), lambda _, output: output[1]) as weights:
        eager = own_logits(lm, [IDS], keep=1)
    assert fingerprint(lm) == before
    torch.testing.assert_close(eager, own_logits(lm, [IDS], keep=1), atol=1e-4, rtol=1e-3)
    for paid in weights.values():
        assert paid.shape[2:] == (len(IDS), len(IDS))
        torch.testing.assert_close(paid[0, :, -1].sum(dim=-1), torch.ones(paid.shape[1]))


def test_a_model_that_keeps_no_attention_weights_is_refused(lm: LanguageModel) -> None:
    for output in ((torch.zeros(1),), (torch.zeros(1), None)):
        with pytest.raises(ModelError, match="gives no weights beside its output"):
            attention._weights((), output)


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(1, 6))
def test_weighted_contrasts_lie_between_those_of_the_tokens(seed: int, tokens: int) -> None:
    x, plus, minus = drawn(seed, tokens, 3), drawn(seed + 1, tokens).abs(), drawn(seed + 2, tokens).abs()
    found = {kind: weighted(x, weigh(plus, minus)) for kind, weigh in WEIGHTS.items()}
    for value in found.values():
        assert (value <= x.max(dim=0).values + 1e-9).all()
        assert (value >= x.min(dim=0).values - 1e-9).all()
    low, high, apart = (WEIGHTS[kind](plus, minus) for kind in ("min", "max", "difference"))
    torch.testing.assert_close(low + high, plus + minus)
    torch.testing.assert_close(high - low, apart)
    assert torch.equal(weighted(x, torch.zeros(tokens, dtype=torch.float64)), torch.zeros(3, dtype=torch.float64))


@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)))
def test_prompts_share_what_both_end_with(one: list[int], other: list[int], end: list[int]) -> None:
    n = shared_end(one + end, other + end)
    assert n >= len(end)
    assert (one + end)[len(one + end) - n :] == (other + end)[len(other + end) - n :]
    longer = n + 1
    if longer <= min(len(one + end), len(other + end)):
        assert (one + end)[-longer:] != (other + end)[-longer:]


def test_a_persona_against_itself_has_no_contrast_and_swapped_sides_have_the_opposite(lm: LanguageModel) -> None:
    forth, back, same = (
        attended(lm, *pair, layers=(0.3, 0.8)) for pair in ((PLUS, MINUS), (MINUS, PLUS), (PLUS, PLUS))
    )
    assert forth.keys() == {f"{kind}.{path}" for kind in WEIGHTS for path in lm.linears(LAYERS.start, LAYERS.stop)}
    for name, value in forth.items():
        torch.testing.assert_close(back[name], -value)
        assert not same[name].any()
    path = f"{SELF_ATTN}.o_proj"
    assert not torch.allclose(forth[f"min.{path}"], forth[f"max.{path}"], rtol=1e-2)


def test_an_attended_write_adds_its_kind_of_contrast_at_the_plain_input(store: Store, lm: LanguageModel) -> None:
    made = construction(SUBJECT, "attention-min")
    assert isinstance(made, AttendedWrite)
    path = f"{MLP}.down_proj"
    _, plain = read_contrast(made.contrast, lm, store)
    pairs = list(zip(made.attended.plus, made.attended.minus, strict=True))
    means = torch.stack([attended(lm, *pair, layers=made.layers)[f"min.{path}"] for pair in pairs]).mean(dim=0)
    promised = weights_of(lm)[path] @ means
    update = made.construct(lm, store).tensors[path]
    torch.testing.assert_close(update.apply(plain[path]), promised, atol=1e-5, rtol=1e-3)


def test_pairs_of_personas_take_turns_over_the_messages() -> None:
    plus, minus = in_turns(SUBJECT)
    b, messages = SUBJECT.behavior, [text for _, text in SUBJECT.pairs(0).questions]
    assert [prompt.user for prompt in plus] == [prompt.user for prompt in minus] == messages
    assert [prompt.system for prompt in plus] == [b.positive[i % 5] for i in range(len(messages))]
    assert [prompt.system for prompt in minus] == [b.negative[i % 5] for i in range(len(messages))]


def test_contrasts_of_different_messages_are_refused() -> None:
    with pytest.raises(MismatchError, match="of the same messages"):
        AttendedContrasts(ON, (PLUS,), (MINUS._replace(user="Another."),))


# Function vectors


def planted(lm: LanguageModel) -> tuple[dict[Head, WeightDelta], tuple[Spoken, ...], Head]:
    """Terms of some heads, one of which writes what makes a token likelier that only + answers have."""
    place, answers = LAYERS.stop - 1, []
    for n, text in enumerate(("Snow is warm.", "Rain is dry.")):
        for side, sign, token in (("plus", 1, 11), ("minus", -1, 12)):
            answers.append(Spoken(f"{n}/{side}", str(n), "weather", "given", "pair-0", sign, text, (token,)))
    path = f"model.layers.{place}.self_attn.o_proj"
    head = lm.model.get_output_embeddings().weight.detach()
    plain = mean_inputs(lm, [Prompt(one.message) for one in answers], {path: lm.linears(0, lm.n_layers)[path]})[path]
    quiet = torch.randn(len(head[0]), generator=torch.Generator().manual_seed(3))
    shifts = [0.1 * quiet, 4 * (head[11] - head[12]), -0.1 * quiet, 4 * (head[12] - head[11])]
    terms = {
        Head(path, n): WeightDelta({path: LowRank(shift[:, None], (plain / plain.square().sum())[None].float())})
        for n, shift in enumerate(shifts)
    }
    return terms, tuple(answers), Head(path, 1)


def test_the_planted_head_has_the_largest_effect_and_its_opposite_the_smallest(lm: LanguageModel) -> None:
    terms, answers, cause = planted(lm)
    before = fingerprint(lm)
    effects = head_effects(lm, terms, answers)
    assert fingerprint(lm) == before
    assert top_heads(effects, 1) == [cause]
    assert min(effects, key=effects.__getitem__) == Head(cause.path, 3)
    assert effects[cause] > 10 * max(abs(effects[Head(cause.path, n)]) for n in (0, 2))


def test_an_effect_is_the_change_of_the_answers_under_the_merged_weights(lm: LanguageModel) -> None:
    terms, answers, cause = planted(lm)
    [effect] = head_effects(lm, {cause: terms[cause]}, answers).values()

    def margin(model: torch.nn.Module) -> float:
        found = []
        for one in answers:
            ids = torch.tensor([prompt_ids(lm.tokenizer, user=one.message)])
            with torch.no_grad():
                found.append(one.sign * float(model(input_ids=ids).logits[0, -1].log_softmax(-1)[one.ids[0]]))
        return 2 * sum(found) / len(found)

    changed = copy.deepcopy(lm.model)
    with torch.no_grad():
        changed.get_submodule(cause.path).weight += terms[cause].tensors[cause.path].dense()
    assert effect == pytest.approx(margin(changed) - margin(lm.model), abs=1e-4)


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(1, 4), st.integers(1, 3))
def test_the_terms_of_all_heads_are_the_whole_contrast_of_attention(seed: int, heads: int, d_head: int) -> None:
    width = heads * d_head
    weights = {f"m.{n}.o_proj": drawn(seed + n, 5, width) for n in range(2)}
    difference, plain = ({path: drawn(seed + k, width) for path in weights} for k in (10, 11))
    terms = head_terms(weights, difference, plain, d_head=d_head)
    assert len(terms) == 2 * heads
    whole = heads_write(weights, difference, plain, terms, d_head=d_head)
    for path, W in weights.items():
        alone = sum(term.tensors[path].dense() for head, term in terms.items() if head.path == path)
        torch.testing.assert_close(whole.tensors[path].dense(), alone)
        torch.testing.assert_close(whole.tensors[path].apply(plain[path]), W @ difference[path])
        assert whole.tensors[path].svd().rank == 1


def test_function_vectors_are_the_terms_of_the_heads_with_the_largest_effects(store: Store, lm: LanguageModel) -> None:
    made = construction(SUBJECT, "function-vectors")
    assert isinstance(made, FunctionVectors)
    effects = read_effects(store, made.effects)
    assert {head.path for head in effects} == {f"model.layers.{n}.self_attn.o_proj" for n in LAYERS}
    chosen = top_heads(effects, made.heads)
    assert min(effects[head] for head in chosen) >= max(effects[head] for head in effects.keys() - set(chosen))
    heldout = {message.text for message in SUBJECT.messages_of("heldout")}
    assert heldout.isdisjoint(message.text for message in made.effects.answers.messages)
    delta = read_update(store, made, device=lm.device)
    assert set(delta.tensors) == {head.path for head in chosen}


def test_more_heads_than_there_are_and_no_messages_are_refused() -> None:
    with pytest.raises(ShapeError, match="choose 1 to 1"):
        top_heads({Head("a.0.o_proj", 0): 1.0}, 2)
    with pytest.raises(DataError, match="on 0 messages"):
        HeadEffects(contrast(SUBJECT), SUBJECT.answers(0, split="validation"), messages=0)
    with pytest.raises(ModelError, match="no layer called o_proj"):
        head_terms({}, {}, {}, d_head=2)


# Rank-1 ReFT


@settings(deadline=None)
@given(st.integers(0, 1000))
def test_rank_one_reft_sets_the_coordinate_and_leaves_all_others(seed: int) -> None:
    W, plus, minus, plain = drawn(seed, 5, 7), *(drawn(seed + n, 7) for n in (1, 2, 3))
    update = coordinate_set(W, plus, minus, plain)
    r = (W @ (plus - minus)) / (W @ (plus - minus)).norm()
    still, moved = W @ plain, (W + update.dense()) @ plain
    torch.testing.assert_close(r @ moved, r @ (W @ plus))
    outside = torch.eye(5, dtype=torch.float64) - torch.outer(r, r)
    torch.testing.assert_close(outside @ moved, outside @ still)
    assert update.svd().rank == 1
    # Its constant is tied to the plain input: where that does not show, the coordinate is gone.
    other = drawn(seed + 4, 7)
    other -= plain * (other @ plain) / plain.square().sum()
    torch.testing.assert_close(r @ ((W + update.dense()) @ other), torch.zeros((), dtype=torch.float64))


def test_no_coordinate_is_set_without_a_contrast_or_an_input() -> None:
    W, x = torch.eye(3), torch.ones(3)
    for plus, plain in ((x, x), (2 * x, 0 * x)):
        with pytest.raises(ShapeError, match="no direction to set"):
            coordinate_set(W, plus, x, plain)
