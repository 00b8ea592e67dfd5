"""Where in the network dW steers: residual writes and reads, attention and MLP, depth.

Source: research journal, 2026-04-27, T7 ("lens search on hold": residual writes alone retain 1.27 of the effect in
DeLoRA and .14 in LoRA, "no stable 'the behavior lives in module X' story"). The read side was not run there ("two-goal
frame and coverage gaps").

Tensors are kept at their own norm: nothing is scaled.
"""

from functools import partial, reduce
from operator import and_

import pytest

from ws.lenses.base import RandomLike
from ws.lenses.modules import THIRDS, Layers
from ws.lenses.names import named

MATCHES, HALF = 0.90, 0.50
"""Shares of the whole effect: from MATCHES on, a part does what dW does; HALF is half of the effect."""

MEASURES = pytest.mark.parametrize("measure", ["raw", "corrected", "text"])
FINE = pytest.mark.parametrize("family", ["lora", "delora"], scope="module")
"""The families that are cut layer by layer, two cuts a layer: only the two that the journal tells apart."""
GROUPS = ("attention", "mlp")


@MEASURES
@pytest.mark.claim("C22")
def test_residual_writes_alone_do_what_dw_does_in_delora(retained, holds, measure):
    holds(retained("delora", "residual_writes") > MATCHES)


@MEASURES
@pytest.mark.claim("C22")
def test_residual_writes_alone_do_not_do_what_dw_does_in_lora(retained, holds, measure):
    holds(retained("lora", "residual_writes") < MATCHES)


@MEASURES
@pytest.mark.parametrize("family", ["dora", "pissa", "oft", "boft", "ia3"], scope="module")
@pytest.mark.claim("C22")
def test_residual_writes_alone_do_what_dw_does_in_other_families(retained, holds, family, measure):
    holds(retained(family, "residual_writes") > MATCHES)


@MEASURES
@pytest.mark.families("residual_reads", "residual_writes")
@pytest.mark.claim("C22")
def test_reads_alone_steer_less_than_writes_alone(effect, holds, family, measure):
    holds(effect(family, "residual_reads") < effect(family, "residual_writes"))


@MEASURES
@pytest.mark.families(*GROUPS)
@pytest.mark.claim("C22")
def test_neither_attention_nor_mlp_alone_does_what_dw_does(retained, holds, family, measure):
    holds(reduce(and_, (retained(family, group) < MATCHES for group in GROUPS)))


@MEASURES
@pytest.mark.families(*(f"{part}_layers" for part in THIRDS))
@pytest.mark.claim("C22")
def test_no_third_of_the_layers_alone_does_what_dw_does(retained, holds, family, measure):
    holds(reduce(and_, (retained(family, f"{part}_layers") < MATCHES for part in THIRDS)))


@MEASURES
@FINE
@pytest.mark.claim("C22")
def test_no_single_layer_carries_half_of_the_effect(retained, layers, holds, family, measure):
    holds(reduce(and_, (retained(family, Layers((layer,))) < HALF for layer in layers(family))))


@MEASURES
@FINE
@pytest.mark.claim("C22")
def test_no_single_layer_takes_half_of_the_effect_with_it(retained, layers, holds, family, measure):
    holds(reduce(and_, (retained(family, Layers((layer,), keep=False)) > HALF for layer in layers(family))))


@FINE
@pytest.mark.parametrize(
    "parts",
    [("residual_writes", "residual_reads"), GROUPS, tuple(f"{part}_layers" for part in THIRDS)],
    ids=["stream", "groups", "thirds"],
)
def test_the_parts_of_the_network_are_dw(gap, family, parts):
    assert gap(family, *parts) < 1e-5


@FINE
def test_its_layers_are_dw(gap, layers, family):
    assert gap(family, *(Layers((layer,)) for layer in layers(family))) < 1e-5


@MEASURES
@pytest.mark.parametrize("family", ["lora", "pissa", "delora"], scope="module")
def test_random_update_of_the_writes_rank_and_norm_does_not(retained, must_not_hold, family, measure):
    must_not_hold(retained(family, partial(RandomLike, named("residual_writes"))) > HALF)
