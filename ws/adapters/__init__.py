"""LoRA-family adapters: what each adds to one linear layer `y = W x`.

A family is one module with the functions of `ws.adapters.base.Family`. Everything here is about a single weight `W`
of shape [d_out, d_in] and the family's own parameters for it; models, names and training live elsewhere.
"""

from ws.adapters import boft, delora, dora, ia3, lora, oft, pissa
from ws.adapters.base import AdapterConfig, Factors, Family, Params
from ws.errors import UnknownNameError

__all__ = ["FAMILIES", "RANKED", "AdapterConfig", "Factors", "Family", "Params", "family"]

FAMILIES = {module.NAME: module for module in (lora, dora, pissa, delora, oft, boft, ia3)}

RANKED = frozenset(module.NAME for module in (lora, dora, pissa, delora))
"""Families whose parameters have a rank, which no side of a layer's weight may be shorter than."""


def family(name: str) -> Family:
    """The module of a family by name.

    Raises: UnknownNameError listing the known families.
    """
    if name not in FAMILIES:
        raise UnknownNameError("adapter family", name, FAMILIES)
    return FAMILIES[name]
