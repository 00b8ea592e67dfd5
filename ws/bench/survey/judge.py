"""Whether this package, steering and scoring an architecture, agrees with the model's own pass with merged weights.

The model is saved and loaded as a user's is, and all that is judged is what came back. The truth is the pass of the
model before it was saved.
"""

import copy
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from ws.bench.survey.build import tiny_model
from ws.bench.survey.finding import TOLERANCE_NATS, Finding, Outcome, told
from ws.bench.survey.folder import read, read_by_transformers, saved, unread
from ws.bench.survey.steps import stumbles
from ws.delta.steering import steered
from ws.delta.update import Dense, LowRank, Update
from ws.delta.weight_delta import WeightDelta, lowest_layer
from ws.engine.choice import prepared
from ws.engine.selfcheck import examined
from ws.engine.trial import TEXT
from ws.errors import WsError
from ws.models import tiny
from ws.models.anatomy import matrix
from ws.models.language import LanguageModel
from ws.models.table import weights_of
from ws.store import Store

SEEN_NATS = 0.05
"""Change of a log-probability by dW below which a comparison means nothing."""
SIZE = 0.3
"""Size of the entries of dW relative to those of the weight."""
SHORT, SHARED, LONG = 12, 9, 40
"""Numbers of tokens: of two prompts, of the beginning that they share, and of a third, longer than any window."""

Choose = Callable[[LanguageModel], LanguageModel]
"""Returns the model with the way of running its prompts chosen."""


def self_checked(lm: LanguageModel) -> LanguageModel:
    """The model with the way of running its prompts that the self-check chose. Raises: ModelError if it is refused."""
    return replace(lm, passes=examined(lm).passes)


def judged_alone(architecture: str) -> Finding:
    """`judged` on one thread, since several processes run side by side and matrices are too small for more threads."""
    torch.set_num_threads(1)
    return judged(architecture)


def judged(architecture: str, choose: Choose = self_checked) -> Finding:
    """The finding for one of transformers' causal language models; every exception becomes a finding too."""
    try:
        built = language_model(architecture)
    except Exception as broken:
        return Finding(architecture, "not built", note=told(broken))
    with tempfile.TemporaryDirectory() as scratch:
        return judged_in(Path(scratch), built, choose)


def judged_in(scratch: Path, built: LanguageModel, choose: Choose = self_checked) -> Finding:
    """The finding for a model as it comes back from a folder in `scratch`."""
    try:
        folder = saved(built, scratch / built.name)
    except Exception as broken:
        return Finding(built.name, "not stored", note=told(broken))
    try:
        lm = read(folder, Store(scratch / "store"))
    except Exception as error:
        return unread(built, folder, error)
    if lm.tokenizer.encode(TEXT) != built.tokenizer.encode(TEXT):
        return Finding(
            built.name, "wrong", note="the tokenizer that was read splits a text otherwise than the saved one"
        )
    found = compared(lm, choose, built)
    if found.outcome == "wrong":
        kept, true = (plainly(one, WeightDelta({}), coeff=0.0) for one in (read_by_transformers(built, folder), built))
        if not (kept - true).abs().max() <= TOLERANCE_NATS:
            return replace(found, outcome="not stored", note="transformers reads back another model than it saved")
    return found


def compared(lm: LanguageModel, choose: Choose = self_checked, truth: LanguageModel | None = None) -> Finding:
    """The finding for a model, compared unsteered, with dW merged, and with dW beside its weights; `truth` is the model
    whose own pass is right, None for this one."""
    try:
        lm = choose(lm)
        delta = later_half(lm)
        ours = [scored(lm, delta, coeff=coeff, tokens=tokens) for coeff, tokens in ((0.0, None), (1.0, None), (1.0, 1))]
    except WsError as refusal:
        return Finding(lm.name, "refused", note=told(refusal))
    except Exception as broken:
        return Finding(lm.name, "exception", note=told(broken))
    base, steering = (plainly(truth or lm, delta, coeff=coeff) for coeff in (0.0, 1.0))
    off = max((seen - true).abs().max().item() for seen, true in zip(ours, (base, steering, steering), strict=True))
    moved = (steering - base).abs().max().item()
    found = Finding(lm.name, _verdict(lm, off=off, moved=moved), off, moved)
    return walked(found, lm) if found.right else found


