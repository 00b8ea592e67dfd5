"""Interventions: every way to steer a model behind one protocol, so that all of them are scored on the same rows.

An intervention is a small frozen dataclass that a recipe can hold. It changes the prompts, the weights or the residual
stream of a model, by as much as its coefficient says; at coefficient 0 nothing changes, bit for bit.

A coefficient of 1 adds dW itself (`Weights`), the message (`SystemPrompt`), or the vector (`Activations`): as it was
fitted ("raw"), or scaled to length 1 in the units of the residual stream ("unit").
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from ws.delta.folders.delta import folder_sha256, folders_delta
from ws.delta.folders.given import check_given, check_two
from ws.delta.steering import steered
from ws.delta.weight_delta import WeightDelta, lowest_layer
from ws.engine.blocks import Output, stream, with_stream
from ws.errors import DataError, MismatchError, ShapeError
from ws.models.language import LanguageModel, Placed
from ws.store import Recipe, Store
from ws.training.direction import Direction, direction_delta

Applies = Callable[..., AbstractContextManager[object]]
"""Takes the keywords `coeff` and `tokens` (how many will run), and steers for as long as its context lasts."""


@dataclass(frozen=True, eq=False)
class Ready:
    """An intervention with all that it needs in memory."""

    start: int
    """The lowest block it changes; what enters that block does not depend on the coefficient."""
    applies: Applies
    added: WeightDelta | None = None
    """What coefficient 1 adds to the weights."""

    @property
    def norm(self) -> float:
        """Frobenius norm of what coefficient 1 adds to the weights, in base-weight units."""
        return 0.0 if self.added is None else self.added.norm

    def at(self, coeff: float, *, tokens: int | None = None) -> AbstractContextManager[object]:
        """A context in which the model is steered by `coeff`; afterwards it is as before. At 0 it is never touched."""
        return self.applies(coeff=coeff, tokens=tokens) if coeff else nullcontext()


class Intervention(ABC):
    """A way to steer; its dataclasses hold only what a recipe can hold."""

    @property
    def on(self) -> Placed | None:
        """The model it was made for; None if it can steer any."""
        return None

    def check(self, coeff: float) -> None:
        """Raises: DataError for a coefficient that has no meaning here; by default all of them have one."""
        return None

    def system(self, coeff: float) -> str | None:
        """The system message of every prompt; None for a conversation without one."""
        return None

    @abstractmethod
    def ready(self, lm: LanguageModel, store: Store) -> Ready:
        """The intervention for this model, which it leaves as it is."""

    @abstractmethod
    def describe(self) -> str:
        """One short human phrase."""


@dataclass(frozen=True)
class Nothing(Intervention):
    """The unchanged model; its only coefficient is 0."""

    def check(self, coeff: float) -> None:
        if coeff != 0:
            raise DataError(f"the unchanged model at coefficient {coeff:+g}; expected 0: leave out the others")

    def ready(self, lm: LanguageModel, store: Store) -> Ready:
        return Ready(0, untouched)

    def describe(self) -> str:
        return "base model"


@dataclass(frozen=True)
class SystemPrompt(Intervention):
    """A system message in front of every question: there at coefficient 1, absent at 0, and nothing in between."""

    text: str

    def __post_init__(self) -> None:
        if not self.text or self.text != self.text.strip():
            raise DataError(
                f"the system prompt reads {self.text!r}; expected words without space around them; "
                "write some, or use Nothing() to send no system message"
            )

    def check(self, coeff: float) -> None:
        if coeff not in (0, 1):
            raise DataError(
                f"a system prompt at coefficient {coeff:+g}; expected 1 (with it) or 0 (without): words have no "
                "strength between or beyond; for the opposite, write the opposite prompt"
            )

    def system(self, coeff: float) -> str | None:
        return self.text if coeff else None

    def ready(self, lm: LanguageModel, store: Store) -> Ready:
        return Ready(0, untouched)

    def describe(self) -> str:
        return f"system prompt {self.text[:40]!r}"


class WeightIntervention(Intervention):
    """`coeff` times an update added to the weights. A subclass says which: all of a direction, or a cut of it."""

    @abstractmethod
    def delta(self, lm: LanguageModel, store: Store) -> WeightDelta:
        """What coefficient 1 adds."""

    def ready(self, lm: LanguageModel, store: Store) -> Ready:
        return weights_ready(lm, self.delta(lm, store))


@dataclass(frozen=True)
class Weights(WeightIntervention):
    """dW of a direction."""

    direction: Direction

    @property
    def on(self) -> Placed:
        return self.direction.on

    def delta(self, lm: LanguageModel, store: Store) -> WeightDelta:
        return direction_delta(self.direction, lm, store)

    def describe(self) -> str:
        return self.direction.describe()


@dataclass(frozen=True)
class FolderWeights(WeightIntervention):
    """dW of two adapters or models in folders; `folder_weights` makes one."""

    plus: str
    minus: str
    contents: tuple[str, str]
    """`folder_sha256` of both, so that rows of a folder that has changed since are made anew."""

    def delta(self, lm: LanguageModel, store: Store) -> WeightDelta:
        folders = Path(self.plus), Path(self.minus)
        if tuple(map(folder_sha256, folders)) != self.contents:
            raise MismatchError(
                f"{_changed(folders, self.contents)} changed since the run began; start again when both are written"
            )
        return _latest_delta(self, lm)

    def describe(self) -> str:
        plus, minus = Path(self.plus), Path(self.minus)
        is_plain = plus.name != minus.name
        return f"dW {plus.name if is_plain else plus} minus {minus.name if is_plain else minus}"


def _changed(folders: tuple[Path, Path], contents: tuple[str, str]) -> str:
    """Those of two folders that no longer have these contents, in words."""
    pairs = zip(folders, contents, strict=True)
    return " and ".join(str(folder) for folder, digest in pairs if folder_sha256(folder) != digest)


@lru_cache(maxsize=1)
def _latest_delta(weights: FolderWeights, lm: LanguageModel) -> WeightDelta:
    """dW of two folders, kept until two others are asked for: each coefficient asks again, and PEFT is slow."""
    return folders_delta(Path(weights.plus), Path(weights.minus), lm)


def folder_weights(plus: Path, minus: Path) -> FolderWeights:
    """dW of two folders on disk. Raises: MismatchError if one lacks a file or holds what is no dW, or both the same."""
    folders = plus.absolute(), minus.absolute()
    for folder in folders:
        check_given(folder)
    contents = folder_sha256(folders[0]), folder_sha256(folders[1])
    check_two(*folders, contents)
    return FolderWeights(str(folders[0]), str(folders[1]), contents)


def weights_ready(lm: LanguageModel, delta: WeightDelta) -> Ready:
    """An update of weights, ready to be added. Raises: DataError if it touches no block."""
    return Ready(lowest_layer(delta.tensors), partial(steered, lm, delta), delta)


@dataclass(frozen=True)
class Vectors(Recipe):
    """`vectors.safetensors`: for each block a vector to add to the stream that leaves it, [n_layers, d_model] fp32.

    A subclass says how they are found.
    """

    @property
    def on(self) -> Placed:
        """The model whose stream they are in."""
        raise NotImplementedError(f"{type(self).__name__} does not say which model it is of")

    def fit(self, store: Store) -> Float[Tensor, "layer d_model"]:
        """The vectors."""
        raise NotImplementedError(f"{type(self).__name__} has no fit(store)")

    def build(self, out: Path, store: Store) -> None:
        from safetensors.torch import save_file

        save_file({"vectors": self.fit(store).contiguous()}, out / "vectors.safetensors")


def read_vectors(store: Store, recipe: Vectors) -> Float[Tensor, "layer d_model"]:
    """The vector of each block, in the order of the blocks."""
    from safetensors.torch import load_file

    return load_file(store.get(recipe) / "vectors.safetensors")["vectors"]


@dataclass(frozen=True)
class Activations(Intervention):
    """`coeff * v_l` added to the residual stream that leaves each block l of `layers`, at every token.

    This includes all tokens of the prompt, even the first, as in `repeng`. Blocks count from 0.
    """

    vectors: Vectors
    layers: tuple[int, ...]
    scale: Literal["raw", "unit"] = "raw"

    def __post_init__(self) -> None:
        if not self.layers or min(self.layers) < 0 or len(set(self.layers)) < len(self.layers):
            raise ShapeError(f"activations of the blocks {self.layers}; give one or more, each once, counted from 0")

    @property
    def on(self) -> Placed:
        return self.vectors.on

    def ready(self, lm: LanguageModel, store: Store) -> Ready:
        vectors = read_vectors(store, self.vectors)
        if max(self.layers) >= len(vectors):
            raise ShapeError(f"no block {max(self.layers)}: {lm.name} has blocks 0 to {len(vectors) - 1}; choose those")
        chosen = {layer: vectors[layer] for layer in self.layers}
        if still := [layer for layer, vector in chosen.items() if not vector.any()]:
            raise ShapeError(
                f"{self.vectors.describe()} has a vector of length 0 at block {still[0]}; leave that block out"
            )
        if self.scale == "unit":
            chosen = {layer: vector / vector.norm() for layer, vector in chosen.items()}
        return Ready(min(self.layers), partial(shifted, lm, chosen))

    def describe(self) -> str:
        where = f"block {self.layers[0]}" if len(self.layers) == 1 else f"{len(self.layers)} blocks"
        return f"{self.vectors.describe()} at {where}{', unit length' if self.scale == 'unit' else ''}"


@contextmanager
def shifted(
    lm: LanguageModel, vectors: Mapping[int, Float[Tensor, " d_model"]], *, coeff: float, tokens: int | None = None
) -> Iterator[LanguageModel]:
    """The model with `coeff` times a vector added to the stream behind each of these blocks; `tokens` is unused."""
    handles = []
    try:
        for layer, vector in vectors.items():
            handles.append(lm.layers[layer].register_forward_hook(_adding(coeff * vector.to(lm.device))))
        yield lm
    finally:
        for handle in handles:
            handle.remove()


def _adding(step: Float[Tensor, " d_model"]) -> Callable[[nn.Module, tuple[Tensor, ...], Output], Output]:
    def added(_: nn.Module, inputs: tuple[Tensor, ...], output: Output) -> Output:
        left = stream(output)
        return with_stream(output, (left.float() + step).to(left.dtype))

    return added


def untouched(*, coeff: float, tokens: int | None = None) -> AbstractContextManager[None]:
    """What an intervention that leaves weights and states alone does to the model: nothing."""
    return nullcontext()
