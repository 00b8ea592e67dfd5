"""Running part of a model: the layers below an intervention once, the layers above it as often as needed.

An adapter or a steering direction that starts at layer k leaves every state below k as it was. `lower` computes those
states once; `upper` starts from them. Both run the code of the model with its list of layers cut, so rotary embeddings
and normalisation stay the library's; attention is that of packed sequences (`ws.attention`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ws.attention import packed_sequences
from ws.caches import cache_name, check_filled
from ws.errors import DataError
from ws.models import LanguageModel
from ws.packing import Packed, pack


@dataclass(frozen=True, eq=False)
class Batch:
    """Packed prompts and the states that enter layer `start` of each sequence."""

    sequences: tuple[Packed, ...]
    states: tuple[Float[Tensor, "_ d_model"], ...]
    start: int

    @property
    def nodes(self) -> int:
        """Tokens that go through the layers above, shared ones counted once."""
        return sum(len(packed.ids) for packed in self.sequences)

    @property
    def prompts(self) -> int:
        """How many prompts were packed."""
        return sum(len(packed.paths) for packed in self.sequences)

    def above(self, lm: LanguageModel) -> Iterator[tuple[Packed, Float[Tensor, "nodes d_model"]]]:
        """Each sequence with its final hidden states (after the last norm), of the model as it is now."""
        for packed, states in zip(self.sequences, self.states, strict=True):
            with torch.no_grad():
                hidden = upper(lm, packed, states, start=self.start)
            yield packed, hidden

    def ends(self, lm: LanguageModel) -> Iterator[tuple[Packed, Float[Tensor, "prompts d_model"]]]:
        """The same at the last token of each prompt only."""
        for packed, states in zip(self.sequences, self.states, strict=True):
            with torch.no_grad():
                hidden = upper(lm, packed, states, start=self.start, read=packed.last)
            yield packed, hidden


@lru_cache(maxsize=2)
def prepared(lm: LanguageModel, prompts: tuple[tuple[int, ...], ...], *, start: int) -> Batch:
    """The packed prompts and their states below layer `start`; must be called on the unchanged model."""
    sequences = pack(prompts)
    return Batch(sequences, tuple(lower(lm, packed, stop=start) for packed in sequences), start)


def lower(lm: LanguageModel, packed: Packed, *, stop: int) -> Float[Tensor, "nodes d_model"]:
    """The residual stream that enters layer `stop`, computed without gradients."""
    with torch.no_grad(), _cut(lm, first=0, stop=stop) as decoder:
        return _run(decoder, packed, lm=lm, input_ids=packed.ids[None].to(lm.device))


def upper(
    lm: LanguageModel,
    packed: Packed,
    states: Float[Tensor, "nodes d_model"],
    *,
    start: int,
    read: Int[Tensor, " read"] | None = None,
) -> Float[Tensor, "read d_model"]:
    """The final hidden states (after the last norm) of layers `start` and up, given the stream that enters them.

    `read` names the nodes that are wanted (None: all); the MLP of the last layer then runs on these alone.
    """
    if read is None:
        with _cut(lm, first=start, stop=lm.n_layers) as decoder:
            return _run(decoder, packed, lm=lm, inputs_embeds=states[None])
    read = read.to(lm.device)
    with _only_at(read, lm.layers[-1].mlp, nodes=len(states)), _cut(lm, first=start, stop=lm.n_layers) as decoder:
        return _run(decoder, packed, lm=lm, inputs_embeds=states[None])[read]


def prefilled(
    lm: LanguageModel, packed: Packed
) -> tuple[tuple[Float[Tensor, "kv_heads nodes d_head"], Float[Tensor, "kv_heads nodes d_head"]], ...]:
    """The keys and values of every node, rotated to its position, a pair a layer.

    Raises: MismatchError if the model does not put them into a cache.
    """
    from transformers import DynamicCache

    cache = DynamicCache()
    with torch.no_grad(), _cut(lm, first=0, stop=lm.n_layers) as decoder:
        into = {cache_name(decoder.forward): cache}
        _run(decoder, packed, lm=lm, input_ids=packed.ids[None].to(lm.device), use_cache=True, **into)
    check_filled(cache, tokens=len(packed.ids), by=lm.name)
    return tuple((layer.keys[0], layer.values[0]) for layer in cache.layers)


def _run(
    decoder: nn.Module, packed: Packed, *, lm: LanguageModel, use_cache: bool = False, **inputs: object
) -> Float[Tensor, "nodes d_model"]:
    _check_window(packed, lm)
    with packed_sequences(lm.model):
        return decoder(
            attention_mask=packed.blocks.mask(dtype=lm.dtype, device=lm.device),
            before=packed.blocks.before.to(lm.device),
            position_ids=packed.positions[None].to(lm.device),
            use_cache=use_cache,
            **inputs,
        ).last_hidden_state[0]


@contextmanager
def _only_at(read: Int[Tensor, " read"], mlp: nn.Module, *, nodes: int) -> Iterator[None]:
    """An MLP that runs at some nodes and gives zero at all others."""

    def chosen(_: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        return inputs[0][:, read]

    def spread(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output.new_zeros(1, nodes, output.shape[-1]).index_copy(1, read, output)

    handles = [mlp.register_forward_pre_hook(chosen), mlp.register_forward_hook(spread)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _check_window(packed: Packed, lm: LanguageModel) -> None:
    """Raises: DataError if a prompt is longer than a layer's attention window, which the packed mask leaves open."""
    config = lm.model.get_decoder().config
    longest, window = int(packed.positions.max()) + 1, getattr(config, "sliding_window", None)
    if "sliding_attention" in (getattr(config, "layer_types", None) or ()) and longest > window:
        raise DataError(
            f"a prompt of {longest} tokens is longer than the attention window of {lm.name}, {window} tokens; "
            "shorten the questions or the answers"
        )


@contextmanager
def _cut(lm: LanguageModel, *, first: int, stop: int) -> Iterator[nn.Module]:
    """The decoder with layers [first, stop) only, and with its last norm only if the top layer is among them.

    Gemma 3 and Qwen 3 choose each layer's mask by its place in `config.layer_types`, so that list is cut alike.
    """
    decoder, config = lm.model.get_decoder(), lm.model.get_decoder().config
    layers, norm, kinds = decoder.layers, decoder.norm, getattr(config, "layer_types", None)
    count = config.num_hidden_layers
    try:
        decoder.layers, config.num_hidden_layers = layers[first:stop], stop - first
        if kinds is not None:
            config.layer_types = kinds[first:stop]
        if stop < len(layers):
            decoder.norm = nn.Identity()
        yield decoder
    finally:
        decoder.layers, decoder.norm, config.num_hidden_layers = layers, norm, count
        if kinds is not None:
            config.layer_types = kinds
