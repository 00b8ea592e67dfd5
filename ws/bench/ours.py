"""Our way: calls the same functions as `Adapter`, `Rows` and a spectrum lens."""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from ws.delta.update import spectra
from ws.delta.weight_delta import WeightDelta
from ws.scoring.rows import Rows
from ws.steering.interventions import Nothing
from ws.store import Store


def log_ratios(rows: Rows, store: Store) -> Float[Tensor, "coeffs prompts"]:
    """log P(yes) - log P(no) of every question: the unchanged model first, then every coefficient."""
    with tempfile.TemporaryDirectory() as scratch:
        parts = [
            _built(recipe, store, Path(scratch))
            for recipe in (replace(rows, intervention=Nothing(), coeffs=(0.0,)), rows)
        ]
    values = torch.tensor(pd.concat(parts)["log_ratio"].to_list())
    return values.reshape(-1, len(rows.questions))


def _built(rows: Rows, store: Store, out: Path) -> pd.DataFrame:
    rows.build(out, store)
    return pd.read_parquet(out / "rows.parquet")


def cropped(delta: WeightDelta, keep: Iterable[slice]) -> Iterator[dict[str, tuple[Tensor, Tensor]]]:
    """Each crop of dW, two factors for each tensor; the SVDs of all tensors' factors come before the first crop."""
    known = dict(zip(delta.tensors, spectra(delta.tensors.values()), strict=True))
    for part in keep:
        crops = {path: spectrum.crop(part) for path, spectrum in known.items()}
        yield {path: (crop.left, crop.right) for path, crop in crops.items()}
