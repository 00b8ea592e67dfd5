"""A cache is passed under the name that the function knows, and checked to have been filled."""

from collections.abc import Callable
from functools import wraps

import pytest
import torch
from torch import Tensor
from transformers import Cache, DynamicCache

from ws.engine import continuation, depth
from ws.engine.caches import cache_name, check_filled
from ws.engine.packing import pack
from ws.errors import MismatchError
from ws.models.language import LanguageModel
from ws.tests.architectures import ARCHITECTURES, random_model

PROMPTS = ([5, 6, 7, 8], [5, 6, 9])
KEYS = torch.zeros(1, 2, 3, 4)
"""Of three tokens."""


def fill(cache: Cache | None) -> None:
    if cache is not None:
        cache.update(KEYS, KEYS, 0)


def newer(ids: Tensor, cache: Cache | None = None, **kwargs: object) -> None:
    """As from 5.24 on."""
    fill(cache)


def older(ids: Tensor, past_key_values: Cache | None = None, **kwargs: object) -> None:
    """As up to 5.23: another name goes into `kwargs` and is lost."""
    fill(past_key_values)


def renaming(ids: Tensor, *, cache: Cache | None = None, past_key_values: Cache | None = None) -> None:
    """As one that still says both."""
    assert past_key_values is None
    fill(cache)


def without(ids: Tensor, cache_params: object = None, **kwargs: object) -> None:
    """As a state-space model."""


@wraps(newer)
def decorated(*args: object, **kwargs: object) -> None:
    """As 5.24 hides a function behind the one that knows the old name too."""
    assert "past_key_values" not in kwargs
    newer(*args, **kwargs)


@pytest.mark.parametrize("function", [newer, older, renaming, decorated])
def test_a_function_fills_the_cache_under_the_name_it_knows(function: Callable[..., None]) -> None:
    cache = DynamicCache()
    function(KEYS, **{cache_name(function): cache})
    check_filled(cache, tokens=3, by="it")


def test_a_name_that_is_lost_leaves_the_cache_empty() -> None:
    cache = DynamicCache()
    older(KEYS, cache=cache)
    with pytest.raises(MismatchError, match="older has read 3 tokens and put keys and values of 0 into its cache"):
        check_filled(cache, tokens=3, by="older")


def test_a_function_without_a_cache_is_refused() -> None:
    with pytest.raises(MismatchError, match="without takes ids, cache_params, kwargs; expected one of cache, past_key"):
        cache_name(without)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def lm(request: pytest.FixtureRequest) -> LanguageModel:
    return random_model(request.param, kinds=["sliding_attention", "full_attention"], window=12)


def test_a_model_that_takes_another_name_is_noticed(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depth, "cache_name", lambda function: "kept")
    [packed] = pack(PROMPTS)
    with pytest.raises(MismatchError, match=f"{lm.name} has read 5 tokens and put keys and values of 0 into its cache"):
        depth.prefilled(lm, packed)


def test_an_answer_that_went_past_the_cache_is_noticed(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def say(input_ids: Tensor, **_: object) -> Tensor:
        return torch.cat([input_ids, input_ids[:, -2:]], dim=1)

    read = continuation.packed_begun(lm, PROMPTS)
    monkeypatch.setattr(lm.model, "generate", say)
    with pytest.raises(MismatchError, match=f"generate of {lm.name} has read 5 tokens and put keys and values of 3"):
        read.continued([0], ends=(2,), new_tokens=2)
