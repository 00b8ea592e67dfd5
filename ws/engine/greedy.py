"""Greedy answers: the likeliest token after each prompt, again and again, until the model ends its turn."""

from collections.abc import Sequence

from ws.engine.choice import begun
from ws.models.chat import turn_ends
from ws.models.language import LanguageModel


def greedy_answers(lm: LanguageModel, prompts: Sequence[Sequence[int]], *, new_tokens: int) -> list[list[int]]:
    """The greedy continuation of each prompt, up to and including its end of turn; in the order given.

    All prompts run together where they can, by the model as it is now: steered if the caller steers it.
    Raises: DataError if there is no prompt, or one is empty.
    """
    return begun(lm, prompts).continued(range(len(prompts)), ends=turn_ends(lm), new_tokens=new_tokens)
