"""Training one adapter on the answers of one sign.

The prompt is masked, the system prompt stripped. A step takes whole questions and packs them with all their answers
(`ws.engine.packing`); states below the first adapted layer are computed once for all steps (`ws.engine.depth`), where
the model allows it (`ws.engine.choice`).
Everything is fp32 on a CPU: rounding a small update into bf16 hides part of it.

Source: weight-steering recipe, Fierro & Roger 2025, sec. F.1 (prompt masked, persona stripped, one adapter per sign).
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ws.adapters import AdapterConfig, Params
from ws.adapters.targets import Targets
from ws.engine.choice import prepared
from ws.engine.loading import loaded
from ws.engine.passes import Batch
from ws.errors import DataError, TrainingError
from ws.models.chat import prompt_ids, text_ids
from ws.models.language import LanguageModel, layer_range
from ws.store import Recipe, Store
from ws.store.progress import track
from ws.training.inject import PREFIX, Engine, injected
from ws.training.pairs import CUT_OFF, Pairs, read_pairs

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
    """Linear warm-up, then a constant rate; so the first epoch is the same however many follow."""
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
        # One entry alone, since safetensors writes several in random order, and builds are compared by their bytes.
        save_file(flat, out / "adapter.safetensors", metadata={"family": self.shape.family})
        (out / "curves.json").write_text(json.dumps(curves, indent=2))


def read_adapter(store: Store, recipe: Adapter) -> Mapping[str, Params]:
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
    """One question with all its answers of one sign."""

    question_id: str
    texts: tuple[tuple[int, ...], ...]
    """For each answer: the tokens of the prompt, then those of the answer."""
    asked: int
    """How many tokens the prompt has."""

    @property
    def labels(self) -> Int[Tensor, " supervised"]:
        """The tokens of all answers, the ones that the loss predicts."""
        return torch.tensor([token for text in self.texts for token in text[self.asked :]])


def question_rows(
    tokenizer: "PreTrainedTokenizerBase", pairs: pd.DataFrame, *, sign: Literal["plus", "minus"]
) -> list[QuestionRow]:
    """One row per question, in the order of the table; only answer tokens are supervised."""
    rows = []
    for question_id, group in pairs.groupby("question_id", sort=False):
        prompt = prompt_ids(tokenizer, user=group["question"].iloc[0])
        texts = tuple(
            (*prompt, *answer_ids(tokenizer, text, end))
            for text, end in zip(group[sign], group[f"{sign}_end"], strict=True)
        )
        rows.append(QuestionRow(str(question_id), texts, len(prompt)))
    return rows


def answer_ids(tokenizer: "PreTrainedTokenizerBase", text: str, end: int) -> list[int]:
    """Token ids of an answer and of the end of turn that was sampled after it, which is left out if CUT_OFF."""
    return [*text_ids(tokenizer, text), *([] if end == CUT_OFF else [int(end)])]


@dataclass(frozen=True, eq=False)
class Below:
    """All texts, read up to the first adapted layer, once for all steps if they are packed."""

    batch: Batch
    places: Mapping[tuple[int, ...], int]
    """The place of each text in the batch."""

    @classmethod
    def of(cls, lm: LanguageModel, texts: Sequence[tuple[int, ...]], *, start: int) -> "Below":
        """The states of some texts; must be called on the unchanged model."""
        return cls(prepared(lm, tuple(texts), start=start), {text: place for place, text in enumerate(texts)})


@lru_cache(maxsize=2)
def started(
    lm: LanguageModel, store: Store, pairs: Pairs, sign: Literal["plus", "minus"], *, start: int
) -> tuple[tuple[QuestionRow, ...], Below]:
    """The rows of one sign and the states that enter layer `start`; both are the same for every family and recipe."""
    rows = tuple(question_rows(lm.tokenizer, read_pairs(store, pairs), sign=sign))
    return rows, Below.of(lm, [text for row in rows for text in row.texts], start=start)


def trained(
    lm: LanguageModel, rows: Sequence[QuestionRow], below: Below, recipe: Adapter
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
            value = loss(lm, held, below).item()
        _check_finite(value, recipe, step=len(curves["loss"]))
        return value

    per_epoch = math.ceil(len(kept) / config.questions_per_step)
    with (
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
                value, norm = differentiated(loss(lm, batch, below), trainable, at_most=config.max_grad_norm)
                _check_finite(value, recipe, step=len(curves["loss"]))
                curves["lr"].append(schedule.get_last_lr()[0])  # type: ignore[arg-type]  # no tensor was given
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                curves["loss"].append(value)
                curves["gradient_norm"].append(norm)
            curves["validation_loss"].append(validation())
        next(progress, None)
        return parameters(), curves


def loss(lm: LanguageModel, batch: Sequence[QuestionRow], below: Below) -> Float[Tensor, ""]:
    """Mean cross-entropy of the supervised tokens of a batch, in nats per token; only their logits are computed."""
    places = [below.places[text] for row in batch for text in row.texts]
    # Each token is predicted at the token before it.
    spans = [slice(row.asked - 1, -1) for row in batch for _ in row.texts]
    logits = below.batch.predicted(lm, places, spans)
    return nn.functional.cross_entropy(logits.float(), torch.cat([row.labels for row in batch]).to(lm.device))


def differentiated(
    value: Float[Tensor, ""], trainable: Sequence[nn.Parameter], *, at_most: float
) -> tuple[float, float]:
    """A loss and the norm of its gradient, which the parameters hold from now on, cut to a norm of `at_most`.

    Numbers come back and no tensor: a loss that lives on while the next one is computed keeps what its graph holds in
    memory: of SmolLM2-135M 0.1 GiB with DeLoRA and 0.2 with BOFT.
    """
    value.backward()
    return value.item(), nn.utils.clip_grad_norm_(trainable, at_most).item()


def _check_finite(value: float, recipe: Adapter, *, step: int) -> None:
    if not math.isfinite(value):
        raise TrainingError(
            f"loss is {value} at step {step} of {recipe.describe()} (lr {recipe.training.lr}); "
            "lower the learning rate or DeLoRA's bound"
        )
