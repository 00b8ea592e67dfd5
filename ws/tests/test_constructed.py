"""Constructed updates write what they promise, where they promise it, and know nothing of training."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ws.constructed.base import (
    SHARE,
    Constructed,
    Construction,
    Contrast,
    at_share,
    read_update,
    weights_of,
    writers,
    written,
)
from ws.constructed.function_vectors import FunctionVectors, read_effects, top_heads
from ws.constructed.independence import TRAINED, check_untrained, reached
from ws.constructed.inputs import MeanInputs, mean_inputs, read_means
from ws.constructed.persona import persona_writes
from ws.constructed.table import CONSTRUCTIONS, construction, contrast
from ws.delta.steering import steered
from ws.errors import MismatchError, ShapeError, UnknownNameError
from ws.lenses.activations import steered_basis
from ws.models.chat import prompt_ids
from ws.models.language import LanguageModel
from ws.steering.states import Prompt, States, last_states
from ws.store import Recipe, Store
from ws.study.subject import Subject
from ws.tests.documents import DOCS, blocks
from ws.tests.small import LAYERS, ON, SYCOPHANCY, adapter, random_update
from ws.training.direction import Direction

SUBJECT = Subject("tiny-random-qwen3")
PROMPTS = (
    Prompt("What is rain?", system="You are terse."),
    Prompt("What is rain?", prefill="My answer: **"),
    Prompt("I think snow is warm. Do you agree?"),
)
EVERY = pytest.mark.parametrize("name", CONSTRUCTIONS)


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(1, 9), st.integers(2, 9))
def test_a_written_update_shifts_the_output_at_its_input_and_at_nothing_orthogonal(
    seed: int, d_out: int, d_in: int
) -> None:
    shift, at, other = drawn(seed, d_out), drawn(seed + 1, d_in), drawn(seed + 2, d_in)
    update = written(shift, at)
    torch.testing.assert_close(update.apply(at), shift)
    torch.testing.assert_close(update.apply(-2 * at), -2 * shift)
    elsewhere = other - at * (other @ at) / at.square().sum()
    torch.testing.assert_close(update.apply(elsewhere), torch.zeros_like(shift))
    assert update.svd().rank == 1


def test_nothing_is_written_where_the_input_is_zero() -> None:
    with pytest.raises(ShapeError, match="where the input is zero"):
        written(torch.ones(3), torch.zeros(2))


@settings(deadline=None)
@given(st.integers(0, 1000))
def test_a_persona_write_adds_the_difference_of_outputs_at_the_plain_input(seed: int) -> None:
    W, plus, minus, plain = drawn(seed, 5, 7), *(drawn(seed + n, 7) for n in (1, 2, 3))
    update = persona_writes({"w": W}, {"w": plus - minus}, {"w": plain}).tensors["w"]
    changed = (W + update.dense()) @ plain
    torch.testing.assert_close(changed, W @ plain + W @ plus - W @ minus)


def test_in_the_model_a_block_writes_what_the_personas_made_it_write(lm: LanguageModel) -> None:
    plain, (plus, minus) = PROMPTS[2], (PROMPTS[2]._replace(system=side) for side in ("You flatter.", "You correct."))
    path = f"model.layers.{LAYERS.start}.mlp.down_proj"
    linears = {path: lm.linears(0, lm.n_layers)[path]}
    x_plus, x_minus, x_plain = (mean_inputs(lm, [one], linears)[path].float() for one in (plus, minus, plain))
    W = weights_of(lm)[path]
    assert (W @ (x_plus - x_minus)).norm() > 0.01 * (W @ x_plain).norm()
    delta = persona_writes({path: W}, {path: x_plus - x_minus}, {path: x_plain})
    still = last_states(lm, [plain])
    with steered(lm, delta, coeff=1.0):
        moved = last_states(lm, [plain])
    after = LAYERS.start + 1
    torch.testing.assert_close(moved[after] - still[after], (W @ (x_plus - x_minus))[None], atol=1e-4, rtol=1e-3)
    assert torch.equal(moved[:after], still[:after])


def test_mean_inputs_are_those_of_each_prompt_alone(lm: LanguageModel, store: Store) -> None:
    recipe = MeanInputs(ON, PROMPTS)
    found = read_means(store, recipe, device=lm.device)
    linears = lm.linears(LAYERS.start, LAYERS.stop)
    assert found.keys() == linears.keys()
    for path in (f"model.layers.{LAYERS.start}.self_attn.o_proj", f"model.layers.{LAYERS.stop - 1}.mlp.down_proj"):
        alone = torch.stack([_entering(lm, linears[path], prompt) for prompt in PROMPTS])
        torch.testing.assert_close(found[path], alone.mean(dim=0), atol=1e-4, rtol=1e-3)


def _entering(lm: LanguageModel, linear: torch.nn.Module, prompt: Prompt) -> Tensor:
    """What enters a linear map at a prompt's last token, in the model's own forward pass."""
    seen: list[Tensor] = []
    handle = linear.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0, -1]))
    try:
        with torch.no_grad():
            lm.model(input_ids=torch.tensor([prompt_ids(lm.tokenizer, **prompt._asdict())]))
    finally:
        handle.remove()
    [entered] = seen
    return entered


def test_a_construction_has_its_share_of_the_norm_of_what_it_changes(lm: LanguageModel) -> None:
    delta, weights = random_update(lm), weights_of(lm)
    scaled = at_share(delta, weights, share=0.25)
    norm = torch.cat([weights[path].flatten() for path in delta.tensors]).norm().item()
    assert scaled.norm == pytest.approx(0.25 * norm, rel=1e-5)
    factors = [scaled.tensors[path].norm / delta.tensors[path].norm for path in delta.tensors]
    assert factors == pytest.approx([factors[0]] * len(factors), rel=1e-5)


def test_a_construction_of_zero_is_refused(lm: LanguageModel) -> None:
    with pytest.raises(ShapeError, match="sharpen the personas"):
        at_share(0.0 * random_update(lm), weights_of(lm))


@EVERY
def test_it_reaches_no_trained_adapter(name: str) -> None:
    recipes = list(reached(construction(SUBJECT, name)))
    assert not any(isinstance(one, TRAINED) for one in recipes)
    assert any(isinstance(one, MeanInputs) for one in recipes)


class Untrained(Store):
    """A store that can read nothing that was trained."""

    def get(self, recipe: Recipe) -> Path:
        assert not isinstance(recipe, TRAINED), f"{recipe.describe()} was read"
        return super().get(recipe)


@EVERY
def test_it_is_built_before_any_trained_update_is_read(name: str, store: Store, lm: LanguageModel) -> None:
    bare = Untrained(store.root)
    assert read_update(bare, construction(SUBJECT, name), device=lm.device).norm > 0
    with pytest.raises(AssertionError, match="was read"):
        bare.get(adapter())


DIRECTION = Direction(adapter(sign="plus"), adapter(sign="minus"))


@pytest.mark.parametrize(
    "made",
    [DIRECTION, adapter(), States(ON, PROMPTS, DIRECTION, 1.0), steered_basis(DIRECTION, PROMPTS)],
    ids=["direction", "adapter", "states", "basis of states"],
)
def test_what_is_made_of_training_is_refused(made: Recipe) -> None:
    with pytest.raises(MismatchError, match="is trained; expected base weights"):
        check_untrained(made)
    check_untrained(States(ON, PROMPTS))


@pytest.mark.parametrize("behavior_name", ["sycophancy", "honesty"])
def test_it_reads_training_messages_and_training_personas_alone(behavior_name: str) -> None:
    subject = replace(SUBJECT, behavior_name=behavior_name)
    read, b = contrast(subject), subject.behavior
    trained = {text for _, text in subject.pairs(0).questions}
    sides = {side: getattr(read, side).prompts for side in ("plus", "minus", "plain")}
    assert all({prompt.user for prompt in prompts} == trained for prompts in sides.values())
    assert {side: {prompt.system for prompt in prompts} for side, prompts in sides.items()} == {
        "plus": {*b.positive},
        "minus": {*b.negative},
        "plain": {None},
    }


CHANGED = {name: ("o_proj", "down_proj") for name in CONSTRUCTIONS} | {
    "ov-write": ("o_proj",),
    "gate-kernel": ("down_proj",),
}
"""For each construction the linear maps of a block that it changes; function vectors change those of chosen heads."""


@EVERY
def test_it_changes_the_maps_that_it_names_and_no_others(name: str, store: Store, lm: LanguageModel) -> None:
    made = construction(SUBJECT, name)
    delta = read_update(store, made, device=lm.device)
    if isinstance(made, FunctionVectors):
        assert set(delta.tensors) == {head.path for head in top_heads(read_effects(store, made.effects), made.heads)}
    else:
        inside = lm.linears(LAYERS.start, LAYERS.stop)
        assert set(delta.tensors) == {path for path in inside if path.endswith(CHANGED[name])}
    weights = {path: W for path, W in weights_of(lm).items() if path in delta.tensors}
    base = sum(float(W.norm() ** 2) for W in weights.values()) ** 0.5
    assert delta.norm == pytest.approx(SHARE * base, rel=1e-4)
    assert {update.svd().rank for update in delta.tensors.values()} == {1}


def test_writers_are_those_of_the_stream(lm: LanguageModel) -> None:
    assert {path.rpartition(".")[2] for path in writers(weights_of(lm), d_model=lm.d_model)} == {"o_proj", "down_proj"}


def test_the_control_has_the_norm_and_rank_of_every_tensor_and_another_direction(
    store: Store, lm: LanguageModel
) -> None:
    made = construction(SUBJECT, "persona-write")
    own, random = (Constructed(made, seed).delta(lm, store) for seed in (None, 0))
    for path, update in own.tensors.items():
        other = random.tensors[path]
        assert other.norm == pytest.approx(update.norm, rel=1e-4)
        assert other.svd().rank == update.svd().rank
        assert abs(update.dot(other)) < 0.5 * update.norm**2
    assert Constructed(made).on == ON


def test_sides_of_different_models_or_sizes_are_refused() -> None:
    side = MeanInputs(ON, PROMPTS)
    for other in (replace(side, layers=(0.0, 1.0)), replace(side, prompts=PROMPTS[:1])):
        with pytest.raises(MismatchError, match="expected one model, the same layers"):
            Contrast(side, other, side)


def test_an_unknown_construction_is_named_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="persona-write"):
        construction(SUBJECT, "persona-wright")


def test_the_construction_of_the_page_can_be_built(store: Store, lm: LanguageModel) -> None:
    names: dict[str, object] = {}
    exec(blocks(DOCS / "constructed.md", "python")[0], names)
    mine = names["MLPWrite"](contrast(SUBJECT))  # type: ignore[operator]
    assert {path.rpartition(".")[2] for path in mine.construct(lm, store).tensors} == {"down_proj"}


def test_the_page_lists_every_construction() -> None:
    page = (DOCS / "constructed.md").read_text(encoding="utf-8")
    whole = page.replace(
        "`attention-min`, `-max`, `-difference`", "`attention-min` `attention-max` `attention-difference`"
    )
    assert [name for name in CONSTRUCTIONS if f"`{name}`" not in whole] == []
    assert f"{SHARE:.0%} of the norm" in page


def test_a_construction_that_says_nothing_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="construct"):
        Construction(contrast(SUBJECT))  # type: ignore[abstract]


def test_the_messages_are_not_those_that_are_judged() -> None:
    heldout = {message.text for split in ("heldout", "validation") for message in SUBJECT.messages_of(split)}
    assert heldout.isdisjoint(prompt.user for prompt in contrast(SUBJECT).plain.prompts)
    assert heldout.isdisjoint(text for _, text in SYCOPHANCY.training_questions())
