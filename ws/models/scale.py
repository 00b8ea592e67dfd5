"""How much is trained and measured on a model: numbers of rows, tokens, directions and prompts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Training:
    """Hyper-parameters of a short training, instead of those that a search chose or the journal's."""

    rank: int
    alpha: float
    bound: float
    block: int
    lr: float
    epochs: int


@dataclass(frozen=True)
class Scale:
    """How much is trained and measured on a model. Defaults are for trained models; None means all there is."""

    training: Training | None = None
    """Hyper-parameters for all families; None uses those that a search chose, or the journal's."""
    messages: int | None = None
    """Messages to train on; None uses the model's own number."""
    answer_tokens: int = 24
    """Longest answer to train on, in tokens."""
    rows: int | None = None
    """Held-out or validation questions of a behavior."""
    facts: int | None = None
    """Plain facts that are scored with the held-out questions."""
    cut_stride: int = 2
    """Cuts of dW, of which there are many, are scored only on every `cut_stride`-th claim."""
    fit_prompts: int | None = None
    """Prompts from whose states activation directions are computed."""
    ks: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128)
    """Numbers of directions per layer in the sweep over K; by default the journal's."""
    k: int = 32
    """Number of directions per layer elsewhere; by default that of the journal's main result."""
    dilemmas: int | None = None
    """Held-out dilemmas on which arms are compared."""
    dilemma_facts: int | None = None
    """Plain facts that are scored with the dilemmas."""
    validation_dilemmas: int | None = None
    axis_rows: int | None = None
    """Statements of each off-target axis."""
    passages: int = 10
    """Neutral passages whose perplexity is measured."""
    thought_tokens: int = 256
    kl_tokens: int = 24
    """Longest greedy answer for measuring the KL from the base model."""
    repetition_tokens: int = 48
    """Longest greedy answer for measuring repetition."""
    pmass_gate: float = 0.5
    """Smallest pmass (probability of Yes and No together) of a model that counts as fluent."""
    chooses: bool = True
    """Whether a rival takes its best setting on validation rows, or (False, where rows are noise) the first one."""


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
"""Enough to exercise the pipeline on an untrained model."""
