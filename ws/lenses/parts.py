"""dW cut along a family's own parameters: DoRA's direction and magnitude, DeLoRA's direction and lambda, and so on.

The journal's T9 ("lens search on hold", 2026-04-27; sketched there): every family has other parts, so shares cannot be
compared across families. A part of dW is that part of the plus adapter minus that of the minus adapter; as parts sum to
an adapter's update, they sum to dW. DoRA's direction is applied first and its magnitude second
(`ws.adapters.dora.parts`); the other order would give other parts. lora, pissa, oft and ia3 have a single part; IA3's
gates in attention and MLP are cut by `Modules`.
"""

from collections.abc import Mapping
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor

from ws.adapters import AdapterConfig, Params, family
from ws.delta.update import Dense, LowRank, Update
from ws.delta.weight_delta import WeightDelta
from ws.errors import MismatchError, ShapeError, UnknownNameError
from ws.lenses.families import part_names
from ws.models.anatomy import matrix
from ws.models.language import LanguageModel

CANCELLED = 1e-3
"""A part stays dense if more than this share of its norm lies outside the whole's directions; fp32 rounds to 1e-6."""


def applies(part: str, name: str) -> str | None:
    """Why cutting out this part means nothing for a family; None if the family has this part and others.

    Raises: UnknownNameError for an unknown family.
    """
    known = part_names(name)
    if part not in known:
        return f"{name} has no part {part}; it has {', '.join(known)}"
    if len(known) == 1:
        return f"{part} is all there is of {name}"
    return None


def part_deltas(
    lm: LanguageModel, plus: Mapping[str, Params], minus: Mapping[str, Params], shape: AdapterConfig
) -> dict[str, WeightDelta]:
    """The native parts of `plus - minus`, by name, from the parameters of each adapted layer.

    Raises: MismatchError if the two adapt different layers, or layers that this model does not have.
    """
    signs = [_sign_parts(lm, params, shape) for params in (plus, minus)]
    return {name: signs[0][name] - signs[1][name] for name in part_names(shape.family)}


def keep_part(parts: Mapping[str, WeightDelta], part: str, *, keep: bool = True) -> WeightDelta:
    """One of the parts that `part_deltas` made, or the sum of all others.

    Raises: UnknownNameError for another part; ShapeError if there are no others.
    """
    if part not in parts:
        raise UnknownNameError("part of dW", part, parts)
    if keep:
        return parts[part]
    others = [delta for name, delta in parts.items() if name != part]
    if not others:
        raise ShapeError(f"nothing is left of dW without {part}, its only part; choose a family with more")
    return reduce(WeightDelta.__add__, others)


def _sign_parts(lm: LanguageModel, params: Mapping[str, Params], shape: AdapterConfig) -> dict[str, WeightDelta]:
    linears = lm.linears(0, lm.n_layers)
    if alien := sorted(params.keys() - linears.keys()):
        raise MismatchError(f"{lm.name} has no layer {alien[0]!r}; use the model that the adapter was trained on")
    cut = {path: _parts(matrix(linears[path]).detach(), values, shape) for path, values in params.items()}
    return {name: WeightDelta({path: parts[name] for path, parts in cut.items()}) for name in part_names(shape.family)}


def _parts(W: Float[Tensor, "d_out d_in"], params: Params, shape: AdapterConfig) -> dict[str, Update]:
    module = family(shape.family)
    params = {name: value.to(W.device) for name, value in params.items()}
    parts = module.parts(W, params, config=shape)
    factors = module.factors(W, params, config=shape)
    if factors is None:
        return {name: Dense(value) for name, value in parts.items()}
    if len(parts) == 1:
        return {name: LowRank(*factors) for name in parts}
    basis = torch.linalg.qr(factors.left).Q
    return {name: _thin(value, basis) for name, value in parts.items()}


def _thin(part: Float[Tensor, "d_out d_in"], basis: Float[Tensor, "d_out k"]) -> Update:
    """A part in factors, along the whole's output directions; dense if parts write elsewhere and cancel in the whole.

    The latter happens if DeLoRA's lambda is 0.
    """
    thin = LowRank(basis, basis.T @ part)
    return thin if torch.dist(thin.dense(), part) <= CANCELLED * part.norm() else Dense(part)
