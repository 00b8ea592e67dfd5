"""What the rest of the package asks of a model that reads many prompts, however it reads them.

Two implementations answer the same: packed sequences (`ws.engine.depth`, `ws.engine.continuation`), fast and right for
the models that `ws.engine.selfcheck` lets through, and the model's own forward pass (`ws.engine.plain`), right for
every causal model. `ws.engine.choice` chooses.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence

from jaxtyping import Float, Int
from torch import Tensor

from ws.errors import DataError
from ws.models.language import LanguageModel

Logits = Callable[[], Float[Tensor, "token vocab"]]
"""Logits that take up room only once they are asked for, where the implementation can help it."""

Spans = Sequence[slice]
"""Of each prompt: a run of its tokens, such as slice(-3, None) for the last three."""


class Batch(ABC):
    """Prompts that were read up to block `start` by the unchanged model, to be read on by the model as it is then."""

    start: int

    @property
    @abstractmethod
    def nodes(self) -> int:
        """Tokens that go through the blocks above, shared ones counted once where they run once."""

    @property
    @abstractmethod
    def prompts(self) -> int:
        """How many prompts there are."""

    @abstractmethod
    def ends(self, lm: LanguageModel) -> Iterator[tuple[Int[Tensor, " some"], Float[Tensor, "some vocab"]]]:
        """The places of some prompts and the logits after their last tokens, until all prompts have come."""

    @abstractmethod
    def read(self, lm: LanguageModel, spans: Spans) -> Iterator[tuple[int, Logits]]:
        """The place of each prompt and the logits at a span of its tokens; places come in any order."""

    @abstractmethod
    def states(self, lm: LanguageModel, spans: Spans) -> Iterator[tuple[int, Float[Tensor, "depth token d_model"]]]:
        """The place of each prompt and what enters block `start`, then what each block from there on leaves, there."""

    @abstractmethod
    def predicted(self, lm: LanguageModel, places: Sequence[int], spans: Spans) -> Float[Tensor, "token vocab"]:
        """The logits at a span of each of some prompts, one prompt behind the other, with gradients."""


class Begun(ABC):
    """Prompts that a model goes on from."""

    @abstractmethod
    def continued(
        self, batch: Sequence[int], *, ends: Sequence[int], new_tokens: int, **how: object
    ) -> list[list[int]]:
        """What follows each of these prompts, up to and including a token of `ends`; `how` is told to `generate`.

        batch: places among the prompts; they run together where the implementation can.
        """


def check_prompts(prompts: Sequence[Sequence[int]]) -> None:
    """Raises: DataError if there is no prompt or one is empty."""
    if not prompts or min(map(len, prompts)) == 0:
        raise DataError(f"cannot read {len(prompts)} prompts: need at least one, each with at least one token")


def until(ends: Collection[int], tokens: list[int]) -> list[int]:
    """The tokens up to and including the first that is one of `ends`."""
    end = next((place for place, token in enumerate(tokens) if token in ends), len(tokens))
    return tokens[: end + 1]
