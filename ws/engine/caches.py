"""Handing a model the cache that its keys and values go into, whatever the release of transformers calls it.

transformers 5.24 renamed the argument and the output `past_key_values` to `cache`. Trying both names does not tell
which one a function knows: an older function swallows `cache=` in its **kwargs, caches nothing and silently computes
wrong logits; a newer one warns of the old name. So the name is read from the signature.
"""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ws.errors import MismatchError

if TYPE_CHECKING:
    from transformers import Cache

NAMES = ("cache", "past_key_values")
"""What a function may call its cache, newest first."""


def cache_name(function: Callable[..., Any]) -> str:
    """What this function calls the cache of keys and values that it takes.

    Raises: MismatchError if it has no argument of its own for one.
    """
    arguments = inspect.signature(function).parameters
    if (name := next((name for name in NAMES if name in arguments), None)) is None:
        raise MismatchError(
            f"{function.__qualname__} takes {', '.join(arguments)}; expected one of {', '.join(NAMES)}, into which it "
            "puts keys and values; use a model that caches both (Llama, Qwen 3 and Gemma 3 do)"
        )
    return name


def check_filled(cache: "Cache", *, tokens: int, by: str) -> None:
    """Raises: MismatchError if a cache holds fewer tokens than `by` has read with it."""
    # On a GPU `generate` may read one token more before it learns that all answers have ended.
    if (found := cache.get_seq_length()) < tokens:
        raise MismatchError(
            f"{by} has read {tokens} tokens and put keys and values of {found} into its cache; expected all of them: "
            "this release of transformers takes a cache in another way; install one that pyproject.toml names"
        )
