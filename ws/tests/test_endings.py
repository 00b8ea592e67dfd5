"""Logits at the ends of prompts are those of each prompt alone, and prompts share products with the head."""

from collections.abc import Iterator

import pytest
import torch

from ws.engine.depth import packed_batch
from ws.engine.endings import logits_at, together
from ws.engine.passes import Batch
from ws.engine.plain import plain_batch
from ws.models.language import LanguageModel
from ws.tests.architectures import ARCHITECTURES, random_model

PROMPTS = ((5, 6, 7, 8), (5, 6, 7, 9, 10, 11), (40, 41), (5, 6, 7, 8), (60,))
SPANS = (slice(-2, None), slice(-3, -1), slice(-1, None), slice(-1, None), slice(-1, None))


@pytest.fixture(scope="module", params=ARCHITECTURES)
def lm(request: pytest.FixtureRequest) -> LanguageModel:
    return random_model(request.param, kinds=["full_attention", "full_attention"], window=32)


@pytest.fixture
def products(lm: LanguageModel) -> Iterator[list[int]]:
    """Of each product with the head so far: how many tokens it had."""
    seen: list[int] = []
    handle = lm.model.get_output_embeddings().register_forward_hook(lambda _, x, y: seen.append(x[0].shape[-2]))
    yield seen
    handle.remove()


def check(lm: LanguageModel, batch: Batch) -> None:
    found = dict(logits_at(lm, batch, SPANS))
    assert sorted(found) == [*range(len(PROMPTS))]
    for place, logits in found.items():
        with torch.no_grad():
            alone = lm.model(torch.tensor([PROMPTS[place]]), use_cache=False).logits[0, SPANS[place]]
        torch.testing.assert_close(logits, alone, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("tokens", "sizes"), [(1, [2, 1, 2, 1, 1]), (3, [3, 3, 1]), (100, [7])])
def test_packed_prompts_share_products(
    lm: LanguageModel, products: list[int], monkeypatch: pytest.MonkeyPatch, tokens: int, sizes: list[int]
) -> None:
    monkeypatch.setattr("ws.engine.endings.LOGITS", tokens * lm.model.config.get_text_config().vocab_size)
    batch = packed_batch(lm, PROMPTS, start=1)
    before = len(products)
    found = list(logits_at(lm, batch, SPANS))
    assert len(found) == len(PROMPTS)
    assert products[before:] == sizes
    check(lm, batch)


@pytest.mark.parametrize("in_groups", [True, False])
def test_unpacked_prompts_are_read_alike(lm: LanguageModel, in_groups: bool) -> None:
    check(lm, plain_batch(PROMPTS, start=0, together=in_groups))


def test_a_prompt_longer_than_a_group_is_a_group() -> None:
    columns = {place: torch.arange(length) for place, length in ((4, 2), (0, 9), (1, 1), (2, 1), (3, 1))}
    assert together(columns, tokens=3) == [[4], [0], [1, 2, 3]]
