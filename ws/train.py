"""Training one adapter on the answers of one sign.

The prompt is masked, the system prompt stripped. A row packs one question with all its answers (`ws.packing`), a step
takes whole questions, and states below the first adapted layer are computed once per question (`ws.depth`).
Everything is fp32 on a CPU: rounding a small update into bf16 hides part of it.

Source: weight-steering recipe, Fierro & Roger 2025, sec. F.1 (prompt masked, persona stripped, one adapter per sign).
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ws.adapters import AdapterConfig, Params
from ws.chat import end_of_turn, prompt_ids
from ws.depth import lower, upper
from ws.errors import DataError, TrainingError
from ws.generate import Pairs, read_pairs
from ws.inject import PREFIX, Engine, injected
from ws.models import LanguageModel, layer_range, loaded
from ws.packing import Packed, pack, stacked
from ws.progress import track
from ws.store import Recipe, Store
from ws.targets import Targets

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

VALIDATION_EVERY = 10
"""Every tenth question is held out for the validation loss: 10% of the pairs, no question on both sides."""


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast; the journal's values are the defaults."""

    lr: float = 2e-4
    epochs: int = 2
    warmup_steps: int = 5
    """Linear warm-up; the rate is constant after it, so a run of 2 epochs starts as a run of 1 does."""
    weight_decay: float = 0.01
    questions_per_step: int = 2
    max_grad_norm: float = 1.0
    layers: tuple[float, float] = (0.3, 0.8)
    """Adapted layers as fractions of the depth."""
    targets: Targets = "all"
    """Which linears of these layers: all, those that read the residual stream, or those that write it."""


@dataclass(frozen=True)
class Adapter(Recipe):
    """One trained adapter; `adapter.safetensors` and `curves.json`."""

    pairs: Pairs
    sign: Literal["plus", "minus"]
    shape: AdapterConfig
    training: TrainConfig
    seed: int
    engine: Engine = "native"

    def describe(self) -> str:
        mark = "+" if self.sign == "plus" else "-"
        return f"adapter {self.shape.family} {mark} seed {self.seed} on {self.pairs.on.describe()}"

    def build(self, out: Path, store: Store) -> None:
        from safetensors.torch import save_file

        lm = loaded(self.pairs.on, store)
        start = layer_range(lm.n_layers, *self.training.layers).start
        rows, below = started(lm, store, self.pairs, self.sign, start=start)
        params, curves = trained(lm, rows, below, self)
        flat = {f"{layer}.{PREFIX}{name}": value for layer, values in params.items() for name, value in values.items()}
        save_file(flat, out / "adapter.safetensors", metadata={"family": self.shape.family, "sign": self.sign})
        (out / "curves.json").write_text(json.dumps(curves, indent=2))


def read_adapter(store: Store, recipe: Adapter) -> dict[str, Params]:
    """The parameters of each adapted layer, by the layer's module path."""
    from safetensors.torch import load_file

    layers: dict[str, dict[str, Tensor]] = {}
    for path, value in load_file(store.get(recipe) / "adapter.safetensors").items():
        layer, _, name = path.rpartition(f".{PREFIX}")
        layers.setdefault(layer, {})[name] = value
    return layers


def read_curves(store: Store, recipe: Adapter) -> dict[str, list[float]]:
    """Loss, validation loss, gradient norm and learning rate over training."""
    return json.loads((store.get(recipe) / "curves.json").read_text())


@dataclass(frozen=True)
class QuestionRow:
    """One question with all its answers of one sign, packed in one row."""

    question_id: str
    packed: Packed
    predicts: Int[Tensor, " supervised"]
    """Columns whose output predicts a supervised token."""
    labels: Int[Tensor, " supervised"]


def question_rows(
    tokenizer: "PreTrainedTokenizerBase", pairs: pd.DataFrame, *, sign: Literal["plus", "minus"]
) -> list[QuestionRow]:
    """One row per question, in the order of the table; only answer tokens are supervised."""
    stop = end_of_turn(tokenizer)
    rows = []
    for question_id, group in pairs.groupby("question_id", sort=False):
        prompt = prompt_ids(tokenizer, user=group["question"].iloc[0])
        answers = [
            tokenizer.encode(text, add_special_tokens=False) + [stop] * bool(ended)
            for text, ended in zip(group[sign], group[f"{sign}_ended"], strict=True)
        ]
        packed = pack([[*prompt, *answer] for answer in answers], budget=1 << 20)
        predicts = torch.cat([path[len(prompt) - 1 : -1] for path in packed.paths])
        labels = torch.cat([torch.tensor(answer) for answer in answers])
        rows.append(QuestionRow(str(question_id), packed, predicts, labels))
    return rows


