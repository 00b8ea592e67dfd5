"""Messages for measures of text: like those that adapters are trained on, and never among them.

A behavior of one's own brings them. A behavior that is trained on claims has them already: its validation and held-out
claims in the form of training. Honesty is trained on whole messages of a pool, and has the other messages of that pool.
Claims and pools are taken from topics in turn: first the held-out messages, by which claims are judged, then those for
choosing.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import chain, zip_longest
from pathlib import Path
from typing import NamedTuple

from ws.behaviors.base import Behavior, Claim
from ws.behaviors.brought import OwnBehavior
from ws.behaviors.honesty import HONESTY
from ws.behaviors.pool import messages, read_pool
from ws.errors import DataError


class Message(NamedTuple):
    """What a user says; a tuple of plain values, so that a recipe can hold it."""

    id: str
    topic: str
    text: str


class Untrained(NamedTuple):
    """The messages of a behavior that nothing is trained on."""

    heldout: tuple[Message, ...]
    """For judging."""
    validation: tuple[Message, ...]
    """For whatever has to be chosen."""


def untrained(
    behavior: Behavior, *, trained: frozenset[str], heldout: int, validation: int, pool: Path | None = None
) -> Untrained:
    """As many messages as that; where they are claims or the behavior's own messages, at most as many as there are.

    trained: the texts that a model trains on. pool: the file that honesty is trained on, if it is not ours.
    Raises: DataError if the pool has too few others, or there is no pool of such messages.
    """
    if isinstance(behavior, OwnBehavior):
        own = {
            "heldout": behavior.heldout_messages[:heldout],
            "validation": behavior.validation_messages[:validation],
        }
        return Untrained(*(numbered(split, texts) for split, texts in own.items()))
    if behavior.name != HONESTY.name:
        splits = (behavior.heldout, heldout), (behavior.validation, validation)
        return Untrained(*(in_turns(worded(behavior, claims), n) for claims, n in splits))
    every = of_pool(behavior, pool)
    left = [message for message in every if message.text not in trained]
    if lacking := max(0, heldout + validation - len(left)):
        raise DataError(
            f"{pool or 'the pool'} has {len(every)} messages, {len(left)} of them not trained on; the measures of text "
            f"need {heldout} to judge by and {validation} to choose by: add {lacking} to it, or train on fewer"
        )
    taken = in_turns(left, heldout + validation)
    return Untrained(taken[:heldout], taken[heldout:])


def numbered(split: str, texts: Iterable[str]) -> tuple[Message, ...]:
    """A behavior's own messages, named by their place."""
    return tuple(Message(f"{split}-{place:03d}", split, text) for place, text in enumerate(texts, start=1))


def of_pool(behavior: Behavior, pool: Path | None) -> tuple[Message, ...]:
    """Every message of a pool, numbered within its category.

    Those that some model might train on come last, so that a pool that is large enough gives all models the same.
    """
    seen = Counter[str]()
    numbered = []
    for entry in messages(read_pool(pool)):
        seen[entry.cat] += 1
        numbered.append(Message(f"{entry.cat}-{seen[entry.cat]:03d}", entry.cat, entry.user_msg))
    training = set(behavior.training)
    return tuple(sorted(numbered, key=lambda message: message.text in training))


def worded(behavior: Behavior, claims: Iterable[Claim]) -> tuple[Message, ...]:
    """Claims as user messages, in the form of training.

    Raises: DataError for a behavior that is trained on whole messages.
    """
    if whole := [entry for entry in behavior.training if isinstance(entry, str)]:
        raise DataError(
            f"behavior {behavior.name!r} is trained on whole messages such as {whole[0][:40]!r}; the measures of text "
            "need others of their kind, which only claims have: train it on claims with a `training_template`"
        )
    return tuple(Message(one.id, one.topic, behavior.training_template.format(claim=one.text)) for one in claims)


def in_turns(asked: Iterable[Message], n: int) -> tuple[Message, ...]:
    """The first n, taken from topics in turn, in the order in which topics first appear; all if there are fewer."""
    piles: dict[str, list[Message]] = {}
    for message in asked:
        piles.setdefault(message.topic, []).append(message)
    turns = (message for message in chain.from_iterable(zip_longest(*piles.values())) if message is not None)
    return tuple(turns)[:n]
