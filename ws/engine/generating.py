"""transformers' `generate`, deaf to what a model's authors advise about sampling.

A recipe states its temperature and its nucleus. A repetition penalty or a list of forbidden tokens out of a
`generation_config.json` would change what is trained on without standing in any key.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jaxtyping import Float, Int
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Scores = Float[Tensor, "batch vocab"]
Processor = Callable[[Int[Tensor, "batch seq"], Scores], Scores]
"""Is given the texts so far and the scores of their next tokens, and returns the scores to choose by."""


def generated(
    model: "PreTrainedModel",
    ids: Int[Tensor, "batch seq"],
    attention: Int[Tensor, "batch seq"],
    *,
    ends: Sequence[int],
    new_tokens: int,
    do_sample: bool,
    processors: Sequence[Processor],
    **forward: object,
) -> Int[Tensor, "batch longer"]:
    """The texts with what follows, behind a token of `ends` padding; `forward` goes on to the model's forward pass.

    The likeliest token is chosen, or one drawn from all of them, by the scores that the processors leave.
    """
    from transformers import LogitsProcessorList

    with _unadvised(model):
        return model.generate(
            input_ids=ids,
            attention_mask=attention,
            max_new_tokens=new_tokens,
            pad_token_id=ends[0],
            eos_token_id=list(ends),
            do_sample=do_sample,
            logits_processor=LogitsProcessorList(processors),
            # By default transformers draws from the 50 likeliest tokens.
            **({"top_k": 0} if do_sample else {}),
            **forward,
        )


@contextmanager
def _unadvised(model: "PreTrainedModel") -> Iterator[None]:
    """The model with an empty generation config.

    Handing `generate` another config is not enough: it takes from the model's what that config leaves open.
    """
    from transformers import GenerationConfig

    advised = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = advised
