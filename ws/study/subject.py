"""One model and one behavior, and the recipes of everything that a claim reads of them."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

from ws.behaviors import Behavior, Question, behavior
from ws.behaviors.brought import OwnBehavior
from ws.behaviors.honesty import HONESTY, from_pool
from ws.behaviors.judges import judges_of
from ws.behaviors.messages import Message, Untrained, untrained
from ws.errors import DataError, UnknownNameError
from ws.lenses.activations import fit_prompts
from ws.models.language import Placed
from ws.models.scale import Scale
from ws.models.table import known_model, weights_of
from ws.scoring.rows import COEFFS, Rows
from ws.scoring.text import FIRST_PAIR, SampledAnswers, TextRows
from ws.scoring.written import WrittenRows
from ws.stats.sweep import JOURNALS_PAIR, Measure, raw_pair
from ws.steering.interventions import Intervention, Nothing, Weights
from ws.steering.states import Prompt
from ws.training.direction import Direction
from ws.training.hyperparameters import Hyperparameters, hyperparameters_of
from ws.training.inject import Engine
from ws.training.pairs import Pairs
from ws.training.train import Adapter

MESSAGES = {("smollm2-135m", "honesty"): 22}
"""How many training messages are used, where it is not all of them. 22 are two of each category of honesty's pool; with
five pairs of personas they make 110 pairs, about as many as sycophancy has."""

HELDOUT_MESSAGES, VALIDATION_MESSAGES = 40, 20
"""How many messages' answers are scored as text, or written: for a verdict, and where something is chosen. A behavior
of one's own has as many or more, all of which are scored."""

FEW_HELDOUT, FEW_VALIDATION = 10, 4
"""The same on a model whose scale asks little of it (`Scale.rows`)."""

PERSONA_PAIRS = 2
"""Pairs of opposite personas under which a message is answered; cuts of dW are scored on the first."""

TEXT_TOKENS = 16
"""The longest answer that is scored as text, or written: on the model that ships, 2/3 of the cost of training's 24."""

TEXT_SEED, WRITTEN_SEED = 1000, 2000
"""What is added to a training seed to sample the answers that are scored as text, and those that an arm writes."""

Split = Literal["heldout", "validation"]


