"""Running part of a model: the layers below an intervention once, the layers above it as often as needed.

An adapter or a steering direction that starts at layer k leaves every state below k as it was. `lower` computes those
states once; `upper` starts from them. Both run the model's own code on a part of its list of layers, so rotary
embeddings and normalisation stay the library's; attention is that of packed sequences (`ws.engine.attention`).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ws.engine.attention import packed_sequences
from ws.engine.blocks import watched
from ws.engine.caches import cache_name, check_filled
from ws.engine.packing import Packed, pack
from ws.engine.passes import Batch, Logits, Spans
from ws.errors import DataError
from ws.models.language import LanguageModel

if TYPE_CHECKING:
    from transformers import PretrainedConfig

WINDOWS = ("sliding_window", "attention_chunk_size", "window_size", "attention_window_size", "local_attention")
"""What configs call the number of tokens that a layer's attention reaches back."""

CHANGING = frozenset({"longrope", "dynamic"})
"""Types of rotary embeddings whose frequencies change in a long prompt."""

OPEN = frozenset({"full_attention"})
"""Kinds of layers, as `config.layer_types` names them, whose attention reaches back to the first token."""


@dataclass(frozen=True, eq=False)
class PackedBatch(Batch):
    """Packed prompts and the states that enter layer `start` of each sequence."""

    sequences: tuple[Packed, ...]
    below: tuple[Float[Tensor, "_ d_model"], ...]
    start: int

    @property
    def nodes(self) -> int:
        return sum(len(packed.ids) for packed in self.sequences)

    @property
    def prompts(self) -> int:
        return sum(len(packed.paths) for packed in self.sequences)

    @cached_property
    def where(self) -> Mapping[int, tuple[int, Int[Tensor, " tokens"]]]:
        """For each prompt's place: the sequence that holds it, and its columns there."""
        return {
            place: (sequence, path)
            for sequence, packed in enumerate(self.sequences)
            for place, path in packed.paths.items()
        }

    def ends(self, lm: LanguageModel) -> Iterator[tuple[Int[Tensor, " some"], Float[Tensor, "some vocab"]]]:
        for packed, below in zip(self.sequences, self.below, strict=True):
            with torch.no_grad():
                hidden = upper(lm, packed, below, start=self.start, read=packed.last)
            yield packed.prompts, headed(lm, hidden)

    def read(self, lm: LanguageModel, spans: Spans) -> Iterator[tuple[int, Logits]]:
        for packed, below in zip(self.sequences, self.below, strict=True):
            with torch.no_grad():
                hidden = upper(lm, packed, below, start=self.start)
            for place, path in packed.paths.items():
                yield place, partial(headed, lm, hidden[path[spans[place]].to(hidden.device)])

    def states(self, lm: LanguageModel, spans: Spans) -> Iterator[tuple[int, Float[Tensor, "depth token d_model"]]]:
        for packed, below in zip(self.sequences, self.below, strict=True):
            with torch.no_grad(), watched(lm, start=self.start) as seen:
                upper(lm, packed, below, start=self.start)
            for place, path in packed.paths.items():
                columns = path[spans[place]].to(below.device)
                yield place, torch.stack([state[0, columns] for state in seen])

    def predicted(self, lm: LanguageModel, places: Sequence[int], spans: Spans) -> Float[Tensor, "token vocab"]:
        """The chosen prompts are packed anew, into one sequence without the others."""
        texts = [self._text(place) for place in places]
        [packed] = pack(texts, budget=sum(map(len, texts)))
        hidden = upper(lm, packed, self.along(packed, places), start=self.start)
        columns = torch.cat([packed.paths[text][span] for text, span in enumerate(spans)])
        return lm.model.get_output_embeddings()(hidden[columns.to(hidden.device)])

    def _text(self, place: int) -> list[int]:
        sequence, path = self.where[place]
        return self.sequences[sequence].ids[path].tolist()

    def along(self, packed: Packed, places: Sequence[int]) -> Float[Tensor, "nodes d_model"]:
        """The states below `start` of some of the prompts, at the nodes of a sequence that packs only these."""
        states = self.below[0].new_empty(len(packed.ids), self.below[0].shape[1])
        for text, path in packed.paths.items():
            sequence, columns = self.where[places[text]]
            states[path] = self.below[sequence][columns]
        return states


@lru_cache(maxsize=2)
def packed_batch(lm: LanguageModel, prompts: tuple[tuple[int, ...], ...], *, start: int) -> PackedBatch:
    """The packed prompts and their states below layer `start`; must be called on the unchanged model."""
    sequences = pack(prompts)
    return PackedBatch(sequences, tuple(lower(lm, packed, stop=start) for packed in sequences), start)


def headed(lm: LanguageModel, hidden: Float[Tensor, "read d_model"]) -> Float[Tensor, "read vocab"]:
    """The logits of some final hidden states, without gradients."""
    with torch.no_grad():
        return lm.model.get_output_embeddings()(hidden)


def window(lm: LanguageModel) -> int | None:
    """The longest prompt whose numbers packing does not change; None if there is no limit.

    In a longer prompt some of the model's layers hide early tokens from late ones, or rotate all tokens otherwise.
    """
    config = lm.model.config.get_text_config()
    kinds = getattr(config, "layer_types", None)
    open_ended = kinds is not None and OPEN.issuperset(kinds)
    sizes = [] if open_ended else [getattr(config, name, None) for name in WINDOWS]
    sizes += [_unchanged(rope, config) for rope in _ropes(config) if rope.get("rope_type") in CHANGING]
    return min((size for size in sizes if isinstance(size, int) and size > 0), default=None)


def _ropes(config: "PretrainedConfig") -> list[Mapping[str, Any]]:
    """The settings of each kind of rotation; some models have one for each kind of layer."""
    rope = getattr(config, "rope_parameters", None) or {}
    return [value for value in rope.values() if isinstance(value, Mapping)] or [rope]


def _unchanged(rope: Mapping[str, Any], config: "PretrainedConfig") -> int | None:
    """The longest prompt that is rotated in the same way as a short one."""
    return rope.get("original_max_position_embeddings") or getattr(config, "max_position_embeddings", None)


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
    """Raises: DataError if a prompt is longer than a layer's attention window, which the packed mask does not apply."""
    longest, reach = int(packed.positions.max()) + 1, window(lm)
    if reach is not None and longest > reach:
        raise DataError(
            f"a prompt of {longest} tokens is longer than what {lm.name} reads without a window, {reach} tokens; "
            "run it through the model's own forward pass (ws.engine.plain), as ws.engine.choice does"
        )


@contextmanager
def _cut(lm: LanguageModel, *, first: int, stop: int) -> Iterator[nn.Module]:
    """The decoder with layers [first, stop) only, and with its last norm only if the top layer is among them.

    Gemma 3 and Qwen 3 choose each layer's mask by its place in `config.layer_types`, so that list is cut too.
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
