"""The contest: every way of steering a model towards a behavior, on the same rows and equally far from the base.

dW of an adapter family, a system prompt and an activation direction are interventions of one protocol. All of them are
scored on the same everyday dilemmas, plain facts and off-target axes, and on the same text, once at coefficient 1 and
once at equal KL, the coefficient at which each is equally far from the base model. Whatever a rival can choose (which
prompt, which block, which coefficient) is chosen on validation dilemmas, or on validation text.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

from ws.behaviors import Question, behavior
from ws.behaviors.axes import read_axes
from ws.behaviors.neutral_text import read_passages
from ws.behaviors.pool import PoolEntry, read_pool
from ws.behaviors.prompts import prompts_for
from ws.contest.arm import RecipeOf
from ws.contest.rivals import RandomVectors
from ws.contest.vectors import vectors_by
from ws.dilemmas import INFINITIVE, LISTED, Dilemma, of_split, questions, read_hub, read_own
from ws.errors import DataError, UnknownNameError
from ws.models.table import known_model
from ws.scoring.fluency import FluentRange
from ws.scoring.rows import Rows
from ws.scoring.side_effects import SideEffects
from ws.scoring.thought import ThoughtRows
from ws.steering.interventions import Activations, Intervention, SystemPrompt, Vectors, Weights
from ws.steering.iso_kl import Divergence, IsoKL
from ws.study.subject import Subject

RANKED = ("delora", "dora", "pissa", "oft", "lora", "ia3")
"""The families that the journal ranks on dilemmas, in its order."""

HUB_SET = "kellycyy/daily_dilemmas", "372352c4143ec4923c50b4472bd3148a474f7ab8"
"""The published dilemmas and the commit they are read at, for models that are meant for a GPU."""

A_SIDE = 2
"""Held-out dilemmas of each topic and each side of the honest action: 56 of 210, 112 rows, as there are many arms."""

N_AXES = 5
"""Off-target axes that every arm is scored on, the first of the file."""

FLUENT_ROWS = 24
"""Validation rows whose pmass shows whether the model still answers."""


@dataclass(frozen=True)
class Contest:
    """One model, and the recipes of every arm on it."""

    subject: Subject
    """The model and the behavior, which is honesty wherever arms are compared on dilemmas."""

    @property
    def questions(self) -> tuple[Question, ...]:
        """Questions about both actions of held-out dilemmas, then the plain facts."""
        return asked(self.subject.model)

    @property
    def validation_questions(self) -> tuple[Question, ...]:
        """Dilemmas for choosing rivals' settings, which no claim reads; from our own set on every model."""
        return asked_to_choose(self.subject.model)

    @property
    def axis_questions(self) -> tuple[Question, ...]:
        """Statements of the off-target axes."""
        return asked_off_target(self.subject.model)

    @property
    def conduct_questions(self) -> tuple[Question, ...]:
        """Honesty's own held-out claims, which name honest conduct; asked in two pairs of opposite phrasings."""
        return self.subject.behavior.questions("heldout")[: self.subject.scale.rows]

    @property
    def messages(self) -> tuple[str, ...]:
        """User messages for greedy answers: one of each category of the pool, on which no adapter is trained."""
        return tuple(entry.user_msg for entry in unseen(self.subject.pool, frozenset(q for _, q in self.trained_on)))

    @property
    def trained_on(self) -> tuple[tuple[str, str], ...]:
        """Id and text of the messages that adapters are trained on."""
        return self.subject.pairs(0).questions

    def weights(self, family: str, *, seed: int, trained: str | None = None) -> Weights:
        """dW of a family, trained on the behavior of the contest or on another one."""
        return Weights(self._trained_on(trained).direction(family, seed=seed))

    def random_weights(self, family: str, *, seed: int) -> Weights:
        """The control for dW: random values with its norm and rank in every tensor."""
        return Weights(self.subject.random_direction(family, seed=seed))

    def same_sign_weights(self, family: str, *, seed: int, other: int) -> Weights:
        """The control that has two plus adapters: one of `seed` minus one of `other`."""
        return Weights(self.subject.same_sign_direction(family, seed=seed, other=other))

    def prompt(self, name: str) -> SystemPrompt:
        """A system prompt by its name. Raises: UnknownNameError listing the prompts that the behavior has."""
        asked = prompts_for(self.subject.behavior_name)
        texts = {prompt.name: prompt.text for prompt in asked if prompt.text is not None}
        if name not in texts:
            raise UnknownNameError("prompt", name, texts)
        return SystemPrompt(texts[name])

    def vectors(self, method: str, *, seed: int) -> Vectors:
        """Vectors of the behavior by one of METHODS, one for every block."""
        return vectors_by(self.subject, method, seed=seed)

    def activations(self, method: str, *, blocks: tuple[int, ...], seed: int, random: bool = False) -> Activations:
        """A method's vectors in these blocks; random: the control of their lengths."""
        vectors = self.vectors(method, seed=seed)
        return Activations(RandomVectors(vectors, seed) if random else vectors, blocks)

    def rows(self, intervention: Intervention, *, coeffs: tuple[float, ...]) -> Rows:
        """Held-out dilemmas and facts under an intervention."""
        return self._rows(self.questions, intervention, coeffs)

    def validation_rows(self, intervention: Intervention, *, coeffs: tuple[float, ...]) -> Rows:
        """Validation dilemmas under an intervention: for choosing, never for a claim."""
        return self._rows(self.validation_questions, intervention, coeffs)

    def axis_rows(self, intervention: Intervention, *, coeffs: tuple[float, ...]) -> Rows:
        """Off-target axes under an intervention."""
        return self._rows(self.axis_questions, intervention, coeffs)

    def conduct_rows(self, intervention: Intervention, *, coeffs: tuple[float, ...]) -> Rows:
        """Honest conduct under an intervention."""
        return self._rows(self.conduct_questions, intervention, coeffs)

    def sycophancy_rows(self, intervention: Intervention, *, coeffs: tuple[float, ...]) -> Rows:
        """The agree pair of sycophancy's held-out claims under an intervention."""
        other = replace(self.subject, behavior_name="sycophancy")
        return Rows(other.on, other.cut_questions, other.behavior.prefill, intervention, coeffs)

    def text_of(self, seed: int, *, behavior_name: str | None = None) -> RecipeOf:
        """Answers that were sampled for a seed, of the behavior's two sides or of those of another behavior."""
        return partial(self._trained_on(behavior_name).text_rows, seed=seed)

    def validation_text_of(self, seed: int) -> RecipeOf:
        """Answers to validation messages: for choosing, never for a claim."""
        return partial(self.subject.text_rows, seed=seed, split="validation")

    def written_of(self, seed: int) -> RecipeOf:
        """What the steered model says itself, with random numbers of a seed."""
        return partial(self.subject.written_rows, seed=seed)

    def thought_rows(
        self, intervention: Intervention, *, coeffs: tuple[float, ...], policy: Literal["on", "off"]
    ) -> ThoughtRows:
        """Held-out dilemmas and facts, answered after a thought: the arm's own or the unchanged model's."""
        return ThoughtRows(
            self.subject.on,
            self.questions,
            self.subject.behavior.prefill,
            intervention,
            coeffs,
            policy,
            new_tokens=self.subject.scale.thought_tokens,
        )

    def iso_kl(self, intervention: Intervention) -> IsoKL:
        """The coefficient at which an intervention has the KL from the base model that all are given."""
        return IsoKL(self.subject.on, self.messages, intervention, new_tokens=self.subject.scale.kl_tokens)

    def divergence(self, intervention: Intervention) -> Divergence:
        """The KL from the base model of an intervention whose strength cannot be varied, such as a system prompt."""
        return Divergence(self.subject.on, self.messages, intervention, (1.0,), new_tokens=self.subject.scale.kl_tokens)

    def side_effects(self, intervention: Intervention, *, coeffs: tuple[float, ...]) -> SideEffects:
        """Perplexity of neutral prose and repetition in answers."""
        passages = passages_read()[: self.subject.scale.passages]
        return SideEffects(
            self.subject.on,
            intervention,
            coeffs,
            passages,
            self.messages,
            new_tokens=self.subject.scale.repetition_tokens,
        )

    def fluent_range(self, intervention: Intervention) -> FluentRange:
        """The coefficients at which the model still answers and still predicts prose."""
        passages = passages_read()[: self.subject.scale.passages]
        asked, prefill = self.validation_questions[:FLUENT_ROWS], self.subject.behavior.prefill
        gate = self.subject.scale.pmass_gate
        return FluentRange(self.subject.on, intervention, asked, prefill, passages, pmass_gate=gate)

    def _trained_on(self, behavior_name: str | None) -> Subject:
        return self.subject if behavior_name is None else replace(self.subject, behavior_name=behavior_name)

    def _rows(self, asked: tuple[Question, ...], intervention: Intervention, coeffs: tuple[float, ...]) -> Rows:
        return Rows(self.subject.on, asked, self.subject.behavior.prefill, intervention, coeffs)


