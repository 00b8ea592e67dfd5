"""Activation directions of a behavior, from the messages and personas that its adapters are trained on.

Honesty's messages come with the beginning of an answer that breaks off just before an honest and a dishonest answer
would differ; states are read there. For other behaviors they are read where the answer would begin.
"""

from collections.abc import Mapping
from functools import lru_cache

from ws.behaviors.honesty import HONESTY
from ws.behaviors.pool import messages, read_pool
from ws.contest.rivals import MeanDifference, PCAVectors, PersonaVectors, Sides, persona_prompts
from ws.errors import UnknownNameError
from ws.models.language import layer_range
from ws.steering.interventions import Vectors
from ws.steering.states import States
from ws.study.subject import Subject

METHODS: Mapping[str, str] = {
    "pca": "RepE: leading principal direction of paired differences",
    "mean-difference": "CAA: mean of paired differences",
    "persona-vector": "mean over answer tokens under opposite personas",
}
"""The ways to find an activation direction."""

DEPTHS = (0.35, 0.5, 0.65)
"""Single blocks that are tried, as shares of the depth; all adapted blocks at once are also tried."""

ALL_BLOCKS = "all adapted blocks"


def vectors_by(subject: Subject, method: str, *, seed: int) -> Vectors:
    """A vector for every block. Persona vectors depend on the seed, which samples their answers; the others do not.

    Raises: UnknownNameError for a method that does not exist.
    """
    if method not in METHODS:
        raise UnknownNameError("way to find an activation direction", method, METHODS)
    if method == "persona-vector":
        return PersonaVectors(subject.pairs(seed))
    high, low = (States(subject.on, prompts) for prompts in sides(subject))
    return PCAVectors(high, low) if method == "pca" else MeanDifference(high, low)


@lru_cache(maxsize=4)
def sides(subject: Subject) -> Sides:
    """The training messages under opposite personas; honesty's messages with the beginnings of their answers."""
    asked, begun = [text for _, text in subject.pairs(0).questions], [""]
    if subject.behavior_name == HONESTY.name:
        entries = [entry for entry in messages(read_pool(subject.pool)) if entry.user_msg in set(asked)]
        asked, begun = [entry.user_msg for entry in entries], [entry.suffix for entry in entries]
    return persona_prompts(asked, subject.behavior.positive, subject.behavior.negative, prefills=begun)


def block_choices(depth: int) -> dict[str, tuple[int, ...]]:
    """The choices of blocks to which an activation direction can be added in a model of this depth, by name."""
    single = dict.fromkeys(int(share * depth) for share in DEPTHS)
    return {f"block {block}": (block,) for block in single} | {ALL_BLOCKS: tuple(layer_range(depth))}
