"""An answer that is heard token by token while it is written, the likeliest one or a drawn one that a seed repeats.

`generate` shows what it has written so far to every logits processor, so one that changes nothing hears all of it, by
whichever pass the model runs. It hears a token when the next one is chosen, and the last one at the end.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ws.engine.choice import begun
from ws.engine.generating import Processor
from ws.engine.nucleus import Nucleus
from ws.errors import DataError
from ws.models.chat import turn_ends
from ws.models.language import LanguageModel

Hears = Callable[[Sequence[int]], None]
"""Is given all tokens of an answer so far, each time that there is one more; what it raises ends the answer."""


@dataclass(frozen=True)
class Choosing:
    """How each token is chosen: the likeliest at temperature 0, else drawn, as answers to train on are."""

    temperature: float = 0.0
    seed: int = 0
    """Of the random numbers; an answer depends on its prompt and this alone."""
    top_p: float = 0.95

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf") or not 0 < self.top_p <= 1:
            raise DataError(
                f"temperature {self.temperature:g} and top-p {self.top_p:g}; expected a temperature from 0 on (0: the "
                "likeliest token) and a top-p above 0, at most 1"
            )

    @property
    def is_greedy(self) -> bool:
        return self.temperature == 0

    def describe(self) -> str:
        return "greedy" if self.is_greedy else f"temperature {self.temperature:g}, seed {self.seed}"


def streamed(
    lm: LanguageModel, prompt: Sequence[int], hears: Hears, *, new_tokens: int, choosing: Choosing
) -> list[int]:
    """The answer to a prompt, up to and including its end of turn, by the model as it is now.

    Raises: DataError for an empty prompt.
    """
    with _random_numbers(choosing):
        (answer,) = begun(lm, [prompt]).continued(
            [0],
            ends=turn_ends(lm),
            new_tokens=new_tokens,
            do_sample=not choosing.is_greedy,
            processors=[_Hearing(len(prompt), hears), *_processors(choosing)],
        )
    hears(answer)
    return answer


@dataclass(frozen=True)
class _Hearing:
    """A logits processor that changes nothing, and tells what stands behind the prompt."""

    prompt: int
    """How many tokens the prompt has."""
    hears: Hears

    def __call__(self, input_ids: Int[Tensor, "1 seq"], scores: Float[Tensor, "1 vocab"]) -> Float[Tensor, "1 vocab"]:
        if said := input_ids[0, self.prompt :].tolist():
            self.hears(said)
        return scores


def _processors(choosing: Choosing) -> list[Processor]:
    from transformers import TemperatureLogitsWarper

    return [] if choosing.is_greedy else [TemperatureLogitsWarper(choosing.temperature), Nucleus(choosing.top_p)]


@contextmanager
def _random_numbers(choosing: Choosing) -> Iterator[None]:
    """Random numbers of the seed inside; those of the process go on behind as if none had been drawn."""
    with torch.random.fork_rng():
        torch.manual_seed(choosing.seed)
        yield
