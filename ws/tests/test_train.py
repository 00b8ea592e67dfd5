"""Training learns only from answers, keeps some questions for validation, is reproducible bit for bit, stops at NaN."""

from dataclasses import replace
from weakref import ReferenceType, ref

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from ws.adapters import Params
from ws.engine.attention import packed_sequences
from ws.engine.depth import lower
from ws.engine.packing import pack
from ws.errors import DataError, TrainingError
from ws.models.chat import prompt_ids
from ws.models.language import LanguageModel
from ws.store import Store
from ws.tests.small import (
    LAYERS,
    PAIRS,
    SHAPES,
    SYCOPHANCY,
    TRAINING,
    adapter,
    fingerprint,
)
from ws.training import train
from ws.training.pairs import CUT_OFF
from ws.training.train import (
    Adapter,
    Below,
    QuestionRow,
    TrainConfig,
    loss,
    question_rows,
    read_adapter,
    read_curves,
    trained,
)

WORDS = SYCOPHANCY.positive[0].split()
ENDS = {0: 2, 1: CUT_OFF}
"""How the answers of each persona end: by <|im_end|>, or not."""


def table(n_questions: int) -> pd.DataFrame:
    """Two personas' answers to each question; the second persona's stop short of the end of turn."""
    return pd.DataFrame(
        {
            "question_id": f"q{question}",
            "question": f"What do you think about number {question}?",
            "persona": persona,
            "plus": " ".join(WORDS[question % 5 : question % 5 + 4 + persona]),
            "minus": " ".join(WORDS[question % 4 + 5 : question % 4 + 8 + persona]),
            "plus_end": ENDS[persona],
            "minus_end": ENDS[persona],
        }
        for question in range(n_questions)
        for persona in (0, 1)
    )


@pytest.fixture(scope="module")
def rows(lm: LanguageModel) -> list[QuestionRow]:
    return question_rows(lm.tokenizer, table(12), sign="plus")


@pytest.fixture(scope="module")
def below(lm: LanguageModel, rows: list[QuestionRow]) -> Below:
    return Below.of(lm, [text for row in rows for text in row.texts], start=LAYERS.start)


def recipe(training: TrainConfig = TRAINING, *, family: str = "lora", seed: int = 0) -> Adapter:
    return Adapter(PAIRS, "plus", SHAPES[family], training, seed)


def flat(layers: dict[str, Params]) -> Tensor:
    return torch.cat([value.flatten() for params in layers.values() for value in params.values()])


def prompt(lm: LanguageModel, question: int) -> list[int]:
    return prompt_ids(lm.tokenizer, user=f"What do you think about number {question}?")


def naive_loss(lm: LanguageModel, rows: list[QuestionRow], starts: list[int]) -> float:
    """Each answer in a forward pass of its own behind its prompt, averaged over all answer tokens."""
    losses = []
    for row, start in zip(rows, starts, strict=True):
        for ids in map(torch.tensor, row.texts):
            with torch.no_grad():
                logits = lm.model(ids[None]).logits[0, start - 1 : -1]
            losses.append(nn.functional.cross_entropy(logits, ids[start:], reduction="none"))
    return torch.cat(losses).mean().item()


@pytest.mark.parametrize("sign", ["plus", "minus"])
def test_labels_spell_the_answers_and_their_ends(lm: LanguageModel, sign: str) -> None:
    pairs = table(2)
    spelled = [lm.tokenizer.decode(row.labels) for row in question_rows(lm.tokenizer, pairs, sign=sign)]
    ended, open_ended = pairs[sign][::2], pairs[sign][1::2]
    assert spelled == [first + "<|im_end|>" + second for first, second in zip(ended, open_ended, strict=True)]


def test_an_answer_ends_as_it_was_sampled(lm: LanguageModel) -> None:
    pairs = table(1).assign(plus_end=[0, 2])
    [row] = question_rows(lm.tokenizer, pairs, sign="plus")
    assert [ids[-1] for ids in row.texts] == [0, 2]


def test_an_answer_that_spells_a_control_token_ends_no_turn(lm: LanguageModel) -> None:
    pairs = table(1).assign(plus="Say <|im_end|> and stop")
    [row] = question_rows(lm.tokenizer, pairs, sign="plus")
    end = lm.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert [ids[row.asked :].count(end) for ids in row.texts] == [1, 0]
    assert lm.tokenizer.decode(row.texts[1][row.asked :]) == "Say <|im_end|> and stop"


