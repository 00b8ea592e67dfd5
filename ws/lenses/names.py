"""Short names of the lenses that the journal's tables ask for, so that a claim can say lens="drop_top_90_energy"."""

from dataclasses import replace

from ws.errors import UnknownNameError
from ws.lenses.base import Lens, Whole
from ws.lenses.base_spectrum import BaseCrop
from ws.lenses.modules import KINDS, THIRDS, Modules, Third
from ws.lenses.spectrum import SpectrumCrop

_SPECTRUM: dict[str, Lens] = {
    "top_25": SpectrumCrop("top", 0.25),
    "middle_50": SpectrumCrop("middle", 0.5),
    "bottom_25": SpectrumCrop("bottom", 0.25),
    "top_50_energy": SpectrumCrop("top", 0.5, by="energy"),
    "top_90_energy": SpectrumCrop("top", 0.9, by="energy"),
    "base_top_25": BaseCrop("top", 0.25),
    "base_middle_50": BaseCrop("middle", 0.5),
    "base_bottom_25": BaseCrop("bottom", 0.25),
    "base_top_50_energy": BaseCrop("top", 0.5, by="energy"),
    "base_top_90_energy": BaseCrop("top", 0.9, by="energy"),
}
_PLACES: dict[str, Lens] = {
    "residual_writes": Modules("writers"),
    "residual_reads": Modules("readers"),
    "attention": Modules("attention"),
    "mlp": Modules("mlp"),
    **{kind: Modules(kind) for kind in KINDS.values()},
    **{f"{part}_layers": Third(part) for part in THIRDS},
}

_KEPT = _SPECTRUM | _PLACES

LENSES: dict[str, Lens] = {
    "whole": Whole(),
    **_KEPT,
    **{f"drop_{name}": replace(lens, keep=False) for name, lens in _KEPT.items()},  # type: ignore[type-var]  # every lens here is a dataclass
}
"""Lenses by name; a name that begins with `drop_` keeps all that the lens without it drops."""


def named(name: str) -> Lens:
    """A lens by name. Raises: UnknownNameError listing the known names."""
    if name not in LENSES:
        raise UnknownNameError("lens", name, LENSES)
    return LENSES[name]
