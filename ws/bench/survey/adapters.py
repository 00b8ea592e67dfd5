"""Every tuner of PEFT, saved by PEFT on a tiny model and read by us: are the logits the same?

`python -m ws.bench.survey.adapters` prints a line for each kind of adapter. It fails if one gives wrong logits or
raises an error that is not one of ours.
"""

import copy
import json
import logging
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from ws.bench.survey.adapter_kinds import KINDS, Kind
from ws.delta.folders.delta import folder_delta, why_through_peft
from ws.delta.folders.peft_files import CONFIG
from ws.delta.steering import steered
from ws.errors import UnknownNameError, WsError
from ws.models import tiny
from ws.models.language import LanguageModel
from ws.models.table import weights_of
from ws.store import progress

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel

RIGHT = 1e-4
"""Largest difference of logits that counts as equal. PEFT's logits have size 10 here; fp32 rounds to 1e-6 of that, and
a few layers make some 1e-5 of it."""

_SIZES = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 64,
    "tie_word_embeddings": True,
}
SIZES = {"plain": _SIZES, "biased": _SIZES, "transposed": {"n_embd": 64, "n_layer": 4, "n_head": 4, "n_positions": 64}}

MOVED = 1e-3
"""An adapter must move logits by more than this for the comparison to mean something."""

Outcome = Literal["right, ours", "right, PEFT", "refused", "not made", "WRONG", "EXCEPTION"]
BAD: tuple[Outcome, ...] = ("WRONG", "EXCEPTION")
RIGHT_HERE: tuple[Outcome, ...] = ("right, ours", "right, PEFT")

ENOUGH = 80
"""Fewest kinds that must be right: PEFT 0.21.2 gives 87, and a later release may rename a setting or two."""


@dataclass(frozen=True)
class Line:
    """The outcome for one kind of adapter."""

    name: str
    outcome: Outcome
    moved: float | None = None
    """The largest change of a logit that the adapter makes in PEFT."""
    difference: float | None = None
    """The largest difference between PEFT's logits and those under our dW."""
    words: str = ""

    def __str__(self) -> str:
        numbers = ("" if value is None else f"{value:.1e}" for value in (self.moved, self.difference))
        return f"{self.name:32} {self.outcome:12} {next(numbers):>8} {next(numbers):>8}  {self.words}".rstrip()


def surveyed(name: str, kind: Kind) -> Line:
    """PEFT makes and saves the adapter, we read it."""
    lm = base_model(kind.base)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        try:
            model = saved(kind, lm, folder)
        except ImportError as lacking:
            return Line(name, "not made", words=f"needs {lacking.name or lacking}")
        try:
            delta = folder_delta(folder, lm)
        except WsError as refused:
            return Line(
                name, "refused", words=str(refused).replace(f"{folder} ", "").replace(str(folder), "the folder")
            )
        except Exception as bare:
            return Line(name, "EXCEPTION", words=f"{type(bare).__name__}: {bare}")
        ours = why_through_peft(folder, lm) is None
        expected, before = logits(model), logits(lm.model)
        with steered(lm, delta, coeff=1.0):
            difference = (logits(lm.model) - expected).abs().max().item()
    moved = (expected - before).abs().max().item()
    right: Outcome = "right, ours" if ours else "right, PEFT"
    return Line(name, right if difference <= RIGHT and moved > MOVED else "WRONG", moved, difference)


def saved(kind: Kind, lm: LanguageModel, folder: Path) -> "PeftModel":
    """An adapter with parameters moved from their start values, on a copy of the model and saved in the folder."""
    from peft import get_peft_model

    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        base, config = copy.deepcopy(lm.model), config_of(kind)
        if kind.start == "lora_ga":
            _estimate_gradients(base, config)
        model = get_peft_model(base, config)
        if kind.start == "eva":
            _start_from_activations(model)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.05 * torch.randn_like(parameter))
        model.eval()
        model.save_pretrained(str(folder))
    if kind.written:
        settings = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        (folder / CONFIG).write_text(json.dumps(settings | dict(kind.written)), encoding="utf-8")
    return model


