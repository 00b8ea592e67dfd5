"""An export in llama.cpp itself: held-out questions with and without it, beside what dW does here.

llama.cpp multiplies a quantised weight with activations that it rounds to 8 bits first, so such a file is another model
than the one that it unpacks to, and steered minus unsteered does not cancel that: rounding flips where the activations
move a little. A mean over questions survives; the answer to one question may not.
"""

import textwrap
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from ws.behaviors import Behavior
from ws.behaviors.brought import asks
from ws.errors import DataError, MismatchError
from ws.exports import control_vector, gguf_lora, llama_cpp
from ws.exports.base import Format
from ws.exports.questions import Asked
from ws.exports.what import Exported
from ws.files.gguf_header import placed
from ws.models.yesno import scores
from ws.stats.estimate import Estimate
from ws.store.progress import track

WHOLE = ("F32", "F16", "BF16")
"""ggml's types that are no quantisation."""


@dataclass(frozen=True, eq=False)
class Checked:
    """Log-ratios of the same questions, in nats: here and in llama.cpp, without and with the steering."""

    asked: Asked
    base: Float[Tensor, " rows"]
    ours: Float[Tensor, " rows"]
    plain: Float[Tensor, " rows"]
    theirs: Float[Tensor, " rows"]

    @property
    def effect(self) -> Float[Tensor, " rows"]:
        """What steering does here."""
        return (self.ours - self.base).double()

    @property
    def their_effect(self) -> Float[Tensor, " rows"]:
        """What it does in llama.cpp."""
        return (self.theirs - self.plain).double()

    @property
    def slope(self) -> float:
        """The least-squares slope, through 0, of their effect on ours."""
        return ((self.effect @ self.their_effect) / (self.effect @ self.effect)).item()

    @property
    def correlation(self) -> float:
        """Of the two effects over questions, about their means."""
        return torch.corrcoef(torch.stack([self.effect, self.their_effect]))[0, 1].item()

    @property
    def blur(self) -> float:
        """How far their effect on one question is from ours: the root of the mean square."""
        return (self.their_effect - self.effect).square().mean().sqrt().item()

    @property
    def apart(self) -> float:
        """How far the two unsteered models are from each other on one question: the root of the mean square."""
        return (self.plain - self.base).double().square().mean().sqrt().item()

    def towards(self, effect: Float[Tensor, " rows"]) -> Estimate:
        """The mean effect towards the behavior: Yes counts where Yes shows it, No where No does."""
        return Estimate.of(
            pd.DataFrame(
                [
                    (0, question.cluster, question.id, question.sign * value)
                    for question, value in zip(self.asked.questions, effect.tolist(), strict=True)
                ],
                columns=["seed", "cluster", "row", "value"],
            )
        )


def checked(place: Path, file: Path, what: Exported, form: Format, asked: Asked, *, exactly: bool = False) -> Checked:
    """Every question here and in llama.cpp with that model file, without and with the export.

    exactly: as `ws.exports.llama_cpp.opened`.
    Raises: DeviceError if llama.cpp is not installed; ModelFileError for a file that it refuses; MismatchError for a
        file of another model.
    """
    base = asked.log_ratios(what.lm)
    with what.ready.at(what.coeff):
        ours = asked.log_ratios(what.lm)
    with llama_cpp.opened(file, longest=max(map(len, asked.prompts)), exactly=exactly) as model:
        check_same(model, file, what)
        plain = answered(model, asked, f"ask {file.name}")
        with added(model, place, what, form):
            theirs = answered(model, asked, f"ask {file.name} with {place.name}")
    return Checked(asked, base, ours, plain, theirs)


def added(model: llama_cpp.LlamaCpp, place: Path, what: Exported, form: Format) -> llama_cpp.Adding:
    """A context in which what was exported is added in llama.cpp."""
    if form is control_vector:
        steps = torch.zeros(what.lm.n_layers - 1, what.lm.d_model)
        for block, step in control_vector.read_file(place, d_model=what.lm.d_model).items():
            steps[block - 1] = step
        return model.with_vectors(steps)
    return model.with_lora(place)


def check_file(file: Path, form: Format) -> None:
    """Raises: DataError if this cannot be checked there, or a file is no GGUF; DeviceError if llama.cpp is missing."""
    if form not in (gguf_lora, control_vector):
        raise DataError(f"--check asks llama.cpp, which reads no {form.TITLE}; export --to gguf or --to control-vector")
    if not file.is_file():
        raise DataError(f"--check {file}: no such file; give the model's own GGUF file")
    placed(file, refuse=DataError)
    llama_cpp.native()


def check_asks(behavior: Behavior) -> None:
    """Raises: DataError for a behavior without Yes/No questions, whose mean effect could be compared."""
    if not asks(behavior):
        raise DataError(
            f"--check compares effects on Yes/No questions, and {behavior.name} has messages alone; "
            "give it claims and phrasings, or leave --check out"
        )


def check_same(model: llama_cpp.LlamaCpp, file: Path, what: Exported) -> None:
    """Raises: MismatchError if llama.cpp's model has other tokens than the one that was steered."""
    expected = what.lm.model.config.vocab_size
    if model.vocab_size != expected:
        raise MismatchError(
            f"{file} has {model.vocab_size} tokens, {what.lm.name} has {expected}; give a file of the same model"
        )


def answered(model: llama_cpp.LlamaCpp, asked: Asked, label: str) -> Float[Tensor, " rows"]:
    """log P(Yes) - log P(No) of each question, in nats."""
    ends = track(model.ends(asked.prompts), label, total=len(asked.prompts))
    return torch.cat([scores(logits[None], asked.answers).log_ratio for logits in ends])


def quantised(file: Path) -> Collection[str]:
    """The types of a file's quantised matrices; none if they are all whole numbers of floating point."""
    from gguf import GGUFReader

    return sorted({tensor.tensor_type.name for tensor in GGUFReader(file).tensors} - {*WHOLE})


def told(found: Checked, file: Path) -> str:
    """The comparison in words, for people."""
    here, there = (_interval(found.towards(effect)) for effect in (found.effect, found.their_effect))
    spread = found.effect.std().item()
    lines = [
        f"llama.cpp {llama_cpp.RELEASES['xllamacpp']}, {file.name}, {len(found.base)} held-out questions; nats, "
        "towards the behavior [95% over questions]",
        f"  effect here         {here}",
        f"  effect in llama.cpp {there}",
        f"  row by row: slope {found.slope:.2f}, correlation {found.correlation:.3f}, each off by {found.blur:.2g}; "
        f"the effect itself varies by {spread:.2g} between questions; unsteered, both are {found.apart:.2g} apart",
    ]
    if types := quantised(file):
        lines.append(
            f"  {file.name} is quantised ({', '.join(types)}), and llama.cpp rounds activations to 8 bits for such "
            f"weights: here that puts a question's effect off by {found.blur:.2g}, where steering moves it by "
            f"{found.effect.abs().mean().item():.2g}. Trust the mean over questions, and no single answer."
        )
    return "".join(f"{textwrap.fill(line, 80, subsequent_indent='  ', break_on_hyphens=False)}\n" for line in lines)


def _interval(estimate: Estimate) -> str:
    return "{:+.3f} [{:+.3f}, {:+.3f}]".format(estimate.value, *estimate.interval())
