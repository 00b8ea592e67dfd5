"""Running part of a model: the layers below an intervention once, the layers above it as often as needed.

An adapter or a steering direction that starts at layer k leaves every state below k as it was. `lower` computes those
states once; `upper` starts from them. Both run the model's own code with its list of layers cut, so rotary embeddings,
normalisation and attention stay the library's.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ws.errors import DataError
from ws.models import LanguageModel
from ws.packing import Packed


def lower(lm: LanguageModel, packed: Packed, *, stop: int) -> Float[Tensor, "batch seq d_model"]:
    """The residual stream that enters layer `stop`, computed without gradients."""
    with torch.no_grad(), _cut(lm, first=0, stop=stop) as decoder:
        return _run(decoder, packed, lm=lm, input_ids=packed.ids.to(lm.device))


def upper(
    lm: LanguageModel, packed: Packed, states: Float[Tensor, "batch seq d_model"], *, start: int
) -> Float[Tensor, "batch seq d_model"]:
    """The final hidden states (after the last norm) of layers `start` and up, given the stream that enters them."""
    with _cut(lm, first=start, stop=lm.n_layers) as decoder:
        return _run(decoder, packed, lm=lm, inputs_embeds=states)


def _run(decoder: nn.Module, packed: Packed, *, lm: LanguageModel, **inputs: Tensor) -> Tensor:
    _check_window(packed, lm)
    return decoder(
        attention_mask=packed.mask(dtype=lm.dtype, device=lm.device),
        position_ids=packed.positions.to(lm.device),
        use_cache=False,
        **inputs,
    ).last_hidden_state


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