def walked(found: Finding, lm: LanguageModel) -> Finding:
    """The finding for a model whose passes are right, after every step that reads more of it."""
    failed = stumbles(lm)
    seen = {outcome for outcome, _ in failed.values()}
    worst = next((outcome for outcome in ("exception", "wrong") if outcome in seen), found.outcome)
    return replace(found, outcome=worst, note="; ".join(f"{step}: {note}" for step, (_, note) in failed.items()))


def _verdict(lm: LanguageModel, *, off: float, moved: float) -> Outcome:
    # Negated, since every comparison with NaN is false and NaN has to count as wrong.
    if not (off <= TOLERANCE_NATS and moved >= SEEN_NATS):
        return "wrong"
    return "packed" if lm.passes == "packed" else "plain"


def language_model(architecture: str) -> LanguageModel:
    """A tiny random model of the architecture, with a tokenizer that fits its vocabulary."""
    tokenizer = tiny.tiny_tokenizer(["a stone floats on water"])
    return LanguageModel(architecture, tiny_model(architecture), tokenizer, weights_of("tiny-random-qwen3"))


def prompts_of(lm: LanguageModel) -> tuple[tuple[int, ...], ...]:
    """Two prompts that begin alike, and one longer than any window; no special tokens."""
    special = set(lm.tokenizer.all_special_ids)
    plain = torch.tensor([token for token in range(len(lm.tokenizer)) if token not in special])
    one, other = plain[torch.randint(len(plain), (2, LONG), generator=torch.Generator().manual_seed(1))].tolist()
    return tuple(one[:SHORT]), (*one[:SHARED], *other[SHARED : SHORT + 2]), tuple(other)


def later_half(lm: LanguageModel) -> WeightDelta:
    """A random update of every linear layer of the later half of the blocks: dense and in factors by turns."""
    generator = torch.Generator().manual_seed(2)
    linears = lm.linears(lm.n_layers // 2, lm.n_layers)

    def draw(place: int, W: Float[Tensor, "d_out d_in"]) -> Update:
        d_out, d_in = W.shape
        left, right = torch.randn(d_out, 2, generator=generator), torch.randn(2, d_in, generator=generator)
        update = Dense(left @ right) if place % 2 else LowRank(left, right)
        return SIZE * W.std().item() * update

    return WeightDelta({path: draw(place, matrix(linear)) for place, (path, linear) in enumerate(linears.items())})


def scored(
    lm: LanguageModel, delta: WeightDelta, *, coeff: float, tokens: int | None
) -> Float[Tensor, "prompts vocab"]:
    """Log-probabilities after each prompt, as this package computes them."""
    batch = prepared(lm, prompts_of(lm), start=lowest_layer(delta.tensors))
    found: dict[int, Tensor] = {}
    with steered(lm, delta, coeff=coeff, tokens=tokens):
        for places, logits in batch.ends(lm):
            found.update(zip(places.tolist(), logits, strict=True))
    return torch.stack([found[place].float().log_softmax(dim=-1) for place in range(batch.prompts)])


def plainly(lm: LanguageModel, delta: WeightDelta, *, coeff: float) -> Float[Tensor, "prompts vocab"]:
    """Log-probabilities after each prompt by the model itself, one by one, with dW added to a copy of its weights."""
    model = copy.deepcopy(lm.model)
    with torch.no_grad():
        for path, update in delta.tensors.items():
            module, dW = model.get_submodule(path), update.dense()
            module.weight += coeff * (dW.T if isinstance(module, Conv1D) else dW)
        last = [model(torch.tensor([prompt]), use_cache=False).logits[0, -1] for prompt in prompts_of(lm)]
    return torch.stack(last).float().log_softmax(dim=-1)