def test_the_prompt_is_the_question_alone(lm: LanguageModel) -> None:
    pairs = table(2).replace({"persona": {0: SYCOPHANCY.positive[0], 1: SYCOPHANCY.positive[1]}})
    [_, row] = question_rows(lm.tokenizer, pairs, sign="plus")
    start = prompt(lm, 1)
    assert row.asked == len(start)
    assert [list(ids[: row.asked]) for ids in row.texts] == [start, start]
    assert len(row.labels) == sum(len(ids) - row.asked for ids in row.texts)
    for text in map(lm.tokenizer.decode, row.texts):
        assert "system" not in text
        assert SYCOPHANCY.positive[0][:20] not in text


def test_the_loss_is_that_of_each_answer_alone(lm: LanguageModel, rows: list[QuestionRow], below: Below) -> None:
    starts = [len(prompt(lm, question)) for question in (2, 10, 5)]
    batch = [rows[2], rows[10], rows[5]]
    seen = train.loss(lm, batch, below).item()
    assert seen == pytest.approx(naive_loss(lm, batch, starts), abs=1e-5)


def test_validation_questions_are_never_trained_on(
    lm: LanguageModel, rows: list[QuestionRow], below: Below, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_on: list[str] = []
    validated: list[list[str]] = []
    original = train.loss

    def spy(lm: LanguageModel, batch: list[QuestionRow], below: Below) -> Tensor:
        ids = [row.question_id for row in batch]
        if torch.is_grad_enabled():
            trained_on.extend(ids)
        else:
            validated.append(ids)
        return original(lm, batch, below)

    monkeypatch.setattr(train, "loss", spy)
    trained(lm, rows, below, recipe(replace(TRAINING, epochs=2)))
    assert validated == [["q0", "q10"]] * 3
    others = sorted(row.question_id for row in rows if row.question_id not in ("q0", "q10"))
    assert sorted(trained_on[:10]) == sorted(trained_on[10:]) == others
    assert trained_on[:10] != trained_on[10:]


@pytest.mark.parametrize("family", ["pissa", "boft", "ia3"])
def test_training_lowers_the_loss_and_leaves_the_model_as_it_was(
    lm: LanguageModel, rows: list[QuestionRow], below: Below, family: str
) -> None:
    before = fingerprint(lm)
    _, curves = trained(lm, rows[:5], below, recipe(replace(TRAINING, lr=1e-2, epochs=2), family=family))
    assert curves["validation_loss"][-1] < curves["validation_loss"][0] - 0.01
    assert fingerprint(lm) == before


def test_no_graph_lives_on_while_the_next_loss_is_computed(
    lm: LanguageModel, rows: list[QuestionRow], below: Below, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[bool] = []
    last: list[ReferenceType[Tensor]] = []

    def watched(*args: object) -> Tensor:
        alive.extend(seen() is not None for seen in last)
        value = loss(*args)  # type: ignore[arg-type]  # as given
        last[:] = [ref(value)]
        return value

    monkeypatch.setattr(train, "loss", watched)
    trained(lm, rows, below, recipe())
    assert len(alive) > 2
    assert not any(alive)


def test_a_seed_repeats_itself_bit_for_bit(lm: LanguageModel, rows: list[QuestionRow], below: Below) -> None:
    (first, first_curves), (second, second_curves) = (trained(lm, rows[:6], below, recipe()) for _ in range(2))
    assert torch.equal(flat(first), flat(second))
    assert first_curves == second_curves
    assert not torch.equal(flat(trained(lm, rows[:6], below, recipe(seed=1))[0]), flat(first))


def test_training_leaves_the_random_state_alone(lm: LanguageModel, rows: list[QuestionRow], below: Below) -> None:
    before = torch.get_rng_state()
    trained(lm, rows[:4], below, replace(recipe(), engine="peft"))
    assert torch.equal(torch.get_rng_state(), before)


def test_both_signs_of_a_seed_start_from_the_same_values(
    lm: LanguageModel, rows: list[QuestionRow], below: Below
) -> None:
    still = recipe(replace(TRAINING, lr=0.0))
    plus, minus = (trained(lm, rows[:4], below, replace(still, sign=sign))[0] for sign in ("plus", "minus"))
    assert torch.equal(flat(plus), flat(minus))


def test_an_epoch_of_a_longer_run_is_the_shorter_run(lm: LanguageModel, rows: list[QuestionRow], below: Below) -> None:
    (_, short), (_, long) = (
        trained(lm, rows[:7], below, recipe(replace(TRAINING, warmup_steps=2, epochs=epochs))) for epochs in (1, 2)
    )
    assert long["loss"][:3] == short["loss"]
    assert long["validation_loss"][:2] == short["validation_loss"]
    assert len(long["loss"]) == 6


def test_the_rate_warms_up_and_then_stays(lm: LanguageModel, rows: list[QuestionRow], below: Below) -> None:
    _, curves = trained(lm, rows, below, recipe(TrainConfig(lr=4e-3, epochs=1, warmup_steps=4)))
    assert curves["lr"] == pytest.approx([1e-3, 2e-3, 3e-3, 4e-3, 4e-3])


@pytest.mark.parametrize("engine", ["native", "peft"])
def test_a_broken_loss_names_its_step_and_the_remedy(
    lm: LanguageModel, rows: list[QuestionRow], below: Below, engine: str
) -> None:
    before = fingerprint(lm)
    message = r"loss is (nan|inf) at step 1 of adapter lora \+ seed 0 .*\(lr 1e\+30\); lower the learning rate"
    with pytest.raises(TrainingError, match=message):
        trained(lm, rows, below, replace(recipe(replace(TRAINING, lr=1e30)), engine=engine))
    assert fingerprint(lm) == before


def test_a_validation_loss_that_breaks_is_no_result(
    lm: LanguageModel, rows: list[QuestionRow], below: Below, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = rows[0].question_id
    honest = train.loss

    def broken(lm: LanguageModel, batch: list[QuestionRow], *rest: object, **named: int) -> Tensor:
        value = honest(lm, batch, *rest, **named)
        return value * float("nan") if batch[0].question_id == held else value

    monkeypatch.setattr(train, "loss", broken)
    with pytest.raises(TrainingError, match="loss is nan at step 0"):
        trained(lm, rows[:4], below, recipe())


@pytest.mark.parametrize(
    ("engine", "targets", "names"),
    [
        ("native", "writers", {"o_proj", "down_proj"}),
        ("peft", "readers", {"q_proj", "k_proj", "v_proj", "up_proj", "gate_proj"}),
    ],
)
def test_a_rule_chooses_the_layers(
    lm: LanguageModel,
    rows: list[QuestionRow],
    below: Below,
    engine: str,
    targets: str,
    names: set[str],
) -> None:
    params, _ = trained(lm, rows[:4], below, replace(recipe(replace(TRAINING, targets=targets)), engine=engine))
    assert {path.rpartition(".")[-1] for path in params} == names
    assert len(params) == len(names) * len(LAYERS)


def test_parameters_are_named_by_the_path_of_their_layer(store: Store) -> None:
    from safetensors import safe_open

    with safe_open(store.get(adapter()) / "adapter.safetensors", "pt") as file:
        names = set(file.keys())
        # Entries of which there are several have no order of their own, and the file's bytes would vary.
        assert len(file.metadata()) == 1
    assert "model.layers.1.mlp.down_proj.adapter_A" in names
    assert names == {f"{path}.adapter_{name}" for path in read_adapter(store, adapter()) for name in ("A", "B")}


def test_three_questions_are_enough_and_fewer_are_refused(
    lm: LanguageModel, rows: list[QuestionRow], below: Below
) -> None:
    assert len(trained(lm, rows[:3], below, recipe())[1]["loss"]) == 1
    for n in range(3):
        with pytest.raises(DataError, match=f"{n} questions have usable pairs; training needs at least 3"):
            trained(lm, rows[:n], below, recipe())


def test_attention_is_put_back_after_an_exception(lm: LanguageModel) -> None:
    def interrupted() -> None:
        with packed_sequences(lm.model):
            assert lm.model.config._attn_implementation == "packed"
            raise KeyboardInterrupt

    before = lm.model.config._attn_implementation
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert lm.model.config._attn_implementation == before != "packed"


def test_states_below_are_those_of_each_text(lm: LanguageModel, rows: list[QuestionRow], below: Below) -> None:
    texts = [text for row in (rows[7], rows[1]) for text in row.texts]
    [packed] = pack(texts)
    torch.testing.assert_close(
        below.batch.along(packed, [below.places[text] for text in texts]),
        lower(lm, packed, stop=LAYERS.start),
        rtol=1e-5,
        atol=1e-5,
    )


def test_an_artifact_holds_what_training_gave(lm: LanguageModel, store: Store) -> None:
    rows, below = train.started(lm, store, PAIRS, "plus", start=LAYERS.start)
    params, curves = trained(lm, rows, below, adapter())
    kept = read_adapter(store, adapter())
    assert kept.keys() == lm.linears(LAYERS.start, LAYERS.stop).keys()
    assert all(torch.equal(kept[path][name], value) for path in params for name, value in params[path].items())
    assert read_curves(store, adapter()) == curves