def config_of(kind: Kind) -> "PeftConfig":
    """PEFT's configuration of a kind."""
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
    from peft.utils.peft_types import PeftType

    targets = list(kind.targets) if isinstance(kind.targets, tuple) else kind.targets
    return PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(kind.type)](
        **kind.settings, **({} if targets is None else {"target_modules": targets})
    )


@cache
def base_model(base: Literal["plain", "biased", "transposed"]) -> LanguageModel:
    """A random model of four blocks with tied embeddings; see `Kind.base`."""
    import transformers

    tokenizer = tiny.tiny_tokenizer(["a stone floats on water"])
    architecture = {"plain": "Qwen3", "biased": "Qwen2", "transposed": "GPT2"}[base]
    config = getattr(transformers, f"{architecture}Config")(
        vocab_size=len(tokenizer),
        initializer_range=0.25,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
        **SIZES[base],
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        lm_class = "GPT2LMHeadModel" if base == "transposed" else f"{architecture}ForCausalLM"
        model = getattr(transformers, lm_class)(config).eval().requires_grad_(False)
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_()
    return LanguageModel(f"tiny {architecture}", model, tokenizer, weights_of("tiny-random-qwen3"))


@torch.no_grad()
def logits(model: "PreTrainedModel | PeftModel") -> Tensor:
    """The logits of some random prompts."""
    return model(input_ids=_ids(0)).logits


def _ids(seed: int) -> Tensor:
    return torch.randint(10, 200, (4, 12), generator=torch.Generator().manual_seed(seed))


def _estimate_gradients(base: "PreTrainedModel", config: "PeftConfig") -> None:
    """Estimate the gradients of some loss, which LoRA-GA starts from."""
    from peft.tuners.lora import preprocess_loraga

    def step() -> None:
        base(input_ids=_ids(1)).logits.logsumexp(-1).sum().backward()

    preprocess_loraga(base.requires_grad_(True), config, step)


def _start_from_activations(model: "PeftModel") -> None:
    """Do the SVD of what enters each layer, which EVA starts from."""
    from peft import initialize_lora_eva_weights

    initialize_lora_eva_weights(model, [{"input_ids": _ids(seed)} for seed in range(20)], show_progress_bar=False)


def failures(lines: Sequence[Line], *, enough: int) -> list[str]:
    """Reasons why the survey fails, a line each; empty if it does not."""
    found = [f"{line.name}: {line.outcome}" for line in lines if line.outcome in BAD]
    right = sum(line.outcome in RIGHT_HERE for line in lines)
    return found + ([f"only {right} kinds are right, expected at least {enough}"] if right < enough else [])


def main(names: Sequence[str] = ()) -> int:
    """Prints the table of these kinds (default: all); 1 if one is wrong or raises a bare exception, or few are right.

    Raises: UnknownNameError for a kind that the survey lacks.
    """
    import peft

    if unknown := [name for name in names if name not in KINDS]:
        raise UnknownNameError("kind of adapter", unknown[0], KINDS)
    progress.use(_Silent())
    logging.disable(logging.WARNING)
    lines = []
    for name in names or KINDS:
        lines.append(surveyed(name, KINDS[name]))
        print(lines[-1], flush=True)
    counts = Counter(line.outcome for line in lines).most_common()
    told = ", ".join(f"{number} {outcome}" for outcome, number in counts)
    print(f"\n{len(lines)} kinds of adapter of PEFT {peft.__version__}: {told}")
    failed = failures(lines, enough=0 if names else ENOUGH)
    print(*failed, sep="\n", end="\n" * bool(failed), file=sys.stderr)
    return int(bool(failed))


class _Silent:
    """A stream that discards progress messages."""

    def write(self, text: str, /) -> None: ...
    def flush(self) -> None: ...
    def isatty(self) -> bool:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
