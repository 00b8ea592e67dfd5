"""Readouts: token energies agree with cosines, the logit lens with the model's own answers, and shares add up."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ws.delta.steering import steered
from ws.engine.blocks import stream
from ws.engine.choice import prepared
from ws.errors import ChatError, MismatchError, ShapeError
from ws.lenses.bases import Bases, principal, read_bases
from ws.lenses.readout import (
    DECODED,
    AxisShares,
    Moved,
    Readout,
    answer_rows,
    axis_share,
    decoded,
    dominant,
    kept_of_dh,
    log_ratios,
    moved,
    preserved,
    read_axis,
    read_layers,
    read_preserved,
    sized,
    token_energy,
    token_form,
    yes_no_axis,
)
from ws.lenses.spectrum import orthonormal
from ws.models.chat import prompt_ids
from ws.models.language import LanguageModel
from ws.scoring.rows import answers_of, prompts_of, score
from ws.steering.states import Prompt, States, last_states
from ws.store import Store
from ws.tests.architectures import tiny_decoder
from ws.tests.small import LAYERS, ON, SYCOPHANCY, adapter, random_update
from ws.training.direction import Direction

QUESTIONS = tuple(q for q in SYCOPHANCY.questions("heldout")[:28] if q.pair == "agree")
FIT = tuple(dict.fromkeys(question.cluster for question in QUESTIONS))[:5]
DIRECTION = Direction(adapter(sign="plus"), adapter(sign="minus"))
MOVED = moved(DIRECTION, QUESTIONS, SYCOPHANCY.prefill)
READOUT = Readout(MOVED, FIT)

seeds = st.integers(0, 2**31 - 1)
quick = settings(max_examples=20, deadline=None)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@quick
@given(seeds)
def test_token_energy_is_a_mean_squared_cosine_over_that_of_the_tokens(seed: int) -> None:
    U, h = drawn(30, 8, seed=seed), drawn(8, seed=seed + 1)
    rows = (U / U.norm(dim=1, keepdim=True)).numpy()
    with_h = ((rows @ (h / h.norm()).numpy()) ** 2).mean()
    among_themselves = ((rows @ rows.T) ** 2).mean()
    assert token_energy(h, token_form(U)).item() == pytest.approx(with_h / among_themselves, rel=1e-9)


def test_size_counts_in_the_published_form_alone() -> None:
    form, h = token_form(drawn(30, 8)), drawn(5, 8, seed=1)
    small, large = token_energy(h, form), token_energy(1e3 * h, form)
    torch.testing.assert_close(small, large)
    torch.testing.assert_close(sized(large, 1e3 * h), 1e6 * sized(small, h))
    on_sphere = 8**0.5 * h / h.norm(dim=1, keepdim=True)
    torch.testing.assert_close(sized(small, on_sphere), small)


def test_what_no_token_points_along_has_no_energy() -> None:
    U = torch.nn.functional.pad(drawn(30, 6), (0, 2))
    h = torch.eye(8, dtype=torch.float64)
    assert (token_energy(h, token_form(U)) > 0).tolist() == [True] * 6 + [False] * 2
    with pytest.raises(ShapeError, match="token energy of a state that is zero; leave out the layers below"):
        token_energy(0 * h, token_form(U))


def test_lens_at_the_last_layer_is_the_models_own_answer(lm: LanguageModel) -> None:
    prompts = tuple(Prompt(question.text, prefill=SYCOPHANCY.prefill) for question in QUESTIONS)
    delta, answers = random_update(lm), answers_of(lm)
    batch = prepared(lm, prompts_of(lm, QUESTIONS, SYCOPHANCY.prefill), start=0)
    read, own = [], []
    for coeff in (1.0, -1.0):
        with steered(lm, delta, coeff=coeff):
            read.append(log_ratios(lm, last_states(lm, prompts)[-1], answers))
            own.append(score(lm, batch, answers).log_ratio)
    torch.testing.assert_close(read[0], own[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(read[0] - read[1], own[0] - own[1], atol=1e-4, rtol=0)
    assert (own[0] - own[1]).abs().min() > 1e-3


@pytest.mark.parametrize("scales", [{}, {"logits_scaling": 4.0}], ids=["head", "scaled"])
def test_lens_of_a_plain_model_is_its_own_answer_too(scales: dict[str, float]) -> None:
    granite = replace(tiny_decoder("Granite", num_hidden_layers=2, **scales), passes="plain")
    prompts, answers = (Prompt("Hi"), Prompt("Is it true?")), answers_of(granite)
    read = log_ratios(granite, last_states(granite, prompts), answers)
    asked = tuple(tuple(prompt_ids(granite.tokenizer, user=prompt.user)) for prompt in prompts)
    own = score(granite, prepared(granite, asked, start=0), answers).log_ratio
    torch.testing.assert_close(read[-1], own, atol=1e-4, rtol=0)
    assert own.abs().min() > 1e-2
    if not scales:
        by_hand = log_ratios(replace(granite, passes="packed"), last_states(granite, prompts), answers)
        torch.testing.assert_close(read, by_hand, atol=1e-4, rtol=0)


def test_a_model_that_reads_more_than_its_last_block_has_no_lens() -> None:
    granite = replace(tiny_decoder("Granite", num_hidden_layers=2), passes="plain")
    states = last_states(granite, (Prompt("Hi"),))
    first: list[Tensor] = []

    def keep(module: nn.Module, inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
        first[:] = [stream(output)]

    def mixed(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
        return (inputs[0] + 3 * first[0],)

    handles = [
        granite.layers[0].register_forward_hook(keep),
        granite.model.get_decoder().norm.register_forward_pre_hook(mixed),
    ]
    try:
        with pytest.raises(MismatchError, match=r"off by .* nats; .*score the model without readouts"):
            log_ratios(granite, states, answers_of(granite))
    finally:
        for handle in handles:
            handle.remove()


def test_axis_lies_between_the_two_answers(lm: LanguageModel) -> None:
    yes, no = answer_rows(lm)
    head = lm.model.get_output_embeddings().weight
    ids = [lm.tokenizer.convert_tokens_to_ids(word) for word in ("Yes", "No")]
    torch.testing.assert_close(torch.stack([yes, no]), head[ids].detach())
    torch.testing.assert_close(yes_no_axis(lm), yes - no)


def test_words_of_several_tokens_are_no_axis(lm: LanguageModel) -> None:
    class Spelling:
        def encode(self, word: str, *, add_special_tokens: bool) -> list[int]:
            return list(range(len(word)))

    with pytest.raises(ChatError, match="the Yes-No axis needs one token each"):
        answer_rows(replace(lm, tokenizer=Spelling()))


@quick
@given(seeds, st.integers(1, 7))
def test_a_basis_and_its_complement_keep_all(seed: int, k: int) -> None:
    whole = orthonormal(8, 8, torch.Generator().manual_seed(seed)).double()
    h = drawn(5, 8, seed=seed)
    kept, rest = preserved(whole[:, :k], h), preserved(whole[:, k:], h)
    torch.testing.assert_close(kept + rest, torch.ones(5).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(preserved(whole, h), torch.ones(5).double(), atol=1e-6, rtol=0)
    shares = axis_share(whole[:, :k], h[0])["share"], axis_share(whole[:, k:], h[0])["share"]
    assert sum(shares) == pytest.approx(1, abs=1e-6)


def test_random_bases_contain_their_share_of_an_axis() -> None:
    generator, axis = torch.Generator().manual_seed(0), drawn(24).float()
    lines = [axis_share(orthonormal(24, 4, generator), axis) for _ in range(600)]
    shares, z = (np.array([line[name] for line in lines]) for name in ("share", "z"))
    assert lines[0]["null"] == pytest.approx(4 / 24)
    assert shares.mean() == pytest.approx(4 / 24, rel=0.05)
    assert shares.std() == pytest.approx(lines[0]["null_sd"], rel=0.1)
    assert z.std() == pytest.approx(1, rel=0.1)


def test_centred_components_lose_the_mean_that_uncentred_ones_keep() -> None:
    mean = torch.nn.functional.one_hot(torch.tensor(0), 40).double()
    fit, test = 5 * mean + 0.1 * drawn(20, 40), 5 * mean + 0.1 * drawn(9, 40, seed=1)
    assert preserved(dominant(fit, 8), test).min() > 0.9
    assert preserved(principal(fit, 8), test).max() < 0.3
    with pytest.raises(ShapeError, match="K = 21 directions where there are 20"):
        dominant(fit, 21)


def test_task_bases_grow_until_they_keep_all() -> None:
    fit, test = drawn(80, 32), drawn(20, 32, seed=1)
    questions = QUESTIONS * 2
    table = kept_of_dh(fit, test, questions[:20], 3)
    means = table.groupby(["basis", "k"])["share"].mean()
    ranks = {"own": [8, 16], "task": [8, 16, 32], "uncentred": [8, 16, 32]}
    assert means.index.to_list() == [(name, k) for name, there in ranks.items() for k in there]
    assert means["task"].is_monotonic_increasing
    assert means["task", 32] == pytest.approx(1)
    assert means["own", 8] > means["uncentred", 8]
    assert set(table["layer"]) == {3}


def test_tokens_are_those_whose_rows_point_that_way(lm: LanguageModel) -> None:
    yes, no = (row / row.norm() for row in answer_rows(lm))
    found = decoded(lm, yes - no)
    assert {name: len(tokens) for name, tokens in found.items()} == {"plus": DECODED, "minus": DECODED}
    assert found == {"plus": decoded(lm, no - yes)["minus"], "minus": decoded(lm, no - yes)["plus"]}
    assert "Yes" in found["plus"]
    assert "No" in found["minus"]


def test_readout_is_of_the_layers_that_dh_reaches(store: Store, lm: LanguageModel) -> None:
    table = read_layers(store, READOUT)
    assert sorted(set(table["layer"])) == list(range(LAYERS.start, lm.n_layers))
    assert sorted(set(table[table["adapted"]]["layer"])) == list(LAYERS)
    base, plus, minus = MOVED.states(store)
    assert not MOVED.change(store)[: LAYERS.start].any()
    row = table.query("layer == 4 and question_id == @QUESTIONS[3].id").iloc[0]
    form = token_form(lm.model.get_output_embeddings().weight.detach().double())
    dh = (plus - minus)[4, 3]
    assert row["clean_energy"] == pytest.approx(token_energy(base[4, 3], form).item(), rel=1e-4)
    assert row["dh_sized"] == pytest.approx(row["dh_energy"] * dh.norm().item() ** 2 / 64, rel=1e-4)
    assert row["linear"] == pytest.approx((dh @ yes_no_axis(lm)).item(), rel=1e-4)


def test_task_bases_are_measured_on_claims_they_have_not_seen(store: Store) -> None:
    table = read_preserved(store, READOUT)
    assert not set(table["cluster"]) & set(FIT)
    assert set(table["cluster"]) | set(FIT) == {question.cluster for question in QUESTIONS}
    assert set(table["layer"]) == set(LAYERS)
    assert set(table["k"]) == {8}
    fit = [question.cluster in FIT for question in QUESTIONS]
    dh = MOVED.change(store)[2]
    line = table.query("basis == 'task' and layer == 2").iloc[0]
    place = [question.id for question in QUESTIONS].index(line["question_id"])
    assert line["share"] == pytest.approx(preserved(principal(dh[fit], 8), dh[place]).item(), rel=1e-3)


def test_the_answers_span_holds_the_axis_and_random_bases_are_drawn_anew(store: Store) -> None:
    bases = Bases(MOVED.base, (0.3, 0.8))
    table = read_axis(store, AxisShares(bases, draws=3))
    assert table.query("basis == 'answers'")["share"].to_list() == pytest.approx([1] * len(LAYERS), abs=1e-5)
    assert table.query("basis == 'random'")["share"].nunique() == 3 * len(LAYERS)
    assert set(table["basis"]) == {*read_bases(store, bases), "answers"}
    assert table.groupby("basis")["draw"].nunique().drop("random").eq(1).all()


def test_states_of_other_questions_or_coefficients_are_refused() -> None:
    with pytest.raises(MismatchError, match="states of other prompts than these 13 questions; read all of one tuple"):
        replace(MOVED, questions=QUESTIONS[1:])
    with pytest.raises(MismatchError, match=r"states at coefficients \[0.0, -1.0, 1.0\]; expected 0, \+1 and -1"):
        replace(MOVED, plus=MOVED.minus, minus=MOVED.plus)
    other = States(ON, MOVED.base.prompts, Direction(adapter("dora"), adapter("dora", sign="minus")), -1.0)
    with pytest.raises(MismatchError, match="the latter of one direction"):
        Moved(QUESTIONS, MOVED.base, MOVED.plus, other)
