"""What the rest of the package asks of a model that reads many prompts, however it reads them.

There are two implementations: packed sequences (`ws.engine.depth`, `ws.engine.continuation`), fast and right for the
models that `ws.engine.selfcheck` lets through, and the model's own forward pass (`ws.engine.plain`), right for every
causal model. `ws.engine.choice` chooses between them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence

from jaxtyping import Float, Int
from torch import Tensor

from ws.engine.generating import Processor
from ws.errors import DataError
from ws.models.language import LanguageModel

Logits = Callable[[], Float[Tensor, "token vocab"]]
"""Logits that are computed when called; until then most implementations keep no memory for them."""

Spans = Sequence[slice]
"""For each prompt a run of its tokens, such as slice(-3, None) for the last three."""


class Batch(ABC):
    """Prompts that the unchanged model has read up to block `start`; the model, by now perhaps steered, reads on."""

    start: int

    @property
    @abstractmethod
    def nodes(self) -> int:
        """How many tokens go through the blocks from `start` on; a shared token counts once if it runs once."""

    @property
    @abstractmethod
    def prompts(self) -> int:
        """How many prompts there are."""

    @abstractmethod
    def ends(self, lm: LanguageModel) -> Iterator[tuple[Int[Tensor, " some"], Float[Tensor, "some vocab"]]]:
        """All prompts, some at a time: their places and the logits after their last tokens."""

    @abstractmethod
    def read(self, lm: LanguageModel, spans: Spans) -> Iterator[tuple[int, Logits]]:
        """The place of each prompt and the logits at a span of its tokens; places come in any order."""

    @abstractmethod
    def states(self, lm: LanguageModel, spans: Spans) -> Iterator[tuple[int, Float[Tensor, "depth token d_model"]]]:
        """The place of each prompt and its stream at a span: what enters block `start`, then what each block leaves."""

    @abstractmethod
    def predicted(self, lm: LanguageModel, places: Sequence[int], spans: Spans) -> Float[Tensor, "token vocab"]:
        """The logits at a span of each prompt of `places`, one prompt behind the other, with gradients."""


class Begun(ABC):
    """Prompts that a model can continue."""

    @abstractmethod
    def continued(
        self,
        batch: Sequence[int],
        *,
        ends: Sequence[int],
        new_tokens: int,
        do_sample: bool = False,
        processors: Sequence[Processor] = (),
    ) -> list[list[int]]:
        """What follows each of these prompts, up to and including a token of `ends`: what is likeliest, or is drawn.

        batch: places of the prompts to continue; they run together if the implementation can do that.
        processors: change the scores that each token is chosen by.
        """


def check_prompts(prompts: Sequence[Sequence[int]]) -> None:
    """Raises: DataError if there is no prompt or one is empty."""
    if not prompts or min(map(len, prompts)) == 0:
        raise DataError(f"cannot read {len(prompts)} prompts: need at least one, each with at least one token")


def until(ends: Collection[int], tokens: list[int]) -> list[int]:
    """The tokens up to and including the first that is one of `ends`."""
    end = next((place for place, token in enumerate(tokens) if token in ends), len(tokens))
    return tokens[: end + 1]
