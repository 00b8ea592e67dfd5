"""How many floating-point operations a piece of work takes, by formula.

For each token, a product with a weight of n entries takes 2 n operations forwards, 2 n backwards for the gradient of
its input and, if it is trained, 2 n for the gradient of the weight. For each pair of a token and a token it may see,
attention takes 4 operations times the width of the heads forwards, and twice that backwards. Only real tokens count, no
padding; a token that prompts share counts once. Norms, rotary embeddings, softmax and the optimizer are left out, and
so is what an implementation saves or wastes within a layer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ws.engine.packing import Packed, pack
from ws.models.language import LanguageModel
from ws.training.train import QuestionRow


@dataclass(frozen=True)
class Sizes:
    """Numbers of entries of a model's weights: below the first layer that changes, and from that layer on."""

    lower: int
    upper: int
    head: int
    lower_heads: int
    """Width of all heads of a layer, times the number of layers below."""
    upper_heads: int


@dataclass(frozen=True)
class Tokens:
    """Counts of what goes through the layers."""

    nodes: int
    pairs: int
    """Pairs of a token and a token it may see, itself included."""
    read: int
    """Tokens whose logits are computed."""

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.nodes + other.nodes, self.pairs + other.pairs, self.read + other.read)


NONE = Tokens(0, 0, 0)


def sizes(lm: LanguageModel, *, start: int) -> Sizes:
    """The sizes of a model whose layers change from `start` on."""
    config = lm.model.get_decoder().config
    dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    heads = config.num_attention_heads * dim
    entries = [sum(linear.weight.numel() for linear in lm.linears(i, i + 1).values()) for i in range(lm.n_layers)]
    return Sizes(
        lower=sum(entries[:start]),
        upper=sum(entries[start:]),
        head=lm.model.get_output_embeddings().weight.numel(),
        lower_heads=start * heads,
        upper_heads=(lm.n_layers - start) * heads,
    )


def alone(lengths: Iterable[int]) -> Tokens:
    """Sequences that run separately, with logits at every token."""
    return sum((Tokens(n, n * (n + 1) // 2, n) for n in lengths), start=NONE)


def shared(sequences: Iterable[Packed], *, read: int) -> Tokens:
    """Packed prompts, each node counted once."""
    each = (Tokens(len(packed.ids), int((packed.positions + 1).sum()), 0) for packed in sequences)
    return sum(each, start=Tokens(0, 0, read))


def stepped(rows: Iterable[QuestionRow]) -> Tokens:
    """The questions of a training step, packed together."""
    texts = [text for row in rows for text in row.texts]
    read = sum(len(row.labels) for row in rows)
    return shared(pack(texts, budget=sum(map(len, texts))), read=read)


def lower(sizes: Sizes, tokens: Tokens) -> int:
    """Operations of one forward pass through the layers that never change."""
    return 2 * sizes.lower * tokens.nodes + 4 * sizes.lower_heads * tokens.pairs


def upper(sizes: Sizes, tokens: Tokens) -> int:
    """Operations of one forward pass through the layers from the first one that changes, and the head."""
    return 2 * sizes.upper * tokens.nodes + 4 * sizes.upper_heads * tokens.pairs + 2 * sizes.head * tokens.read


def step(sizes: Sizes, tokens: Tokens, *, trained: int) -> int:
    """Operations of a training step from the first adapted layer on; `trained` parameters meet every token once."""
    backward = 2 * sizes.upper * tokens.nodes + 8 * sizes.upper_heads * tokens.pairs + 2 * sizes.head * tokens.read
    return upper(sizes, tokens) + backward + 6 * trained * tokens.nodes


def training(sizes: Sizes, steps: Sequence[Tokens], *, trained: int) -> int:
    """Operations of training steps that start at the embeddings."""
    return sum(lower(sizes, tokens) + step(sizes, tokens, trained=trained) for tokens in steps)
