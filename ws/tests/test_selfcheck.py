"""The self-check allows packed sequences where they are right, and finds every architecture where they are not."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
import torch
import transformers
from torch import Tensor, nn

from ws.code.sources import reached
from ws.delta import steering as steer
from ws.engine import loading as outcome
from ws.engine import selfcheck
from ws.engine.choice import prepared
from ws.engine.loading import SelfCheck, loaded
from ws.engine.plain import PlainBatch, own_logits
from ws.engine.selfcheck import Difference, Outcome, apart, examined
from ws.engine.trial import LONG, NEW, Trial, ends, merged
from ws.errors import ModelError
from ws.models.language import LanguageModel, load
from ws.scoring.rows import Rows
from ws.store import Store
from ws.tests.architectures import PACKED, PLAIN, WINDOWED, tiny_decoder
from ws.tests.small import ON, fingerprint, shared_store
from ws.tests.told import Told

Case = tuple[str, str | None, dict[str, object]]

ENOUGH = 100
"""Least error, in multiples of rounding, of an architecture that packed sequences compute wrongly."""


def made(case: Case) -> LanguageModel:
    architecture, config, settings = case
    return tiny_decoder(architecture, config, num_hidden_layers=2, **settings)


@pytest.fixture(scope="module")
def llama() -> LanguageModel:
    return made(PACKED["Llama"])


@pytest.mark.parametrize("case", PACKED.values(), ids=PACKED)
def test_what_packed_sequences_compute_rightly_stays_fast(case: Case) -> None:
    assert examined(made(case)) == Outcome("packed", ())


@pytest.mark.parametrize("case", WINDOWED.values(), ids=WINDOWED)
def test_a_window_is_kept_to_and_longer_prompts_are_plain(case: Case) -> None:
    lm = made(case)
    assert examined(lm) == Outcome("packed", ())
    short, long = Trial.of(lm).long, (*Trial.of(lm).long, 5, 6, 7)
    assert len(short) == 16
    batch = prepared(lm, (long, short), start=1)
    assert isinstance(batch, PlainBatch)
    found = {place: logits()[0] for place, logits in batch.read(lm, [slice(-1, None)] * 2)}
    for place, prompt in enumerate((long, short)):
        torch.testing.assert_close(found[place], own_logits(lm, [prompt], keep=1)[0, 0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("case", PLAIN.values(), ids=PLAIN)
def test_what_packed_sequences_get_wrong_falls_back_to_the_plain_pass(case: Case) -> None:
    lm = made(case)
    before = fingerprint(lm)
    found = examined(lm)
    assert found.passes == "plain"
    assert all(difference.what.endswith("(packed)") for difference in found.why)
    assert max(difference.seen / difference.allowed for difference in found.why) > ENOUGH
    assert fingerprint(lm) == before


def test_a_window_that_no_config_names_is_seen(llama: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny_decoder("Mistral", num_hidden_layers=2, sliding_window=16)
    monkeypatch.setattr("ws.engine.trial.window", lambda lm: None)
    monkeypatch.setattr("ws.engine.depth.window", lambda lm: None)
    monkeypatch.setattr("ws.engine.choice.window", lambda lm: None)
    found = examined(lm)
    assert found.passes == "plain"
    assert found.why[0].what == "logits at several tokens (packed)"


def test_what_no_cache_is_right_for_runs_prompt_by_prompt(
    llama: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> Tensor:
        raise IndexError("no such cache")

    monkeypatch.setattr(llama.model, "generate", refuse)
    found = examined(llama)
    assert found.passes == "alone"
    ways = [
        "tokens that follow (packed): IndexError: no such cache",
        "tokens that follow (plain): IndexError: no such cache",
    ]
    assert [*map(str, found.why)] == ways


def test_a_model_that_runs_a_block_twice_is_not_cut(llama: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = llama.layers
    block = first.forward
    monkeypatch.setattr(first, "forward", lambda x, **named: second(block(x, **named), **named))
    found = examined(llama)
    assert found.passes != "packed"
    assert "states of Llama where 2 were expected: it does not run each of its 2 blocks once" in found.why[0].error


def test_a_dw_that_is_lost_beside_weights_is_refused(llama: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steer, "_beside", lambda *_: nullcontext())
    with pytest.raises(ModelError, match=r"cannot score Llama: .* prompt by prompt it still differs .* under a dW"):
        examined(llama)


def test_a_model_that_looks_ahead_is_refused() -> None:
    lm = tiny_decoder("Llama", num_hidden_layers=2)
    for layer in lm.layers:
        layer.self_attn.is_causal = False
    lm.model.set_attn_implementation("sdpa")
    lm.model.get_decoder().register_forward_pre_hook(_open, with_kwargs=True)
    with pytest.raises(ModelError, match=r"at a token change by .* of the largest with the tokens behind it"):
        examined(lm)


def _open(_: nn.Module, inputs: tuple[object, ...], named: dict[str, object]) -> tuple[tuple[object, ...], dict]:
    length = named["input_ids"].shape[1]
    return inputs, named | {"attention_mask": torch.zeros(1, 1, length, length)}


def test_a_model_that_draws_at_random_is_refused() -> None:
    lm = tiny_decoder("Llama", num_hidden_layers=2, attention_dropout=0.5)
    lm.model.train()
    with pytest.raises(ModelError, match=r"the same prompt moves the logits of Llama by .* from one pass to the next"):
        examined(lm)


def test_a_model_without_logits_for_token_ids_is_refused(llama: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(**_: object) -> None:
        raise ValueError("give me pixels")

    monkeypatch.setattr(llama.model, "forward", forward)
    with pytest.raises(ModelError, match=r"Llama gives no logits for token ids alone \(ValueError: give me pixels\)"):
        examined(llama)


def test_logits_that_are_no_numbers_are_refused() -> None:
    lm = made(PACKED["Llama"])
    torch.nn.init.constant_(lm.model.lm_head.weight, torch.nan)
    with pytest.raises(ModelError, match="0% of them finite, for 40 tokens; expected a finite row for each"):
        examined(lm)


def test_the_trial_fits_the_model(llama: LanguageModel) -> None:
    trial = Trial.of(llama)
    assert len(trial.long) == 64 - NEW < LONG
    first, second, single, other, middle = trial.prompts
    assert first[:9] == second[:9]
    assert first[9:] != second[9 : len(first)]
    assert (len(single), len(other), len(middle)) == (1, len(first), 40)
    assert trial.start == 1
    assert all(path.startswith("model.layers.1.") for path in trial.delta.tensors)


def test_numbers_are_apart_by_a_part_of_the_largest() -> None:
    assert apart(torch.tensor([1.0, 10.0]), torch.tensor([2.0, 10.0])) == pytest.approx(0.1)
    assert apart(torch.tensor([torch.nan]), torch.tensor([1.0])) == torch.inf


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return shared_store(tmp_path_factory)


@contextmanager
def found(passes: str, why: tuple[Difference, ...], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A self-check that finds this; yields the names of the models that were looked at."""
    looked: list[str] = []

    def examine(lm: LanguageModel) -> Outcome:
        looked.append(lm.name)
        return Outcome(passes, why)

    with monkeypatch.context() as patch:
        patch.setattr(selfcheck, "examined", examine)
        patch.setattr(outcome, "_FOUND", {})
        yield looked


