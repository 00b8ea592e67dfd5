"""Which of a family's own parameters carries the effect, if the family has more than one kind of parameter.

Source: research journal, 2026-04-27, T9 ("lens search on hold": sketched, not run; best case "DoRA stores it in the
magnitude vector"). Every family has other parts, so their shares cannot be compared across families; each part is
scored at its own norm. IA3 has one kind of parameter, gates; they are split into those in attention and in the MLP.
"""

import pytest

from ws.study.cuts import Part

MOST = 0.50
"""Share of the whole effect."""

MEASURES = pytest.mark.parametrize("measure", ["raw", "corrected", "text"])


@MEASURES
@pytest.mark.families(Part("direction"))
@pytest.mark.claim("S15")
def test_direction_carries_most_of_the_effect(retained, holds, family, measure):
    holds(retained(family, Part("direction")) > MOST)


@MEASURES
@pytest.mark.families(Part("magnitude"))
@pytest.mark.claim("S15")
def test_magnitude_carries_most_of_the_effect(retained, holds, family, measure):
    holds(retained(family, Part("magnitude")) > MOST)


@MEASURES
@pytest.mark.families(Part("lambda"))
@pytest.mark.claim("S15")
def test_strength_carries_most_of_the_effect(retained, holds, family, measure):
    holds(retained(family, Part("lambda")) > MOST)


@MEASURES
@pytest.mark.families(Part("rotation"))
@pytest.mark.claim("S15")
def test_rotation_carries_most_of_the_effect(retained, holds, family, measure):
    holds(retained(family, Part("rotation")) > MOST)


@MEASURES
@pytest.mark.parametrize("gates", ["attention", "mlp"])
@pytest.mark.claim("S15")
def test_gates_of_one_kind_carry_most_of_the_effect_of_ia3(retained, holds, gates, measure):
    holds(retained("ia3", gates) > MOST)


@pytest.mark.parametrize(
    ("family", "parts"),
    [("dora", ("direction", "magnitude")), ("delora", ("direction", "lambda")), ("boft", ("rotation", "scale"))],
)
def test_the_parts_of_a_family_are_dw(gap, family, parts):
    assert gap(family, *map(Part, parts)) < 1e-5


def test_the_gates_of_ia3_are_dw(gap):
    assert gap("ia3", "attention", "mlp") < 1e-5
