"""Every intervention does what its formula says, is the unchanged model at coefficient 0, and leaves no trace."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ws.behaviors import Question
from ws.delta.folders.delta import folder_delta, folder_sha256, folders_delta
from ws.delta.folders.peft_files import CONFIG, WEIGHTS, save_peft
from ws.delta.weight_delta import WeightDelta, difference
from ws.errors import DataError, MismatchError, ShapeError
from ws.models.language import LanguageModel, Placed
from ws.models.table import OWN_MODELS, KnownModel, ModelSource
from ws.scoring.rows import Rows
from ws.steering import interventions
from ws.steering.interventions import (
    Activations,
    Intervention,
    Nothing,
    SystemPrompt,
    Vectors,
    Weights,
    folder_weights,
    read_vectors,
)
from ws.steering.states import Prompt, last_states
from ws.store import Store
from ws.tests.small import LAYERS, ON, SHAPES, SYCOPHANCY, adapter, fingerprint, merged
from ws.training.direction import Direction, direction_delta
from ws.training.train import read_adapter

IDS = torch.randint(10, 900, (2, 12), generator=torch.Generator().manual_seed(3))
DIRECTION = Direction(adapter(), adapter(sign="minus"))
QUESTIONS: tuple[Question, ...] = SYCOPHANCY.questions("validation")[:4]


@dataclass(frozen=True)
class Given(Vectors):
    """The same step in every block but the silent one: a vector of length `size` on the first axis."""

    size: float = 3.0
    silent: int | None = None

    @property
    def on(self) -> Placed:
        return ON

    def fit(self, store: Store) -> Tensor:
        vectors = torch.zeros(6, 64)
        vectors[:, 0] = self.size
        if self.silent is not None:
            vectors[self.silent] = 0
        return vectors

    def describe(self) -> str:
        return "given vectors"


STEERS = (Weights(DIRECTION), Activations(Given(), (2, 4)))
EVERY = (Nothing(), SystemPrompt("You are terse."), *STEERS)
every = pytest.mark.parametrize("intervention", EVERY, ids=lambda one: type(one).__name__)
steers = pytest.mark.parametrize("intervention", STEERS, ids=lambda one: type(one).__name__)


def logits(lm: LanguageModel) -> Tensor:
    with torch.no_grad():
        return lm.model(IDS).logits


def folders(lm: LanguageModel, store: Store, root: Path, family: str = "lora") -> tuple[Path, Path]:
    """Both adapters of DIRECTION's kind as PEFT keeps them."""
    for sign in ("plus", "minus"):
        save_peft(root / sign, lm, read_adapter(store, adapter(family, sign=sign)), SHAPES[family])
    return root / "plus", root / "minus"


@every
def test_coefficient_zero_is_the_unchanged_model(lm: LanguageModel, store: Store, intervention: Intervention) -> None:
    before, untouched = logits(lm), fingerprint(lm)
    intervention.check(0.0)
    assert intervention.system(0.0) is None
    # What changes no weight and no activation is run from the bottom.
    assert (intervention.ready(lm, store).start == 0) == (intervention in EVERY[:2])
    with intervention.ready(lm, store).at(0.0):
        assert fingerprint(lm) == untouched
        assert torch.equal(logits(lm), before)


@steers
@pytest.mark.parametrize("coeff", [-1.0, 0.3, 1e8])
def test_the_model_is_back_bit_for_bit(
    lm: LanguageModel, store: Store, intervention: Intervention, coeff: float
) -> None:
    before, answers = fingerprint(lm), logits(lm)
    with intervention.ready(lm, store).at(coeff):
        assert not torch.equal(logits(lm), answers)
    assert fingerprint(lm) == before
    assert torch.equal(logits(lm), answers)


@steers
def test_the_model_is_back_after_an_exception(lm: LanguageModel, store: Store, intervention: Intervention) -> None:
    def interrupted() -> None:
        with intervention.ready(lm, store).at(1.0):
            raise KeyboardInterrupt

    before = fingerprint(lm)
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert fingerprint(lm) == before


@steers
def test_nothing_moves_below_the_block_it_starts_at(
    lm: LanguageModel, store: Store, intervention: Intervention
) -> None:
    prompts = [Prompt(question.text) for question in QUESTIONS]
    still, ready = last_states(lm, prompts), intervention.ready(lm, store)
    with ready.at(1.0):
        moved = last_states(lm, prompts)
    same = [torch.equal(a, b) for a, b in zip(still, moved, strict=True)]
    assert same == [True] * (ready.start + 1) + [False] * (lm.n_layers - ready.start)


def test_weights_are_those_of_the_direction(lm: LanguageModel, store: Store) -> None:
    ready = Weights(DIRECTION).ready(lm, store)
    assert ready.start == LAYERS.start
    with torch.no_grad():
        expected = merged(lm, direction_delta(DIRECTION, lm, store), coeff=-0.7)(IDS).logits
    with ready.at(-0.7):
        torch.testing.assert_close(logits(lm), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("scale", "length"), [("raw", 3.0), ("unit", 1.0)])
def test_an_activation_is_added_to_what_the_block_leaves(
    lm: LanguageModel, store: Store, scale: str, length: float
) -> None:
    prompts = [Prompt(question.text) for question in QUESTIONS]
    still = last_states(lm, prompts)[3]
    with Activations(Given(), (2,), scale).ready(lm, store).at(-0.5):
        moved = last_states(lm, prompts)[3]
    expected = torch.zeros(64)
    expected[0] = -0.5 * length
    torch.testing.assert_close(moved - still, expected.expand_as(still), atol=1e-5, rtol=0)


