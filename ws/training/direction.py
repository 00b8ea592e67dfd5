"""The behavior direction `dW = theta_plus - theta_minus` of two trained adapters, and the geometry of the two."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from ws.adapters import AdapterConfig, Params, family
from ws.adapters.targets import writes_residual
from ws.delta.update import Dense, LowRank, Update
from ws.delta.weight_delta import WeightDelta, check_same, random_like, subtracted
from ws.engine.loading import loaded
from ws.errors import MismatchError
from ws.models.anatomy import matrix
from ws.models.language import LanguageModel, Placed
from ws.store import Recipe, Store
from ws.store.tables import read_table
from ws.training.train import Adapter, read_adapter


@dataclass(frozen=True)
class Direction(Recipe):
    """A direction to add to the model; `geometry.parquet` compares its two adapters, tensor by tensor."""

    plus: Adapter
    minus: Adapter
    random_seed: int | None = None
    """None for dW itself; a seed for the control: random values with dW's norm and rank in every tensor."""

    def __post_init__(self) -> None:
        if self.plus.pairs.on != self.minus.pairs.on or self.plus.shape != self.minus.shape:
            raise MismatchError(
                f"cannot subtract {self.minus.describe()} from {self.plus.describe()}: "
                "both need the same model and adapter shape; train both from one recipe"
            )

    @property
    def on(self) -> Placed:
        """The model it was trained on."""
        return self.plus.pairs.on

    def describe(self) -> str:
        seeds = "/".join(dict.fromkeys(str(adapter.seed) for adapter in (self.plus, self.minus)))
        kind = "random as" if self.random_seed is not None else "dW"
        return f"{kind} {self.plus.shape.family} seed {seeds} on {self.on.describe()}"

    def build(self, out: Path, store: Store) -> None:
        lm = loaded(self.on, store)
        signs, delta = updates(lm, self.plus, self.minus, store), direction_delta(self, lm, store)
        geometry(signs, delta, weak=weak_readout(lm)).to_parquet(out / "geometry.parquet")


def updates(lm: LanguageModel, plus: Adapter, minus: Adapter, store: Store) -> Iterator[tuple[str, Update, Update]]:
    """What two adapters add to each of the original weights, exactly; made one weight at a time, for those of a family
    of full rank take as much memory as the model.

    Raises: MismatchError if an adapter names a layer or shape this model does not have, or the two name other layers.
    """
    linears = dict(lm.linears(0, lm.n_layers))
    first, second = (read_adapter(store, one) for one in (plus, minus))
    if unknown := sorted((first.keys() | second.keys()) - linears.keys()):
        raise MismatchError(f"{lm.name} has no layer {unknown[0]!r}; this adapter was trained for another model")
    check_same(first, second)
    for name in first:
        W = matrix(linears[name]).detach()
        yield name, _update(W, first[name], plus.shape), _update(W, second[name], minus.shape)


def _update(W: Float[Tensor, "d_out d_in"], params: Params, shape: AdapterConfig) -> Update:
    """An adapter's update of one weight, in factors if its family has them."""
    module = family(shape.family)
    params = {name: value.to(W.device) for name, value in params.items()}
    factors = module.factors(W, params, config=shape)
    return Dense(module.delta(W, params, config=shape)) if factors is None else LowRank(*factors)


def direction_delta(direction: Direction, lm: LanguageModel, store: Store) -> WeightDelta:
    """`theta_plus - theta_minus`, or random values of the same norm and rank per tensor for the control.

    Raises: MismatchError if the adapters touch different tensors or are identical.
    """
    delta = subtracted(updates(lm, direction.plus, direction.minus, store))
    return delta if direction.random_seed is None else random_like(delta, seed=direction.random_seed)


def geometry(
    signs: Iterable[tuple[str, Update, Update]], delta: WeightDelta, *, weak: Float[Tensor, "d_model k"]
) -> pd.DataFrame:
    """One row per tensor, in squared base-weight units: the energies of plus, minus and dW, and how they overlap.

    Columns: tensor, plus_sq, minus_sq, dot (of plus with minus), delta_sq. Tensors that write the residual stream also
    have weak_sq, the energy of dW in the weak-readout directions, and weak_null, the energy that a dW without
    preference for any direction would have there.
    """
    rows = []
    for name, plus, minus in signs:
        value = delta.tensors[name]
        energy = value.dot(value)
        writes = writes_residual(name, value.shape, d_model=weak.shape[0])
        rows.append(
            {
                "tensor": name,
                "plus_sq": plus.dot(plus),
                "minus_sq": minus.dot(minus),
                "dot": plus.dot(minus),
                "delta_sq": energy,
                "weak_sq": value.before(weak.T).norm ** 2 if writes else float("nan"),
                "weak_null": energy * weak.shape[1] / len(weak) if writes else float("nan"),
            }
        )
    return pd.DataFrame(rows)


def summary(table: pd.DataFrame) -> dict[str, float]:
    """The geometry of a direction over all tensors.

    norm: of dW. cosine: of plus with minus. asymmetry: (|plus| - |minus|) / (|plus| + |minus|). drift_ratio: what both
    signs share, relative to what separates them, |plus + minus| / |plus - minus|. touched: how many tensors have a
    non-zero dW.
    """
    plus, minus, dot = table["plus_sq"].sum(), table["minus_sq"].sum(), table["dot"].sum()
    return {
        "norm": table["delta_sq"].sum() ** 0.5,
        "cosine": dot / (plus * minus) ** 0.5,
        "asymmetry": (plus**0.5 - minus**0.5) / (plus**0.5 + minus**0.5),
        "drift_ratio": ((plus + minus + 2 * dot) / (plus + minus - 2 * dot)) ** 0.5,
        "touched": float((table["delta_sq"] > 0).sum()),
    }


def weak_readout(lm: LanguageModel) -> Float[Tensor, "d_model k"]:
    """Orthonormal residual directions that the unembedding reads least: the lower half of its right singular vectors.

    The journal names a "weak readout" ratio without giving the size of the subspace; half of d_model is our choice.
    """
    head = lm.model.get_output_embeddings().weight.detach().float()
    _, vectors = torch.linalg.eigh(einsum(head, head, "vocab i, vocab j -> i j"))
    return vectors[:, : head.shape[1] // 2]


def read_geometry(store: Store, direction: Direction) -> pd.DataFrame:
    """The table that `geometry` made for this direction."""
    return read_table(store.get(direction) / "geometry.parquet")
