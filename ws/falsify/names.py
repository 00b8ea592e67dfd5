"""The ways in which evidence is spoilt, by name. This module imports nothing, as command lines are made of it."""

from collections.abc import Mapping
from types import MappingProxyType

UNSTEERED = "what is not steered"
SINGLE = "a single number"

CORRUPTIONS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "sides": (
            "the two sides are exchanged: Yes and No, inside and outside, dh and the clean state; a number without "
            "sides is mirrored at the unchanged model's",
            "numbers of the unchanged model that have no sides",
        ),
        "labels": ("labels are shuffled within clusters", "rows without a label, or alone in their cluster"),
        "zero": ("dW is zero: the numbers are the unchanged model's, or 0", UNSTEERED),
        "swapped": ("the numbers are those of another arm", "a table that is the only one of its kind"),
        "tripled": ("the effect is three times as large", UNSTEERED),
        "coefficient": ("the numbers are those of another coefficient", "what was measured at one coefficient only"),
        "nan": ("one row is NaN in each group that a claim may select", ""),
        "missing": ("a tenth of the rows are missing", SINGLE),
        "doubled": ("every row is there twice", SINGLE),
    }
)
"""For each corruption: what is wrong with a table then, and for which tables that has no meaning. Where it changes no
number it has none either."""
