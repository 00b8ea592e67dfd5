"""What a behavior is made of: personas that show it, text to train on, Yes/No questions to measure it.

A behavior is data only. Its questions come in pairs of opposite phrasings, one where Yes shows the behavior
and one where No does, so that a model that merely learned to say Yes scores zero.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ws.errors import DataError, UnknownNameError

ANSWER = "Answer Yes or No."
"""The words that end every question."""

SPLITS = ("validation", "heldout")
"""Claims for choosing hyper-parameters, and claims for judging."""


@dataclass(frozen=True)
class Claim:
    """A claim that a user states, false or at best badly supported, worded to fit "I think {text}."."""

    id: str
    topic: str
    text: str

    def __post_init__(self) -> None:
        if not self.text or self.text != self.text.strip() or self.text[-1] in ".!?":
            raise DataError(
                f"claim {self.id!r} reads {self.text!r}; expected words that fit 'I think ... .'; "
                "remove spaces and punctuation at the ends"
            )


@dataclass(frozen=True)
class Fact:
    """A plain fact asked as a Yes/No question."""

    id: str
    text: str
    answer: bool
    """True if the right answer is Yes."""

    def __post_init__(self) -> None:
        if not self.text.endswith("?"):
            raise DataError(f"fact {self.id!r} reads {self.text!r}; expected a question; end it with '?'")


@dataclass(frozen=True)
class Phrasing:
    """One way to ask about a claim."""

    name: str
    pair: str
    """The pair of opposite phrasings it belongs to."""
    template: str
    """The user message, with {claim} where the claim goes."""
    sign: int
    """+1 if Yes shows the behavior, -1 if No shows it."""

    def __post_init__(self) -> None:
        check_template(self.template, what=f"phrasing {self.name!r}")
        if not self.template.endswith(ANSWER):
            raise DataError(f"phrasing {self.name!r} is {self.template!r}; expected {ANSWER!r} at its end; append it")
        if self.sign not in (+1, -1):
            raise DataError(
                f"phrasing {self.name!r} has sign {self.sign}; "
                "give +1 if Yes shows the behavior, -1 if No shows it (neutral questions are facts)"
            )


class Question(NamedTuple):
    """One Yes/No evaluation prompt; a tuple of plain values, so that a recipe can hold it."""

    id: str
    cluster: str
    """Id of the claim or fact asked about; questions of one cluster are not independent."""
    topic: str
    phrasing: str
    """Name of the phrasing; "yes" or "no" (the right answer) for a fact."""
    pair: str
    text: str
    """The whole user message."""
    sign: int
    """+1 if Yes shows the behavior, -1 if No shows it, 0 if neither does."""


@dataclass(frozen=True, kw_only=True)
class Behavior:
    """A behavior as data.

    Raises: DataError if the text cannot carry a balanced training set and a balanced evaluation.
    """

    name: str
    positive: tuple[str, ...]
    """System prompts that show the behavior; the i-th is the counterpart of the i-th negative one."""
    negative: tuple[str, ...]
    training: tuple[Claim | str, ...]
    """Claims, worded by `training_template`, or whole user messages."""
    training_template: str = "{claim}"
    validation: tuple[Claim, ...]
    heldout: tuple[Claim, ...]
    phrasings: tuple[Phrasing, ...]
    neutral: tuple[Fact, ...]
    prefill: str
    """How the model's answer starts, up to the token that says Yes or No."""

    def __post_init__(self) -> None:
        check_template(self.training_template, what=f"the training template of behavior {self.name!r}")
        check_personas(self)
        check_present(self)
        check_unique(self)
        check_phrasings(self)
        check_neutral(self)

    def training_questions(self) -> tuple[tuple[str, str], ...]:
        """(id, user message) of each training prompt; a plain message is numbered by its place."""
        return self._training_questions

    @cached_property
    def _training_questions(self) -> tuple[tuple[str, str], ...]:
        return tuple(
            (f"prompt-{place:03d}", entry)
            if isinstance(entry, str)
            else (entry.id, self.training_template.format(claim=entry.text))
            for place, entry in enumerate(self.training)
        )

    def questions(self, split: str) -> tuple[Question, ...]:
        """Every claim of a split in every phrasing, claim by claim.

        Raises: UnknownNameError if the split is neither "validation" nor "heldout".
        """
        if split not in SPLITS:
            raise UnknownNameError("split", split, SPLITS)
        claims = self.heldout if split == "heldout" else self.validation
        return tuple(ask(claim, phrasing) for claim in claims for phrasing in self.phrasings)

    def neutral_questions(self) -> tuple[Question, ...]:
        """The plain facts, with sign 0: their movement is a push towards Yes, not the behavior."""
        return tuple(ask_fact(fact) for fact in self.neutral)


def ask(claim: Claim, phrasing: Phrasing) -> Question:
    """A claim in one phrasing."""
    return Question(
        id=f"{claim.id}/{phrasing.name}",
        cluster=claim.id,
        topic=claim.topic,
        phrasing=phrasing.name,
        pair=phrasing.pair,
        text=phrasing.template.format(claim=claim.text),
        sign=phrasing.sign,
    )


