"""Memory that a build has no more use for, given back to the system before it is needed elsewhere."""

import gc
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from ws.lenses.cuts import whole_delta
from ws.store.memory import give_back

_Cache = type(lru_cache(maxsize=1)(len))
"""The class of cached functions, which has no public name."""


def forget_what_was_read() -> None:
    """Empty all caches that have a bound: tables that tests have read for a plan, some of them of made-up numbers.

    Caches without a bound stay. They hold what every build needs, such as models.
    """
    for one in _bounded():
        one.cache_clear()
    gc.collect()
    if (arrow := sys.modules.get("pyarrow")) is not None:
        arrow.default_memory_pool().release_unused()
    give_back(above=0)


def let_go_of_updates() -> None:
    """Forget the updates that are kept for cuts to come; of the embedded model, each takes 0.2 to 0.5 GB.

    A queue goes from direction to direction, so that they are of no more use once another is asked for.
    """
    if whole_delta.cache_info().currsize:
        whole_delta.cache_clear()
        give_back(above=0)


def _bounded() -> Iterator[Any]:
    """The cached functions of this package whose caches have a bound."""
    for name, module in list(sys.modules.items()):
        if name.startswith("ws."):
            yield from (
                value
                for value in list(vars(module).values())
                if isinstance(value, _Cache) and value.cache_parameters()["maxsize"] is not None
            )