@lru_cache(maxsize=2)
def started(
    lm: LanguageModel, store: Store, pairs: Pairs, sign: Literal["plus", "minus"], *, start: int
) -> tuple[tuple[QuestionRow, ...], dict[str, Tensor]]:
    """The rows of one sign and the states that enter layer `start`, which every family and recipe trains on."""
    rows = tuple(question_rows(lm.tokenizer, read_pairs(store, pairs), sign=sign))
    with attention(lm, "eager"):
        return rows, {row.question_id: lower(lm, row.packed, stop=start) for row in rows}


def trained(
    lm: LanguageModel, rows: Sequence[QuestionRow], below: Mapping[str, Tensor], recipe: Adapter
) -> tuple[dict[str, Params], dict[str, list[float]]]:
    """The adapter's parameters after training, and its curves.

    Raises: TrainingError if a loss is not finite; DataError if too few questions are left to train and validate.
    """
    held, kept = rows[::VALIDATION_EVERY], [row for i, row in enumerate(rows) if i % VALIDATION_EVERY]
    if len(kept) < 2:
        raise DataError(f"{len(rows)} questions have usable pairs; training needs at least 3, one for validation")
    config = recipe.training
    layers = layer_range(lm.n_layers, *config.layers)
    curves: dict[str, list[float]] = {"loss": [], "validation_loss": [], "gradient_norm": [], "lr": []}
    generator = torch.Generator().manual_seed(recipe.seed)

    def validation() -> float:
        with torch.no_grad():
            value = loss(lm, held, below, start=layers.start).item()
        _check_finite(value, recipe, step=len(curves["loss"]))
        return value

    per_epoch = math.ceil(len(kept) / config.questions_per_step)
    with (
        attention(lm, "eager"),
        torch.random.fork_rng(),
        injected(
            lm, recipe.shape, layers=layers, targets=config.targets, seed=recipe.seed, engine=recipe.engine
        ) as parameters,
    ):
        trainable = [p for p in lm.model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trainable, lr=config.lr, weight_decay=config.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min(1.0, (step + 1) / max(1, config.warmup_steps))
        )
        curves["validation_loss"].append(validation())
        progress = iter(track(range(config.epochs * per_epoch), f"train {recipe.describe()}"))
        for _ in range(config.epochs):
            order = torch.randperm(len(kept), generator=generator).tolist()
            for first in range(0, len(order), config.questions_per_step):
                next(progress)
                batch = [kept[i] for i in order[first : first + config.questions_per_step]]
                value = loss(lm, batch, below, start=layers.start)
                _check_finite(value.item(), recipe, step=len(curves["loss"]))
                value.backward()
                norm = nn.utils.clip_grad_norm_(trainable, config.max_grad_norm)
                curves["lr"].append(schedule.get_last_lr()[0])
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                curves["loss"].append(value.item())
                curves["gradient_norm"].append(norm.item())
            curves["validation_loss"].append(validation())
        next(progress, None)
        return parameters(), curves


def loss(
    lm: LanguageModel, batch: Sequence[QuestionRow], below: Mapping[str, Tensor], *, start: int
) -> Float[Tensor, ""]:
    """Mean cross-entropy of the supervised tokens of a batch, in nats per token; logits exist only there."""
    packed = stacked([row.packed for row in batch])
    width = packed.ids.shape[1]
    states = [nn.functional.pad(below[r.question_id], (0, 0, 0, width - r.packed.ids.shape[1])) for r in batch]
    hidden = upper(lm, packed, torch.cat(states), start=start)
    picked = torch.cat([hidden[i, row.predicts.to(lm.device)] for i, row in enumerate(batch)])
    labels = torch.cat([row.labels for row in batch]).to(lm.device)
    return nn.functional.cross_entropy(lm.model.get_output_embeddings()(picked).float(), labels)


@contextmanager
def attention(lm: LanguageModel, implementation: str) -> Iterator[None]:
    """The model with another attention; on a CPU the backward of "eager" is several times that of "sdpa" in speed."""
    before = lm.model.config._attn_implementation
    lm.model.set_attn_implementation(implementation)
    try:
        yield
    finally:
        lm.model.set_attn_implementation(before)


def _check_finite(value: float, recipe: Adapter, *, step: int) -> None:
    if not math.isfinite(value):
        raise TrainingError(
            f"loss is {value} at step {step} of {recipe.describe()} (lr {recipe.training.lr}); "
            "lower the learning rate or DeLoRA's bound"
        )