@dataclass(frozen=True)
class Subject:
    """One model and one behavior, and the recipes of what is made and measured on them."""

    model: str
    device: str = "cpu"
    behavior_name: str = "sycophancy"
    engine: Engine = "native"
    """The code that trains the adapters; "peft" is the reference for "native"."""
    messages: int | None = None
    """How many training messages to use; None uses as many as MESSAGES says, or all."""
    pool: Path | None = None
    """The file of messages that honesty is trained on; None uses ours."""

    @property
    def behavior(self) -> Behavior:
        if self.pool is not None and self.behavior_name == HONESTY.name:
            return _from_pool(self.pool)
        return behavior(self.behavior_name)

    @property
    def scale(self) -> Scale:
        """How much is asked of the model."""
        return known_model(self.model).scale

    @property
    def on(self) -> Placed:
        return Placed(weights_of(self.model), self.device)

    def pairs(self, seed: int) -> Pairs:
        """The training pairs of a seed."""
        b, tokens = self.behavior, self.scale.answer_tokens
        n = self.messages or self.scale.messages or MESSAGES.get((self.model, self.behavior_name))
        return Pairs(self.on, b.training_questions()[:n], b.positive, b.negative, seed=seed, max_new_tokens=tokens)

    def adapter(self, family: str, *, sign: Literal["plus", "minus"], seed: int) -> Adapter:
        """The adapter of a family and sign; `seed` varies its pairs, its start values and its order of steps."""
        return self.custom_adapter(hyperparameters_of(self.model, family, self.behavior_name), sign=sign, seed=seed)

    def custom_adapter(self, recipe: Hyperparameters, *, sign: Literal["plus", "minus"], seed: int) -> Adapter:
        """The adapter of any recipe."""
        return Adapter(self.pairs(seed), sign, recipe.shape, recipe.training, seed, self.engine)

    def direction(self, family: str, *, seed: int) -> Direction:
        """dW of a family: its plus adapter minus its minus adapter."""
        return self.custom_direction(hyperparameters_of(self.model, family, self.behavior_name), seed=seed)

    def custom_direction(self, recipe: Hyperparameters, *, seed: int) -> Direction:
        """dW of any recipe."""
        plus, minus = (self.custom_adapter(recipe, sign=sign, seed=seed) for sign in ("plus", "minus"))
        return Direction(plus, minus)

    def weights(self, family: str, *, seed: int) -> Weights:
        """The intervention of adding dW of a family."""
        return Weights(self.direction(family, seed=seed))

    def random_direction(self, family: str, *, seed: int) -> Direction:
        """The control for dW: random values with its norm and rank in every tensor."""
        return replace(self.direction(family, seed=seed), random_seed=seed)

    def same_sign_direction(self, family: str, *, seed: int, other: int) -> Direction:
        """The control that has two adapters of one sign: plus of `seed` minus plus of `other`."""
        return Direction(self.adapter(family, sign="plus", seed=seed), self.adapter(family, sign="plus", seed=other))

    def rows(self, intervention: Intervention, *, coeffs: tuple[float, ...] = COEFFS) -> Rows:
        """Held-out and neutral questions under an intervention."""
        return self._rows(_asked(self.model, self.behavior_name, "heldout"), intervention, coeffs)

    @property
    def base_rows(self) -> Rows:
        """Held-out and neutral questions in the unchanged model."""
        return self.rows(Nothing(), coeffs=(0.0,))

    def validation_rows(self, intervention: Intervention, *, coeffs: tuple[float, ...]) -> Rows:
        """Validation questions under an intervention: for choosing hyper-parameters, never for a claim."""
        return self._rows(_asked(self.model, self.behavior_name, "validation"), intervention, coeffs)

    @property
    def first_pair(self) -> str:
        """The pair of phrasings that cuts of dW are scored on: the journal's, or the first of one's own."""
        b = self.behavior
        return raw_pair(one.pair for one in b.phrasings) if isinstance(b, OwnBehavior) else JOURNALS_PAIR

    @property
    def cut_questions(self) -> tuple[Question, ...]:
        """The questions for cuts of dW: one pair of every second held-out claim, since there are so many cuts.

        Held-out claims are listed by topic, so every topic is among them.
        """
        return _asked_of_cuts(self.model, self.behavior_name, self.first_pair)

    @property
    def fit_prompts(self) -> tuple[Prompt, ...]:
        """What activation directions are read from: never a question or a message that a claim scores.

        Of a behavior of one's own these are its other messages, read where the answer would begin.
        """
        b = self.behavior
        prompts = message_prompts(b) if isinstance(b, OwnBehavior) else fit_prompts(b)
        return prompts[: self.scale.fit_prompts]

    def cut_rows(self, cut: Intervention, *, coeffs: tuple[float, ...] = (1.0,)) -> Rows:
        """Held-out questions under a cut of a direction."""
        return self._rows(self.cut_questions, cut, coeffs)

    def messages_of(self, split: Split) -> tuple[Message, ...]:
        """User messages that nothing is trained on: for judging ("heldout") or for choosing ("validation").

        Raises: DataError if the behavior, or its pool, has too few.
        """
        trained = frozenset(text for _, text in self.pairs(0).questions)
        few = self.scale.rows is not None
        return getattr(_untrained(self.behavior, self.pool, trained, few=few), split)

    def answers(self, seed: int, *, split: Split = "heldout") -> SampledAnswers:
        """What the unchanged model says under opposite personas, sampled anew for each training seed."""
        b = self.behavior
        return SampledAnswers(
            self.on,
            self.messages_of(split),
            b.positive,
            b.negative,
            TEXT_SEED + seed,
            min(PERSONA_PAIRS, len(b.positive)),
            self._text_tokens,
        )

    def text_rows(
        self, intervention: Intervention, *, seed: int, coeffs: tuple[float, ...] = COEFFS, split: Split = "heldout"
    ) -> TextRows:
        """The answers that were sampled for a training seed, under an intervention."""
        return TextRows(self.on, self.answers(seed, split=split), intervention, coeffs)

    def cut_text_rows(self, cut: Intervention, *, seed: int, coeffs: tuple[float, ...] = (1.0,)) -> TextRows:
        """One pair of answers to each message under a cut of a direction, since there are so many cuts."""
        return TextRows(self.on, self.answers(seed), cut, coeffs, FIRST_PAIR)

    def written_rows(self, intervention: Intervention, *, seed: int, coeffs: tuple[float, ...]) -> WrittenRows:
        """What the steered model says to the held-out messages, drawn with random numbers of a training seed.

        Raises: UnknownNameError if the behavior has no judges.
        """
        return WrittenRows(
            self.on,
            self.messages_of("heldout"),
            judges_of(self.behavior),
            intervention,
            coeffs,
            WRITTEN_SEED + seed,
            self._text_tokens,
        )

    def scored(
        self, measure: Measure, intervention: Intervention, *, seed: int, coeffs: tuple[float, ...]
    ) -> Rows | TextRows | WrittenRows:
        """What a measure reads of an intervention; of Yes/No questions the same for every seed.

        Raises: UnknownNameError if there is no such measure.
        """
        _check_measure(measure)
        match measure:
            case "text":
                return self.text_rows(intervention, seed=seed, coeffs=coeffs)
            case "written":
                return self.written_rows(intervention, seed=seed, coeffs=coeffs)
        return self.rows(intervention, coeffs=coeffs)

    def cut_scored(
        self, measure: Measure, cut: Intervention, *, seed: int, coeffs: tuple[float, ...]
    ) -> Rows | TextRows:
        """What a measure reads of a cut of a direction.

        Raises: UnknownNameError if there is no such measure; DataError for written answers, which take minutes where
            there are hundreds of cuts.
        """
        _check_measure(measure)
        if measure == "written":
            raise DataError(
                f"{cut.describe()} was asked for as written: hundreds of cuts would write for days; measure it as text"
            )
        if measure == "text":
            return self.cut_text_rows(cut, seed=seed, coeffs=coeffs)
        return self.cut_rows(cut, coeffs=coeffs)

    @property
    def _text_tokens(self) -> int:
        return min(TEXT_TOKENS, self.scale.answer_tokens)

    def _rows(self, asked: tuple[Question, ...], intervention: Intervention, coeffs: tuple[float, ...]) -> Rows:
        return Rows(self.on, asked, self.behavior.prefill, intervention, coeffs)