def a_side(dilemmas: Iterable[Dilemma], n: int) -> tuple[Dilemma, ...]:
    """For each topic, the first n dilemmas that list the honest action first and the first n that list it second."""
    seen: dict[tuple[str, str], int] = {}
    kept = []
    for dilemma in dilemmas:
        place = seen[dilemma.topic, dilemma.honest] = seen.get((dilemma.topic, dilemma.honest), 0) + 1
        if place <= n:
            kept.append(dilemma)
    return tuple(kept)


@lru_cache(maxsize=8)
def asked(model: str) -> tuple[Question, ...]:
    """The held-out questions of a model: the published set on models for a GPU, some of ours on the others."""
    neutral = behavior("honesty").neutral_questions()
    if known_model(model).gpu:
        repo, revision = HUB_SET
        return (*questions(read_hub(repo, revision=revision).dilemmas, wordings=LISTED), *neutral)
    held, scale = a_side(of_split(read_own(), "heldout"), A_SIDE), known_model(model).scale
    return (*questions(held[: scale.dilemmas], wordings=INFINITIVE), *neutral[: scale.dilemma_facts])


@lru_cache(maxsize=8)
def asked_to_choose(model: str) -> tuple[Question, ...]:
    """Validation dilemmas: for each topic one with the honest action first and one with it second, if it has them."""
    chosen = a_side(of_split(read_own(), "validation"), 1)
    return questions(chosen[: known_model(model).scale.validation_dilemmas], wordings=INFINITIVE)


@lru_cache(maxsize=8)
def asked_off_target(model: str) -> tuple[Question, ...]:
    """Every statement of the first axes; as many of each as the model's scale has."""
    n = known_model(model).scale.axis_rows
    return tuple(question for axis in list(read_axes().values())[:N_AXES] for question in axis[:n])


@lru_cache(maxsize=1)
def passages_read() -> tuple[str, ...]:
    """The neutral passages, read once."""
    return read_passages()


@lru_cache(maxsize=4)
def unseen(pool: Path | None, trained_on: frozenset[str]) -> tuple[PoolEntry, ...]:
    """For each category of a pool, its last message that adapters are not trained on.

    Raises: DataError if there is no other message.
    """
    last = {entry.cat: entry for entry in read_pool(pool) if entry.user_msg not in trained_on}
    if not last:
        raise DataError(
            f"all messages of {pool} are trained on, and none is left to read greedy answers of; add some to it, or "
            "train on fewer"
        )
    return tuple(last.values())
