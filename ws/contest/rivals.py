"""Activation steering, the rival of dW: one vector for each block, computed from the model's states without training.

Four ways to find the vectors:

    PCAVectors        the leading principal direction of paired differences, length 1: Zou et al. 2023, "Representation
                      Engineering", arXiv:2310.01405, sec. 3.1
    MeanDifference    the mean of paired differences: Rimsky et al. 2024, "Steering Llama 2 via Contrastive Activation
                      Addition", arXiv:2312.06681, sec. 3
    PersonaVectors    mean over the tokens of the model's own answers under one persona minus that under the other: Chen
                      et al. 2025, "Persona Vectors", arXiv:2507.21509, sec. 2
    RandomVectors     the control: any direction, at the length that another recipe's vector has in the block

The first two take any paired states: those at one question under opposite personas (`persona_prompts`, as in RepE) or
at the ends of opposite answers (`answer_prompts`, as in CAA).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ws.behaviors import Question
from ws.engine.choice import prepared
from ws.engine.loading import loaded
from ws.errors import DataError, MismatchError, ShapeError
from ws.models.chat import prompt_ids, text_ids
from ws.models.language import LanguageModel, Placed
from ws.steering.interventions import Vectors, read_vectors
from ws.steering.states import Prompt, States, read_states
from ws.store import Store
from ws.training.pairs import Pairs, read_pairs


class Sides(NamedTuple):
    """Prompts in pairs: the i-th of `high` shows the behavior, the i-th of `low` its opposite; all else is equal."""

    high: tuple[Prompt, ...]
    low: tuple[Prompt, ...]


def persona_prompts(
    asked: Sequence[str], positive: Sequence[str], negative: Sequence[str], *, prefills: Sequence[str] = ("",)
) -> Sides:
    """Every user message under every pair of opposite personas.

    prefills: how the answer to each message begins, one for all or one for each.
    Raises: DataError if there is nothing to pair, or a persona or beginning has no counterpart.
    """
    if not asked or not positive or len(positive) != len(negative) or len(prefills) not in (1, len(asked)):
        raise DataError(
            f"cannot pair {len(positive)} positive with {len(negative)} negative personas over {len(asked)} messages "
            f"with {len(prefills)} beginnings; give messages, as many personas of one side as of the other, and one "
            "beginning for all or one for each message"
        )
    begun = list(zip(asked, [*prefills] * len(asked), strict=False))
    sides = (
        tuple(Prompt(user, system=persona, prefill=prefill) for user, prefill in begun for persona in personas)
        for personas in (positive, negative)
    )
    return Sides(*sides)


def answer_prompts(questions: Sequence[Question], *, prefill: str) -> Sides:
    """Every question with the answer that shows the behavior, and with the other one, as the last words.

    Raises: DataError for a question of sign 0, which has no such answer.
    """
    if not questions or any(question.sign == 0 for question in questions):
        raise DataError("answers of opposite signs need one or more questions, each of sign +1 or -1; leave out facts")
    sides = (
        tuple(Prompt(q.text, prefill=prefill + ("Yes" if side * q.sign > 0 else "No")) for q in questions)
        for side in (+1, -1)
    )
    return Sides(*sides)


@dataclass(frozen=True)
class PairedVectors(Vectors):
    """Vectors computed from states in pairs.

    Raises: MismatchError unless both sides have equally many states of one unsteered model.
    """

    high: States
    low: States

    def __post_init__(self) -> None:
        steered = self.high.direction or self.low.direction
        if self.high.on != self.low.on or len(self.high.prompts) != len(self.low.prompts) or steered:
            raise MismatchError(
                f"cannot pair {self.high.describe()} with {self.low.describe()}; expected as many prompts of one "
                "model without a direction: read both sides of one `Sides`"
            )

    @property
    def on(self) -> Placed:
        return self.high.on

    def differences(self, store: Store) -> Float[Tensor, "layer pair d_model"]:
        """The state of `high` minus that of `low` after each block, for each pair."""
        # State 0 enters the first block.
        return (read_states(store, self.high) - read_states(store, self.low))[1:]


@dataclass(frozen=True)
class PCAVectors(PairedVectors):
    """The leading principal direction of the differences, of length 1, with the sign that most differences have on it.

    centred: subtract the mean difference first, which removes what all pairs share. RepE shuffles the order within
    pairs, so that the mean is about zero and nothing is removed; so does `repeng`'s "pca_center". `repeng`'s default
    "pca_diff" centres.
    """

    centred: bool = False

    def fit(self, store: Store) -> Float[Tensor, "layer d_model"]:
        layers = self.differences(store)
        return torch.stack([leading_direction(of_layer, centred=self.centred) for of_layer in layers])

    def describe(self) -> str:
        return f"PCA{' (centred)' if self.centred else ''} of {len(self.high.prompts)} paired differences"


@dataclass(frozen=True)
class MeanDifference(PairedVectors):
    """The mean difference, not scaled."""

    def fit(self, store: Store) -> Float[Tensor, "layer d_model"]:
        return self.differences(store).mean(dim=1)

    def describe(self) -> str:
        return f"mean of {len(self.high.prompts)} paired differences"


def leading_direction(differences: Float[Tensor, "pair d_model"], *, centred: bool) -> Float[Tensor, " d_model"]:
    """The unit vector along which differences are largest in mean square, turned so that most of them are positive.

    If equally many are negative, it is turned so that their sum is positive. Zero if all differences are zero.
    Raises: ShapeError if `centred` and there is a single pair.
    """
    if centred and len(differences) < 2:
        raise ShapeError("one pair has no principal direction once its mean is taken out; give two or more")
    samples = differences - differences.mean(dim=0) if centred else differences
    if not samples.any():
        return torch.zeros_like(samples[0])
    direction = torch.linalg.svd(samples, full_matrices=False).Vh[0]
    lies = differences @ direction
    votes = lies.sign().sum() or lies.sum()
    return -direction if votes < 0 else direction


@dataclass(frozen=True)
class PersonaVectors(Vectors):
    """Mean state over answers under the positive personas minus that under the negative ones; answers count alike.

    An answer's state is the mean over its tokens, read after the persona under which it was generated. Only pairs that
    training would use are read; the paper instead keeps answers that a judge model rates as showing the trait.
    """

    pairs: Pairs

    @property
    def on(self) -> Placed:
        return self.pairs.on

    def fit(self, store: Store) -> Float[Tensor, "layer d_model"]:
        lm, table = loaded(self.on, store), read_pairs(store, self.pairs)
        plus, minus = (
            answer_states(lm, [*table["question"]], [personas[i] for i in table["persona"]], [*table[side]])
            for side, personas in (("plus", self.pairs.positive), ("minus", self.pairs.negative))
        )
        return plus.mean(dim=1) - minus.mean(dim=1)

    def describe(self) -> str:
        return f"persona vector, {self.pairs.describe()}"


@dataclass(frozen=True)
class RandomVectors(Vectors):
    """Gaussian vectors, each with the length of another recipe's vector for that block."""

    like: Vectors
    seed: int

    @property
    def on(self) -> Placed:
        return self.like.on

    def fit(self, store: Store) -> Float[Tensor, "layer d_model"]:
        vectors = read_vectors(store, self.like)
        drawn = torch.randn(vectors.shape, generator=torch.Generator().manual_seed(self.seed))
        return drawn * (vectors.norm(dim=1) / drawn.norm(dim=1))[:, None]

    def describe(self) -> str:
        return f"random as {self.like.describe()}, seed {self.seed}"


def answer_states(
    lm: LanguageModel, questions: Sequence[str], personas: Sequence[str], answers: Sequence[str]
) -> Float[Tensor, "layer answer d_model"]:
    """The stream after each block, averaged over the tokens of each answer, which follows its question and persona."""
    said = zip(questions, personas, strict=True)
    asked = [tuple(prompt_ids(lm.tokenizer, user=user, system=persona)) for user, persona in said]
    spoken = [tuple(text_ids(lm.tokenizer, answer)) for answer in answers]
    batch = prepared(lm, tuple(ask + say for ask, say in zip(asked, spoken, strict=True)), start=0)
    found = torch.empty(lm.n_layers, len(asked), lm.d_model)
    for answer, states in batch.states(lm, [slice(len(ask), None) for ask in asked]):
        # The first state enters the first block.
        found[:, answer] = torch.stack([state.float().mean(dim=0) for state in states[1:]]).cpu()
    return found