def test_an_activation_moves_every_token(lm: LanguageModel, store: Store) -> None:
    seen: list[Tensor] = []
    handle = lm.layers[3].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        logits(lm)
        with Activations(Given(), (2,)).ready(lm, store).at(2.0):
            logits(lm)
    finally:
        handle.remove()
    step = (seen[1] - seen[0])[..., 0]
    torch.testing.assert_close(step, torch.full((2, 12), 6.0), atol=1e-5, rtol=0)


def test_words_have_no_strength() -> None:
    prompt = SystemPrompt("You are terse.")
    prompt.check(1.0)
    assert prompt.system(1.0) == "You are terse."
    for coeff in (-1.0, 0.5, 2.0):
        with pytest.raises(
            DataError, match=rf"system prompt at coefficient {re.escape(f'{coeff:+g}')}; expected 1 .* or"
        ):
            prompt.check(coeff)
    with pytest.raises(DataError, match=r"unchanged model at coefficient \+1; expected 0"):
        Nothing().check(1.0)


def test_what_cannot_steer_is_refused(lm: LanguageModel, store: Store) -> None:
    for text in ("", "  ", " terse", "terse\n"):
        with pytest.raises(DataError, match="expected words without space around them; write some, or use Nothing"):
            SystemPrompt(text)
    for layers in ((), (1, 1), (-1, 2)):
        with pytest.raises(ShapeError, match="each once, counted from 0"):
            Activations(Given(), layers)
    with pytest.raises(ShapeError, match="no block 6: tiny-random-qwen3 has blocks 0 to 5"):
        Activations(Given(), (2, 6)).ready(lm, store)
    with pytest.raises(ShapeError, match="given vectors has a vector of length 0 at block 4"):
        Activations(Given(silent=4), (2, 4), "unit").ready(lm, store)


def test_vectors_are_kept_as_an_artifact(store: Store) -> None:
    torch.testing.assert_close(read_vectors(store, Given(2.0)), Given(2.0).fit(store))
    assert store.key(Given(2.0)) != store.key(Given(3.0))


@pytest.mark.parametrize("family", ["lora", "ia3"])
def test_peft_folders_are_the_direction_they_were_saved_from(
    lm: LanguageModel, store: Store, tmp_path: Path, family: str
) -> None:
    ready = folder_weights(*folders(lm, store, tmp_path, family)).ready(lm, store)
    direction = Direction(adapter(family), adapter(family, sign="minus"))
    with Weights(direction).ready(lm, store).at(1.0):
        expected = logits(lm)
    with ready.at(1.0):
        torch.testing.assert_close(logits(lm), expected, atol=1e-5, rtol=1e-5)


def test_peft_folders_are_known_by_their_contents(lm: LanguageModel, store: Store, tmp_path: Path) -> None:
    plus, minus = folders(lm, store, tmp_path)
    before = folder_weights(plus, minus)
    assert before == folder_weights(plus, minus)
    assert before.contents[0] != before.contents[1]
    kept = (plus / WEIGHTS).read_bytes()
    (plus / WEIGHTS).write_bytes((minus / WEIGHTS).read_bytes())
    assert folder_sha256(plus) == before.contents[1]
    with pytest.raises(MismatchError, match=rf"^{plus} changed since the run began; start again"):
        before.ready(lm, store)
    (minus / WEIGHTS).write_bytes(kept)
    with pytest.raises(MismatchError, match=rf"^{plus} and {minus} changed since the run began"):
        before.ready(lm, store)


def test_dw_of_folders_keeps_its_key_whatever_models_of_one_s_own_are_known(
    lm: LanguageModel, store: Store, tmp_path: Path, no_own_models: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = Rows(ON, QUESTIONS, "", folder_weights(*folders(lm, store, tmp_path)))
    before = store.key(rows)
    own = KnownModel("mine@01234567", ModelSource("files", "01234567"), seeds=3, home=tmp_path)
    monkeypatch.setitem(OWN_MODELS, own.name, own)
    assert Store(store.root).key(rows) == before


def test_dw_of_folders_is_made_once_for_all_coefficients(
    lm: LanguageModel, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[Path, ...]] = []

    def counted(plus: Path, minus: Path, lm: LanguageModel) -> WeightDelta:
        made.append((plus, minus))
        return folders_delta(plus, minus, lm)

    monkeypatch.setattr(interventions, "folders_delta", counted)
    plus, minus = folders(lm, store, tmp_path)
    for _ in range(2):
        folder_weights(plus, minus).ready(lm, store)
    folder_weights(minus, plus).ready(lm, store)
    assert made == [(plus, minus), (minus, plus)]


def test_equal_peft_folders_are_refused(lm: LanguageModel, store: Store, tmp_path: Path) -> None:
    plus, _ = folders(lm, store, tmp_path)
    with pytest.raises(MismatchError, match="dW is zero"):
        folder_weights(plus, plus).ready(lm, store)
    assert difference(folder_delta(plus, lm), 0.5 * folder_delta(plus, lm)).norm > 0


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_folder_without_an_adapter_is_refused(lm: LanguageModel, store: Store, tmp_path: Path, name: str) -> None:
    plus, minus = folders(lm, store, tmp_path)
    (minus / name).unlink()
    with pytest.raises(MismatchError, match=rf"minus has no {name}"):
        folder_weights(plus, minus)
    # Before there is a model, since that may take long to come.
    (minus / CONFIG).write_text('{"peft_type": "PROMPT_TUNING"}')
    with pytest.raises(MismatchError, match="learns tokens in front of the prompt"):
        folder_weights(plus, minus)
