"""How a model's prompts are run: packed where that is right for the model, else by its own plain forward pass.

`LanguageModel.passes` says what `ws.engine.selfcheck` found. A batch always takes the plain pass if one of its prompts
is longer than an attention window of the model, or so long that the model would rotate its positions otherwise.
"""

from collections.abc import Sequence
from functools import cache

from ws.engine.continuation import packed_begun
from ws.engine.depth import packed_batch, window
from ws.engine.passes import Batch, Begun, check_prompts
from ws.engine.plain import plain_batch, plain_begun
from ws.models.language import LanguageModel
from ws.store.progress import say


def prepared(lm: LanguageModel, prompts: tuple[tuple[int, ...], ...], *, start: int) -> Batch:
    """The prompts, already read below layer `start` if they are packed; must be called on the unchanged model.

    Raises: DataError if there is no prompt or one is empty.
    """
    if packs(lm, prompts):
        return packed_batch(lm, prompts, start=start)
    return plain_batch(prompts, start=start, together=lm.passes != "alone")


def begun(lm: LanguageModel, prompts: Sequence[Sequence[int]]) -> Begun:
    """Prompts to continue, read by the model as it is now: steered if the caller steers it.

    Raises: DataError if there is no prompt or one is empty.
    """
    if packs(lm, prompts):
        return packed_begun(lm, prompts)
    return plain_begun(lm, prompts, together=lm.passes != "alone")


def packs(lm: LanguageModel, prompts: Sequence[Sequence[int]]) -> bool:
    """Whether these prompts are packed. Raises: DataError if there is none or one is empty."""
    check_prompts(prompts)
    longest, reach = max(map(len, prompts)), window(lm)
    if lm.passes == "packed" and reach is not None and longest > reach:
        _tell(lm.name, reach)
    return lm.passes == "packed" and (reach is None or longest <= reach)


@cache
def _tell(name: str, reach: int) -> None:
    say(
        f"{name} reads more than {reach} tokens through a window, or rotates them otherwise; batches with a longer "
        "prompt run through its own forward pass, in groups of one length"
    )