def test_what_is_found_is_kept_said_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    fresh = Store(tmp_path)
    with found("plain", (Difference("logits (packed)", 0.5, 1e-5),), monkeypatch) as looked:
        lm = loaded(ON, fresh)
        assert lm.passes == "plain"
        assert loaded(ON, fresh) is lm
        assert loaded(ON, Store(tmp_path)).passes == "plain"
    assert looked == ["tiny-random-qwen3"]
    assert lm.model is load(ON.weights, store=fresh).model
    because = "runs through its own forward pass, slower than packed prompts, because of logits (packed): off by"
    assert sum(because in line for line in told) == 1


def test_a_model_whose_prompts_are_packed_is_the_one_that_was_read(store: Store) -> None:
    assert loaded(ON, store) is load(ON.weights, store=store)


def test_a_self_check_is_of_weights_a_device_and_releases(store: Store) -> None:
    one = SelfCheck(ON.weights, "cpu")
    others = SelfCheck(ON.weights, "cuda"), SelfCheck(ON.weights, "cpu", ("2.0.0", "5.0.0"))
    # A wheel may leave out of its metadata which CUDA it was built for.
    assert [release.partition("+")[0] for release in one.releases] == [
        module.__version__.partition("+")[0] for module in (torch, transformers)
    ]
    assert len({store.key(recipe) for recipe in (one, *others)}) == 3


def test_only_the_self_check_itself_depends_on_how_it_looks() -> None:
    assert any(name.startswith("ws.engine.selfcheck:examined") for name in reached(SelfCheck.build))
    assert not any("selfcheck" in name or "ws.engine.trial" in name for name in reached(Rows.build))


def test_measures_see_what_they_are_of(llama: LanguageModel) -> None:
    trial = Trial.of(llama)
    steered, still = (ends(llama, trial, steering) for steering in (merged, lambda *_: nullcontext()))
    assert apart(steered, still) > 1e-3
