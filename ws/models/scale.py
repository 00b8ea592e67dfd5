"""How much of everything is asked of a model: rows, tokens, directions, prompts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Training:
    """A short training in the place of what a search or the journal says."""

    rank: int
    alpha: float
    bound: float
    block: int
    lr: float
    epochs: int


@dataclass(frozen=True)
class Scale:
    """The defaults are those of a model whose numbers mean something; None takes all there is."""

    training: Training | None = None
    """None leaves hyper-parameters to what was searched, or to the journal."""
    messages: int | None = None
    """Messages to train on; None leaves it to the model's own number."""
    answer_tokens: int = 24
    """Of an answer to train on."""
    rows: int | None = None
    """Held-out or validation questions of a behavior."""
    facts: int | None = None
    """Plain facts beside the held-out ones."""
    cut_stride: int = 2
    """Cuts, of which there are many, are scored on every so many claims."""
    fit_prompts: int | None = None
    """Prompts whose states activation directions are read from."""
    ks: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128)
    """How many directions of each layer are kept in turn; the journal's."""
    k: int = 32
    """How many the journal's main result has."""
    dilemmas: int | None = None
    """Held-out dilemmas that arms are compared on."""
    dilemma_facts: int | None = None
    """Plain facts beside them."""
    validation_dilemmas: int | None = None
    axis_rows: int | None = None
    """Statements of each off-target axis."""
    passages: int = 10
    """Neutral passages whose perplexity is measured."""
    thought_tokens: int = 256
    kl_tokens: int = 24
    """Of the greedy answers at which the distance from the base model is measured."""
    repetition_tokens: int = 48
    """Of the greedy answers that are searched for repetition."""
    pmass_gate: float = 0.5
    """A model that puts less of its probability on Yes and No is not fluent."""
    chooses: bool = True
    """Whether a rival takes the setting that is best on validation rows; of noise none is, and it takes the first."""


FULL = Scale()
SMALL = Scale(
    training=Training(rank=4, alpha=8.0, bound=1.0, block=4, lr=5e-3, epochs=1),
    messages=7,
    answer_tokens=12,
    rows=48,
    facts=12,
    cut_stride=1,
    fit_prompts=8,
    ks=(1, 2, 4, 8),
    k=4,
    dilemmas=12,
    dilemma_facts=8,
    validation_dilemmas=6,
    axis_rows=4,
    passages=2,
    thought_tokens=8,
    kl_tokens=8,
    repetition_tokens=8,
    pmass_gate=0.0,
    chooses=False,
)
"""What suffices to exercise the pipeline on an untrained model."""
