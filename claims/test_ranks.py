"""Whether DeLoRA's lead over LoRA grows or saturates with the rank of the adapters.

At every rank all else is as it was chosen for the family's own rank, alpha / rank included.
Source: research journal, 2026-04-27, v9 cross-adapter results (proposed, not run).
"""

import pytest

MEASURES = pytest.mark.parametrize("measure", ["raw", "corrected", "text"])
LOW, HIGH = "quarter-rank", "fourfold-rank"
"""A quarter of the rank that a family is trained at elsewhere, which is the journal's 32, and four times that rank."""


@pytest.fixture
def lead(sweep):
    """How much further DeLoRA steers than LoRA, both at a rank; `lead()` at that of the recipes."""

    def of(rank=None):
        delora, lora = (f"{family}-{rank}" if rank else family for family in ("delora", "lora"))
        return sweep(delora, coeffs=(1.0,)).effect - sweep(lora, coeffs=(1.0,)).effect

    return of


@MEASURES
@pytest.mark.claim("C26")
def test_lead_of_delora_grows_with_the_rank(lead, holds, measure):
    holds((lead() > lead(LOW)) & (lead(HIGH) > lead()))


@MEASURES
@pytest.mark.claim("C26")
def test_lead_of_delora_saturates_with_the_rank(lead, holds, measure):
    holds(lead(HIGH) - lead() < lead() - lead(LOW))