def message_prompts(b: OwnBehavior) -> tuple[Prompt, ...]:
    """The messages to train on and to choose by, without a beginning of the answer."""
    return tuple(Prompt(text) for text in (*(text for _, text in b.training_questions()), *b.validation_messages))


@lru_cache(maxsize=2)
def _from_pool(pool: Path) -> Behavior:
    return from_pool(pool)


@lru_cache(maxsize=8)
def _untrained(b: Behavior, pool: Path | None, trained: frozenset[str], *, few: bool) -> Untrained:
    heldout, validation = (FEW_HELDOUT, FEW_VALIDATION) if few else (HELDOUT_MESSAGES, VALIDATION_MESSAGES)
    if isinstance(b, OwnBehavior) and not few:
        # Whoever brings more messages wants them asked.
        heldout, validation = len(b.heldout_messages), len(b.validation_messages)
    return untrained(b, trained=trained, heldout=heldout, validation=validation, pool=pool)


@lru_cache(maxsize=16)
def _asked(model: str, behavior_name: str, split: str) -> tuple[Question, ...]:
    """The questions of a split, held-out ones with the plain facts behind them."""
    b, scale = behavior(behavior_name), known_model(model).scale
    neutral = b.neutral_questions() if split == "heldout" else ()
    return (*b.questions(split)[: scale.rows], *neutral[: scale.facts])


@lru_cache(maxsize=16)
def _asked_of_cuts(model: str, behavior_name: str, pair: str) -> tuple[Question, ...]:
    asked = tuple(q for q in _asked(model, behavior_name, "heldout") if q.pair == pair)
    chosen = set(list(dict.fromkeys(q.cluster for q in asked))[:: known_model(model).scale.cut_stride])
    return tuple(q for q in asked if q.cluster in chosen)


def _check_measure(measure: str) -> None:
    """Whatever is no measure of text would else be read as one of Yes and No. Raises: UnknownNameError for a typo."""
    if measure not in get_args(Measure):
        raise UnknownNameError("measure", measure, get_args(Measure))
