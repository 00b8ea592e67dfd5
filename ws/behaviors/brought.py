"""A behavior of one's own: personas and messages, and questions for Yes and No if it has any.

Unlike one of ours it brings everything that belongs to it: the messages that its text is measured on, the judges of
what is written, the prompts that compete with dW.
"""

from dataclasses import dataclass

from ws.behaviors.base import (
    Behavior,
    Claim,
    Fact,
    Phrasing,
    Question,
    check_neutral,
    check_personas,
    check_phrasings,
    check_unique,
    refuse_repeats,
    refuse_shared,
)
from ws.errors import DataError

PREFILL = "My answer: **"
"""How an answer starts up to Yes or No, where a behavior does not say."""

Judges = tuple[tuple[str, str], ...]
"""Pairs of system prompts: for a behavior, and against it."""


@dataclass(frozen=True)
class RivalPrompt:
    """A system prompt, and in which direction it should move a behavior."""

    name: str
    text: str | None
    """None for a conversation without a system message."""
    toward: int
    """+1 if it asks for the behavior, -1 if for its opposite, 0 if for neither."""

    def __post_init__(self) -> None:
        if self.text is not None and (not self.text or self.text != self.text.strip()):
            raise DataError(
                f"prompt {self.name!r} reads {self.text!r}; expected words without space around them; "
                "write some, or give None to send no system message"
            )
        if self.toward not in (+1, 0, -1):
            raise DataError(
                f"prompt {self.name!r} has toward {self.toward}; "
                "give +1 if it asks for the behavior, -1 if for its opposite, 0 if for neither"
            )


@dataclass(frozen=True, kw_only=True)
class OwnBehavior(Behavior):
    """A behavior that brings all its texts.

    Raises: DataError if a text occurs twice, or the parts cannot carry a balanced training set and evaluation.
    """

    validation: tuple[Claim, ...] = ()
    heldout: tuple[Claim, ...] = ()
    phrasings: tuple[Phrasing, ...] = ()
    neutral: tuple[Fact, ...] = ()
    prefill: str = PREFILL
    validation_messages: tuple[str, ...]
    """User messages for choosing, like those to train on."""
    heldout_messages: tuple[str, ...]
    """User messages for judging."""
    judges: Judges = ()
    prompts: tuple[RivalPrompt, ...] = ()

    def __post_init__(self) -> None:
        check_personas(self)
        check_messages(self)
        asked = [self.validation, self.heldout, self.phrasings, self.neutral]
        if any(asked) and not all(asked):
            raise DataError(
                f"behavior {self.name!r} has {len(self.validation)} validation and {len(self.heldout)} held-out "
                f"claims, {len(self.phrasings)} phrasings and {len(self.neutral)} facts; expected all of these, or none"
            )
        check_unique(self)
        if any(asked):
            check_phrasings(self)
            check_neutral(self)

    def questions(self, split: str) -> tuple[Question, ...]:
        """As of any behavior. Raises: DataError if it has no claims to ask about."""
        if not asks(self):
            raise DataError(
                f"behavior {self.name!r} has no claims to ask about in Yes and No; measure it as text, or add claims, "
                "phrasings and facts to its file"
            )
        return super().questions(split)


def asks(behavior: Behavior) -> bool:
    """Whether a behavior has questions for Yes and No, and not only messages."""
    return bool(behavior.phrasings)


def check_messages(behavior: OwnBehavior) -> None:
    """Raises: DataError if a split has no messages, or two of all messages differ in case and spaces only."""
    splits = {
        "training": tuple(text for _, text in behavior.training_questions()),
        "validation": behavior.validation_messages,
        "heldout": behavior.heldout_messages,
    }
    for split, texts in splits.items():
        if not texts:
            raise DataError(f"behavior {behavior.name!r} has no {split} messages; expected some; write them")
        refuse_repeats(behavior, f"{split} message", texts)
    refuse_shared(behavior, splits)
