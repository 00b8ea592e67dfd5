"""What `ws eval` and claims do with a model beside running prompts, compared with the model's own logits.

Each step returns by how many nats it is off, and raises what the user would see.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from ws.adapters import AdapterConfig
from ws.adapters.targets import Targets
from ws.behaviors import Question
from ws.bench.survey.finding import TOLERANCE_NATS, Outcome, told
from ws.engine.choice import prepared
from ws.engine.plain import own_logits
from ws.errors import WsError
from ws.lenses.readout import log_ratios
from ws.models.chat import turn_ends
from ws.models.language import LanguageModel, layer_range
from ws.models.yesno import YES_NO, answer_start, scores
from ws.scoring.own_lengths import check_lengths
from ws.scoring.rows import answers_of, prompts_of, score
from ws.training.direction import weak_readout
from ws.training.inject import injected

Step = Callable[[LanguageModel], float]

QUESTIONS = tuple(Question(text, text, "", "", "", text, 1) for text in ("Is it?", "Is it so?"))
"""Short, since the tiny tokenizer has few words and some tiny models read few tokens."""
RANK = 2
"""Of a fresh adapter; the journal's 32 is too large for many layers of a tiny model."""


def stumbles(lm: LanguageModel) -> dict[str, tuple[Outcome, str]]:
    """Of each step that raises an error or is off, by its name, which of the two, and what was seen."""
    found = {name: _outcome(lm, step) for name, step in STEPS.items()}
    return {name: outcome for name, outcome in found.items() if outcome is not None}


def _outcome(lm: LanguageModel, step: Step) -> tuple[Outcome, str] | None:
    try:
        off = step(lm)
    except WsError as refusal:
        return "refused", told(refusal)
    except Exception as broken:
        return "exception", told(broken)
    # Negated, since NaN has to count as wrong.
    return None if off <= TOLERANCE_NATS else ("wrong", f"off by {off:.2g} nats")


def rows(lm: LanguageModel) -> float:
    """Rows of one's own, behind a persona and the start of an answer: lengths are checked, and rows scored."""
    start = answer_start(lm.tokenizer, "So: ", YES_NO)
    prompts = prompts_of(lm, QUESTIONS, start, system="Say it.")
    check_lengths(Path("rows.csv"), lm, enumerate(prompts))
    ours, true = score(lm, prepared(lm, prompts, start=0), answers_of(lm)), scores(_last(lm, prompts), answers_of(lm))
    return max(_apart(ours.log_yes, true.log_yes), _apart(ours.log_no, true.log_no))


def adapters(lm: LanguageModel) -> float:
    """A fresh adapter in all layers that a recipe adapts, in those that read the stream, or in those that write it."""
    shape, layers = AdapterConfig("lora", rank=RANK), layer_range(lm.n_layers)
    prompts = prompts_of(lm, QUESTIONS, "")
    before, off = _last(lm, prompts), 0.0
    for targets in get_args(Targets):
        with injected(lm, shape, layers=layers, seed=0, targets=targets):
            off = max(off, _apart(_last(lm, prompts), before))
    return off


def readout(lm: LanguageModel) -> float:
    """Yes against No as read from the last block's states, which has to be what the logits say."""
    weak_readout(lm)
    prompts, answers = prompts_of(lm, QUESTIONS, ""), answers_of(lm)
    found = dict(prepared(lm, prompts, start=0).states(lm, [slice(-1, None)] * len(prompts)))
    states = torch.stack([found[place][-1, 0] for place in range(len(prompts))])
    return _apart(log_ratios(lm, states, answers), scores(_last(lm, prompts), answers).log_ratio)


STEPS: Mapping[str, Step] = {
    "rows": rows,
    "ends": lambda lm: 0.0 * len(turn_ends(lm)),
    "adapters": adapters,
    "readout": readout,
}


def _last(lm: LanguageModel, prompts: Sequence[Sequence[int]]) -> Float[Tensor, "prompts vocab"]:
    """The model's own log-probabilities after each prompt, one by one."""
    with torch.no_grad():
        logits = torch.cat([own_logits(lm, [prompt], keep=1)[:, 0] for prompt in prompts])
    return logits.float().log_softmax(dim=-1)


def _apart(ours: Float[Tensor, "*some"], true: Float[Tensor, "*some"]) -> float:
    return (ours - true).abs().max().item()
