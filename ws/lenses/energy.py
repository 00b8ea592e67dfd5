"""How much of dW lies in directions that the pretrained model names, against what chance puts there.

`energies` looks at the residual stream, where tensors that write it put their output; `block_energies` at each weight's
own top singular directions, its output and input sides together (journal: "energy of dW in W's top singular block").
"""

from collections.abc import Mapping

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from ws.delta import WeightDelta
from ws.errors import MismatchError
from ws.lenses.base import fitting, written
from ws.lenses.base_spectrum import directions, read
from ws.lenses.bases import LayerBases
from ws.lenses.chance import ALL, Chance, Random, chance
from ws.lenses.modules import Modules, kind_of, layer_of
from ws.lenses.spectrum import real_rank
from ws.models import LanguageModel
from ws.update import Update


def energies(delta: WeightDelta, lm: LanguageModel, bases: Mapping[str, LayerBases]) -> pd.DataFrame:
    """The share of dW's energy in each basis, a row per basis and tensor that writes the residual stream.

    Columns: basis, tensor, layer, kind, k, width, share, null (k / width), null_sd (its exact spread over random bases
    of this very dW), ratio (share / null) and z (standard deviations from the null).
    Raises: MismatchError if dW writes the stream nowhere, or at a layer without a basis of its width.
    """
    writers = Modules("writers").apply(fitting(delta, lm), lm)
    nulls: dict[tuple[str, int], Chance] = {}
    rows = []
    for name, layers in bases.items():
        for path, update in writers.tensors.items():
            basis = _basis(name, layers, path, update)
            width, k = basis.shape
            if (path, k) not in nulls:
                nulls[path, k] = chance(_values(path, update), left=Random(k, width), right=ALL)
            share = written(update, basis).norm ** 2 / update.norm**2
            rows.append({"basis": name, **_place(path), "k": k, "width": width, **_against(share, nulls[path, k])})
    return pd.DataFrame(rows)


def block_energies(delta: WeightDelta, lm: LanguageModel, *, share: float = 0.1) -> pd.DataFrame:
    """The share of dW's energy between the top singular directions of its weight, a row per tensor.

    K is a tenth of W's rank as in the journal's code; U_K U_K^T dW V_K V_K^T. Columns: tensor, layer, kind, k, share,
    null (K^2 / (d_out d_in)), null_sd, ratio and z.
    Raises: MismatchError if dW is not of this model's weights.
    """
    rows = []
    for path, update in fitting(delta, lm).tensors.items():
        left, right = directions(lm, path, part="top", share=share, by="index")
        d_out, d_in = update.shape
        null = chance(_values(path, update), left=Random(len(right), d_out), right=Random(len(right), d_in))
        inside = written(read(update, right), left).norm ** 2 / update.norm**2
        rows.append({**_place(path), "k": len(right), **_against(inside, null)})
    return pd.DataFrame(rows)


def _basis(name: str, layers: LayerBases, path: str, update: Update) -> Float[Tensor, "d_model k"]:
    layer = layer_of(path)
    if layer not in layers:
        raise MismatchError(f"{name} has no basis at layer {layer} of {path}; it has {sorted(layers)}: make one there")
    if len(layers[layer]) != update.shape[0]:
        raise MismatchError(
            f"{name} has directions of width {len(layers[layer])}, {path} writes to width {update.shape[0]}; "
            "take the bases of this model"
        )
    return layers[layer]


def _values(path: str, update: Update) -> Float[Tensor, " rank"]:
    spectrum = update.svd()
    return spectrum.values[: real_rank(path, spectrum)]


def _place(path: str) -> dict[str, object]:
    return {"tensor": path, "layer": layer_of(path), "kind": kind_of(path)}


def _against(share: float, null: Chance) -> dict[str, float]:
    z = (share - null.mean) / null.sd if null.sd else float("nan")
    return {"share": share, "null": null.mean, "null_sd": null.sd, "ratio": share / null.mean, "z": z}
