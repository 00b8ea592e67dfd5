"""How much of dW and of dh lies in directions that follow from the pretrained model, compared with random directions.

`energies` compares the outputs of tensors that write the residual stream with bases of the stream. `block_energies`
compares dW with the top singular directions of its own weight, on the output and input side together (journal: "energy
of dW in W's top singular block"). `state_energies` looks at dh, the stream at coefficient +1 minus the stream at -1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from ws.delta.update import Dense, Update
from ws.delta.weight_delta import WeightDelta
from ws.engine.loading import loaded
from ws.errors import MismatchError, ShapeError
from ws.lenses.base import fitting, written
from ws.lenses.base_spectrum import directions, read
from ws.lenses.bases import Bases, LayerBases, read_bases
from ws.lenses.chance import ALL, Chance, Random, chance
from ws.lenses.modules import Modules, kind_of, layer_of
from ws.lenses.readout import Moved
from ws.models.language import LanguageModel
from ws.store import Recipe, Store
from ws.store.tables import read_table
from ws.training.direction import direction_delta


@dataclass(frozen=True)
class BasisEnergy(Recipe):
    """A direction's energy in bases of its model: `writes.parquet` and `blocks.parquet` of dW, `states.parquet` of dh.

    Raises: MismatchError if the bases are those of another model.
    """

    of: Moved
    bases: Bases
    random_seed: int = 0

    def __post_init__(self) -> None:
        if self.bases.texts.on != self.of.base.on:
            raise MismatchError(f"{self.bases.describe()} for {self.of.direction.describe()}; take its own model's")

    def describe(self) -> str:
        return f"energy in {self.bases.k} directions a basis, {self.of.direction.describe()}"

    def build(self, out: Path, store: Store) -> None:
        lm = loaded(self.of.base.on, store)
        delta = direction_delta(self.of.direction, lm, store)
        bases = read_bases(store, self.bases, seed=self.random_seed)
        there = {name: {layer: one.to(lm.device) for layer, one in layers.items()} for name, layers in bases.items()}
        energies(delta, lm, there).to_parquet(out / "writes.parquet")
        block_energies(delta, lm).to_parquet(out / "blocks.parquet")
        state_energies(self.of.change(store), bases).to_parquet(out / "states.parquet")


def read_energy(store: Store, recipe: BasisEnergy, what: str) -> pd.DataFrame:
    """One of its tables: writes, blocks or states."""
    return read_table(store.get(recipe) / f"{what}.parquet")


def energies(delta: WeightDelta, lm: LanguageModel, bases: Mapping[str, LayerBases]) -> pd.DataFrame:
    """The share of dW's energy in each basis, a row per basis and tensor that writes the residual stream.

    Columns: basis, tensor, layer, kind, k, width, share, null (k / width), null_sd (exact standard deviation of this
    dW's share over random bases), ratio (share / null) and z (standard deviations from the null).
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


def state_energies(dh: Float[Tensor, "layer prompt d_model"], bases: Mapping[str, LayerBases]) -> pd.DataFrame:
    """The share of dh's energy in each basis, over all prompts, a row per basis and layer.

    Columns: basis, layer, k, width, share, null (k / width), null_sd (of this dh over random bases), ratio and z.
    Raises: ShapeError if dh is zero after a layer that has a basis.
    """
    rows = []
    for name, layers in bases.items():
        for layer, basis in layers.items():
            if not dh[layer].any():
                raise ShapeError(f"dh is zero after layer {layer}; expected bases from the lowest layer with dW up")
            width, k = basis.shape
            null = chance(torch.linalg.svdvals(dh[layer]), left=Random(k, width), right=ALL)
            share = ((dh[layer] @ basis).square().sum() / dh[layer].square().sum()).item()
            rows.append({"basis": name, "layer": layer, "k": k, "width": width, **_against(share, null)})
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
    """The singular values of an update; for a dense one without singular vectors, which would take most of the time."""
    if update.norm == 0:
        raise ShapeError(f"the update of {path} is zero and lies nowhere; leave it out with Modules or Layers")
    return torch.linalg.svdvals(update.value) if isinstance(update, Dense) else update.svd().values


def _place(path: str) -> dict[str, object]:
    return {"tensor": path, "layer": layer_of(path), "kind": kind_of(path)}


def _against(share: float, null: Chance) -> dict[str, float]:
    z = (share - null.mean) / null.sd if null.sd else float("nan")
    return {"share": share, "null": null.mean, "null_sd": null.sd, "ratio": share / null.mean, "z": z}
