"""The plain way: PEFT trained by the HF Trainer, padded batches with full logits, a dense SVD.

Nothing here is tuned unless a function says so. It shares with the rest of the package only what equal results need:
the adapter's shape and start values, the prompts, and how logits become log-ratios.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from ws.adapters import AdapterConfig, Params
from ws.adapters.peft.layers import peft_side, to_peft
from ws.adapters.targets import is_feedforward_output
from ws.bench.data import Step
from ws.bench.settings import PLAIN_BATCH
from ws.models.language import LanguageModel, layer_range
from ws.models.yesno import AnswerTokens, scores
from ws.training.inject import injected
from ws.training.train import Adapter, TrainConfig

if TYPE_CHECKING:
    import peft
    import transformers

IGNORED = -100
"""The label that transformers leaves out of the loss."""


def trained(lm: LanguageModel, steps: Sequence[Step], recipe: Adapter, *, scratch: Path) -> list[float]:
    """The loss of every step, in nats per supervised token; the model keeps the adapter.

    An item of the Trainer's data is a whole step, so that both ways train on the same answers in each step.
    """
    from transformers import Trainer

    layers = layer_range(lm.n_layers, *recipe.training.layers)
    model = adapted(lm, recipe.shape, start=start_values(lm, recipe, layers))
    trainer = Trainer(
        model=model,
        args=arguments(recipe.training, device=lm.device, seed=recipe.seed, scratch=scratch),
        train_dataset=list(steps),
        data_collator=Padded(lm.tokenizer.pad_token_id),
    )
    trainer.train()
    return [line["loss"] for line in trainer.state.log_history if "loss" in line]


def arguments(
    training: TrainConfig, *, device: torch.device, seed: int, scratch: Path
) -> "transformers.TrainingArguments":
    """The Trainer's defaults, except for the recipe's numbers, a log of every loss and no side effects."""
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=str(scratch),
        num_train_epochs=1,
        per_device_train_batch_size=1,
        train_sampling_strategy="sequential",
        learning_rate=training.lr,
        lr_scheduler_type="constant",
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        seed=seed,
        use_cpu=device.type == "cpu",
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=device.type == "cuda",
    )


class Padded:
    """Collates the answers of one step, padded on the right to the longest; prompts and padding carry no loss."""

    def __init__(self, pad: int) -> None:
        self.pad = pad

    def __call__(self, items: list[Step]) -> dict[str, Tensor]:
        [rows] = items
        ids, real = padded([row.ids for row in rows], pad=self.pad)
        labels = torch.full_like(ids, IGNORED)
        for line, row in enumerate(rows):
            end = len(row.ids)
            labels[line, end - row.supervised : end] = ids[line, end - row.supervised : end]
        return {"input_ids": ids, "attention_mask": real, "labels": labels}


def start_values(lm: LanguageModel, recipe: Adapter, layers: range) -> dict[str, Params]:
    """The start values of this recipe in our own way, by layer."""
    with injected(lm, recipe.shape, layers=layers, seed=recipe.seed) as parameters:
        return parameters()


def adapted(lm: LanguageModel, shape: AdapterConfig, *, start: Mapping[str, Params]) -> "peft.PeftModel":
    """The model with PEFT's adapter in the layers of `start`, with those values."""
    from peft import get_peft_model
    from peft.tuners.tuners_utils import BaseTunerLayer

    side = peft_side(shape.family)
    config = side.peft_config(
        shape, targets=_matching(start), feedforward=_matching(filter(is_feedforward_output, start))
    )
    with side.building(shape):
        model = get_peft_model(lm.model, config)
    for path, module in model.get_base_model().named_modules():
        if isinstance(module, BaseTunerLayer):
            to_peft(module, start[path], config=shape)
    return model


def _matching(paths: Iterable[str]) -> str:
    return "|".join(re.escape(path) for path in paths)


def log_ratios(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    answers: AnswerTokens,
    update: Mapping[str, Float[Tensor, "_ _"]],
    *,
    coeffs: Sequence[float],
) -> Float[Tensor, "coeffs prompts"]:
    """log P(yes) - log P(no) of every prompt under every coefficient, in batches of 8 with logits at every token."""
    found = []
    for coeff in coeffs:
        with merged(lm, update, coeff=coeff), torch.no_grad():
            batches = [prompts[i : i + PLAIN_BATCH] for i in range(0, len(prompts), PLAIN_BATCH)]
            found.append(torch.cat([_log_ratios(lm, batch, answers) for batch in batches]))
    return torch.stack(found)


def _log_ratios(lm: LanguageModel, batch: Sequence[Sequence[int]], answers: AnswerTokens) -> Float[Tensor, " prompts"]:
    ids, real = padded(batch, pad=lm.tokenizer.pad_token_id)
    logits = lm.model(input_ids=ids.to(lm.device), attention_mask=real.to(lm.device), use_cache=False).logits
    last = torch.tensor([len(prompt) - 1 for prompt in batch], device=lm.device)
    return scores(logits[torch.arange(len(batch), device=lm.device), last], answers).log_ratio.cpu()


@contextmanager
def merged(lm: LanguageModel, update: Mapping[str, Float[Tensor, "_ _"]], *, coeff: float) -> Iterator[None]:
    """The model with `coeff * update` added to its weights."""
    saved = {path: lm.model.get_submodule(path).weight.detach().clone() for path in update}
    with torch.no_grad():
        for path, value in update.items():
            lm.model.get_submodule(path).weight.add_(value, alpha=coeff)
    try:
        yield
    finally:
        with torch.no_grad():
            for path, weight in saved.items():
                lm.model.get_submodule(path).weight.copy_(weight)


def cropped(
    update: Mapping[str, Float[Tensor, "_ _"]], keep: Iterable[slice]
) -> Iterator[dict[str, tuple[Tensor, Tensor]]]:
    """Each crop of the update as two factors for each tensor; dense SVDs of all tensors come before the first crop."""
    spectra = {path: torch.linalg.svd(value, full_matrices=False) for path, value in update.items()}
    for part in keep:
        yield {path: (U[:, part] * S[part], Vh[part]) for path, (U, S, Vh) in spectra.items()}


def padded(rows: Sequence[Sequence[int]], *, pad: int) -> tuple[Tensor, Tensor]:
    """Token ids padded on the right to the longest row, and 1 where a token is real."""
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows])
    real = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return ids, real