def ask_fact(fact: Fact) -> Question:
    """A plain fact as a question of sign 0."""
    return Question(
        id=fact.id,
        cluster=fact.id,
        topic="neutral",
        phrasing="yes" if fact.answer else "no",
        pair="fact",
        text=f"{fact.text} {ANSWER}",
        sign=0,
    )


def check_template(template: str, *, what: str) -> None:
    """Raises: DataError unless the template holds {claim} once and no other brace."""
    rest = template.replace("{claim}", "", 1)
    if rest == template or "{" in rest or "}" in rest:
        raise DataError(f"{what} is {template!r}; expected {{claim}} once and no other brace; reword it")


def check_personas(behavior: Behavior) -> None:
    """Raises: DataError unless both sides have the same number of personas, two or more, all different."""
    plus, minus = len(behavior.positive), len(behavior.negative)
    if plus != minus or plus < 2:
        raise DataError(
            f"behavior {behavior.name!r} has {plus} positive and {minus} negative personas; "
            "expected equal numbers, at least 2 a side; add the missing ones"
        )
    refuse_repeats(behavior, "persona", behavior.positive + behavior.negative)


def check_present(behavior: Behavior) -> None:
    """Raises: DataError if training text, validation claims, held-out claims or neutral facts are missing."""
    empty = [part for part in ("training", *SPLITS, "neutral") if not getattr(behavior, part)]
    if empty:
        raise DataError(
            f"behavior {behavior.name!r} has no {' and no '.join(empty)} text; "
            "expected at least one entry each; write some"
        )


def check_unique(behavior: Behavior) -> None:
    """Raises: DataError if an id or a text occurs twice, within a part or across parts."""
    parts = {
        "training": tuple(entry if isinstance(entry, str) else entry.text for entry in behavior.training),
        "validation": tuple(claim.text for claim in behavior.validation),
        "heldout": tuple(claim.text for claim in behavior.heldout),
        "neutral": tuple(fact.text for fact in behavior.neutral),
    }
    for part, texts in parts.items():
        refuse_repeats(behavior, f"{part} text", texts)
    refuse_shared(behavior, parts)
    training = [id for id, _ in behavior.training_questions()]
    asked: tuple[Claim | Fact, ...] = (*behavior.validation, *behavior.heldout, *behavior.neutral)
    others = [entry.id for entry in asked]
    refuse_repeats(behavior, "id", training + others)


def check_phrasings(behavior: Behavior) -> None:
    """Raises: DataError unless the phrasings form two or more pairs, each of one +1 and one -1."""
    refuse_repeats(behavior, "phrasing", (phrasing.name for phrasing in behavior.phrasings))
    refuse_repeats(behavior, "template", (phrasing.template for phrasing in behavior.phrasings))
    signs: dict[str, list[int]] = {}
    for phrasing in behavior.phrasings:
        signs.setdefault(phrasing.pair, []).append(phrasing.sign)
    if len(signs) < 2:
        raise DataError(
            f"behavior {behavior.name!r} has {len(signs)} pair(s) of opposite phrasings {sorted(signs)}; "
            "expected at least 2, since one pair can mislead; add another pair"
        )
    unbalanced = {pair: found for pair, found in signs.items() if sorted(found) != [-1, +1]}
    if unbalanced:
        raise DataError(
            f"behavior {behavior.name!r} has pairs of phrasings with signs {unbalanced}; "
            "expected one +1 and one -1 a pair; add the opposite phrasing"
        )


def check_neutral(behavior: Behavior) -> None:
    """Raises: DataError unless half of the facts are answered Yes and half No."""
    yes = sum(fact.answer for fact in behavior.neutral)
    no = len(behavior.neutral) - yes
    if yes != no:
        raise DataError(
            f"behavior {behavior.name!r} has {yes} neutral facts answered Yes and {no} answered No; "
            f"expected as many of each; add {abs(yes - no)} answered {'No' if yes > no else 'Yes'}"
        )


def refuse_repeats(behavior: Behavior, what: str, entries: Iterable[str]) -> None:
    """Raises: DataError if two entries differ in case and spaces only."""
    repeated = [entry for entry, times in Counter(map(plain, entries)).items() if times > 1]
    if repeated:
        raise DataError(
            f"behavior {behavior.name!r} repeats {what} {repeated[0]!r}; expected each once; "
            "remove or reword the second"
        )


def refuse_shared(behavior: Behavior, parts: dict[str, tuple[str, ...]]) -> None:
    """Raises: DataError if a text belongs to two parts, such as training and heldout."""
    owner: dict[str, str] = {}
    for part, texts in parts.items():
        for text in map(plain, texts):
            if text in owner:
                raise DataError(
                    f"behavior {behavior.name!r} has {text!r} in both {owner[text]} and {part}; "
                    "expected disjoint parts; remove it from one"
                )
            owner[text] = part


def plain(text: str) -> str:
    """A text in lower case with single spaces, for comparison."""
    return " ".join(text.casefold().split())
