"""Directions that stand out in the pretrained model are not the ones that training chose.

Each basis has eight directions: those that the layer writes most, that the unembedding reads most or least, that are
written and not read, that are suppressed, or that the next block changes. Measured is the share that lies in a basis:
of what dW writes to the residual stream, and of dh, the hidden state under +1 dW minus the hidden state under -1 dW.
By chance, k random directions of d hold a share of k / d.

Source: research journal, 2026-04-27, v9 cross-adapter results: "every linear 'find the planning subspace' method we
tried lands at ~1-8% subspace overlap", in every family and layer; the top singular block of W is measured there too.
"""

from functools import reduce
from operator import and_

import pytest

from ws.adapters import FAMILIES

EACH_FAMILY = pytest.mark.parametrize("family", FAMILIES)
OF = pytest.mark.parametrize("of", ["dW", "dh"])

MODEL_BASES = ("write", "lm_head_read", "weak_readout", "write_not_read", "suppressed", "churn")

MOST = 0.08
"""The highest overlap that the journal found."""

NOTABLE = 2.0
"""A basis this many standard deviations or more from the mean of random directions differs from chance."""


def in_every(bases, hypothesis):
    """The hypothesis that a statement holds for every basis."""
    return reduce(and_, (hypothesis(basis) for basis in bases))


@EACH_FAMILY
@OF
@pytest.mark.claim("S9")
def test_no_base_model_basis_holds_more_than_the_highest_overlap(basis_energy, holds, family, of):
    holds(in_every(MODEL_BASES, lambda basis: basis_energy(family, basis, of).value < MOST))


@EACH_FAMILY
@pytest.mark.claim("S9")
def test_base_model_bases_hold_no_more_of_dw_than_random_ones(basis_energy, holds, family):
    holds(in_every(MODEL_BASES, lambda basis: basis_energy(family, basis).z.is_negligible(within=NOTABLE)))


@EACH_FAMILY
@pytest.mark.claim("S9")
def test_top_singular_block_of_the_weights_holds_less_than_the_highest_overlap(block_energy, holds, family):
    holds(block_energy(family).value < MOST)


@EACH_FAMILY
@pytest.mark.claim("S9")
def test_top_singular_block_of_the_weights_holds_no_more_than_a_random_one(block_energy, holds, family):
    holds(block_energy(family).z.is_negligible(within=NOTABLE))


@OF
@pytest.mark.parametrize("family", ["lora", "pissa", "delora"])
def test_random_basis_does_not_hold_more_than_chance(basis_energy, must_not_hold, family, of):
    must_not_hold(basis_energy(family, "random", of).ratio > 1)


@OF
@pytest.mark.parametrize("family", ["lora", "pissa", "delora"])
def test_random_basis_does_not_hold_less_than_chance(basis_energy, must_not_hold, family, of):
    must_not_hold(basis_energy(family, "random", of).ratio < 1)
