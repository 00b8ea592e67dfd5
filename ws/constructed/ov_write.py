"""What attention would write of the contrast of personas if every head attended to it alone.

    dW'_O = W_O W_V (v+ - v-) x0^T / |x0|^2

v+ and v- are the mean inputs of W_V under the personas, x0 is the mean input of W_O without one. W_O W_V stands for the
sum over heads of their OV circuits, each with the values of its group.

Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits", transformer-circuits.pub (OV circuits);
research journal, 2026-04-27, two-goal frame.
"""

from dataclasses import dataclass

from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor

from ws.constructed.base import Construction, read_contrast, weights_of, written
from ws.delta.weight_delta import WeightDelta
from ws.errors import ModelError
from ws.models.language import LanguageModel
from ws.store import Store

OUT, VALUES = "o_proj", "v_proj"


@dataclass(frozen=True)
class OVWrite(Construction):
    """The contrast through the OV circuits of every block, in its output projection."""

    def construct(self, lm: LanguageModel, store: Store) -> WeightDelta:
        difference, plain = read_contrast(self.contrast, lm, store)
        weights, d_head = weights_of(lm), head_width(lm)
        return WeightDelta(
            {
                path: written(through_ov(weights[path], weights[values] @ difference[values], d_head), plain[path])
                for path, values in beside(plain, OUT, VALUES).items()
            }
        )

    def describe(self) -> str:
        return f"persona contrast through the OV circuits of {self.on.describe()}"


def through_ov(W: Float[Tensor, "d_out d_in"], values: Float[Tensor, " d_kv"], d_head: int) -> Float[Tensor, " d_out"]:
    """What an output projection writes if each head's output is the value of its group of queries."""
    groups = len(values) // d_head
    per_head = rearrange(values, "(kv d) -> kv d", kv=groups)
    heads = W.shape[1] // d_head // groups
    return W @ repeat(per_head, "kv d -> (kv heads d)", heads=heads)


def head_width(lm: LanguageModel) -> int:
    """The width of an attention head."""
    config = lm.model.config.get_text_config(decoder=True)
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def beside(paths: object, one: str, other: str) -> dict[str, str]:
    """For each linear map called `one` the path of the map called `other` in the same module.

    Raises: ModelError if there is no such pair.
    """
    known = set(paths)  # type: ignore[call-overload]
    found = {path: f"{path.removesuffix(one)}{other}" for path in sorted(known) if path.endswith(f".{one}")}
    if not found or not known.issuperset(found.values()):
        raise ModelError(
            f"no {other} beside each of {len(found)} layers called {one}; expected both in every block: this "
            "construction needs them apart, as Llama and Qwen have them; use another construction"
        )
    return found
