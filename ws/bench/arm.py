"""One measurement in a process of its own: `python -m ws.bench.arm RESULT` with the job as JSON on standard input.

The clock starts after the model, its inputs and the libraries are loaded and a small piece of the work is done.
"""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from ws.bench import data, ours, plain, work
from ws.bench.measurement import Job, Measurement, Work, save
from ws.bench.probe import Mark, Probe, exact_fp32, now, peak_bytes, spans, step_marks
from ws.bench.settings import ALL_COEFFS, Settings, crops, scoring, training
from ws.delta.weight_delta import lowest_layer
from ws.engine.depth import packed_batch
from ws.engine.loading import loaded
from ws.errors import MismatchError
from ws.models.hardware import tune_malloc
from ws.models.language import LanguageModel, layer_range, load
from ws.models.own import named_model
from ws.scoring.rows import answers_of, prompts_of
from ws.store import Store
from ws.training.direction import direction_delta
from ws.training.pairs import read_pairs
from ws.training.train import Adapter, started, trained


def measured(job: Job) -> Measurement:
    """The work of a job, done between two probes of the machine's speed."""
    store = Store(Path(job.store))
    lm = _model(job, store)
    exact_fp32(lm.device)
    probe = Probe(lm)
    before = probe.both()
    done = WAYS[job.section, job.way == "ours"](lm, store, job.settings, job.family, probe)
    done = replace(done, memory=peak_bytes(lm.device))
    return Measurement(job.section, job.way, job.family, job.repeat, done, (before, probe.both()))


def _model(job: Job, store: Store) -> LanguageModel:
    """The model as our recipes load it, as transformers loads it by default, or as transformers runs it fastest."""
    on = job.settings.subject.on
    if job.way == "ours":
        return loaded(on, store)
    if job.way == "hf-tuned":
        tune_malloc()
        return load(on.weights, store=store, device=on.device, attention="eager")
    return load(on.weights, store=store, device=on.device)


def train_ours(lm: LanguageModel, store: Store, settings: Settings, family: str, probe: Probe) -> Work:
    """What `Adapter.build` runs; the time includes the states below the adapter once for each row, as in one epoch."""
    recipe = training(settings, family)
    start = layer_range(lm.n_layers, *recipe.training.layers).start
    began = now(lm.device)
    rows, below = started(lm, store, recipe.pairs, recipe.sign, start=start)
    a_question = (now(lm.device) - began) / len(rows)
    rows = rows[: settings.questions]
    steps = data.steps({row.question_id: (row,) for row in rows}, recipe.training, seed=recipe.seed)
    with step_marks(probe) as marks:
        began = now(lm.device)
        _, curves = trained(lm, rows, below, recipe)
    counted = data.timed(len(steps), epochs=settings.epochs)
    done = Work(
        amount=sum(len(text) for i in counted for row in steps[i] for text in row.texts),
        seconds=0.0,
        results=tuple(curves["loss"]),
        flops=_flops(lm, recipe, [work.stepped(steps[i]) for i in counted]),
    )
    return _timed(done, marks, counted, began=began, extra=a_question * sum(len(steps[i]) for i in counted))


def train_plain(lm: LanguageModel, store: Store, settings: Settings, family: str, probe: Probe) -> Work:
    """PEFT and the HF Trainer on the same answers in the same order."""
    recipe = training(settings, family)
    questions = data.sequences(lm.tokenizer, read_pairs(store, recipe.pairs), sign=recipe.sign)
    questions = dict(list(questions.items())[: settings.questions])
    steps = data.steps(questions, recipe.training, seed=recipe.seed)
    counted = data.timed(len(steps), epochs=settings.epochs)
    flops = _flops(lm, recipe, [work.alone(len(row.ids) for row in steps[i]) for i in counted])
    with tempfile.TemporaryDirectory() as scratch, step_marks(probe) as marks:
        began = now(lm.device)
        losses = plain.trained(lm, steps, recipe, scratch=Path(scratch))
    amount = sum(len(row.ids) for i in counted for row in steps[i])
    return _timed(Work(amount, 0.0, tuple(losses), flops=flops), marks, counted, began=began)


def _timed(done: Work, marks: Sequence[Mark], counted: Sequence[int], *, began: float, extra: float = 0.0) -> Work:
    """The work with the seconds of the counted steps plus `extra` seconds, which count as run at their mean speed.

    Raises: MismatchError unless there is one step for each loss.
    """
    if len(marks) != len(done.results):
        raise MismatchError(
            f"{len(marks)} steps of a torch optimizer gave {len(done.results)} losses; step times are taken at "
            "the optimizer, so measure with a training loop that steps one once a loss"
        )
    each = spans(marks, counted)
    seconds = sum(time for time, _ in each)
    capacity = sum(time * speed for time, speed in each)
    return replace(
        done,
        seconds=seconds + extra,
        capacity=capacity * (seconds + extra) / seconds,
        once_seconds=marks[0].end - began - median(time for time, _ in each),
    )


def _flops(lm: LanguageModel, recipe: Adapter, steps: Sequence[work.Tokens]) -> int | None:
    if recipe.shape.family != "lora":
        return None
    layers = layer_range(lm.n_layers, *recipe.training.layers)
    adapted = lm.linears(layers.start, layers.stop).values()
    entries = recipe.shape.rank * sum(sum(linear.weight.shape) for linear in adapted)
    return work.training(work.sizes(lm, start=layers.start), steps, trained=entries)


def eval_ours(lm: LanguageModel, store: Store, settings: Settings, family: str, probe: Probe) -> Work:
    """What `Rows.build` runs, for the unchanged model and for all other coefficients."""
    rows = scoring(settings)
    other = settings.subject.validation_rows(rows.intervention, coeffs=(1.0,))
    ours.log_ratios(replace(other, questions=other.questions[:2]), store)
    prompts = prompts_of(lm, rows.questions, rows.prefill)
    began = now(lm.device)
    found = ours.log_ratios(rows, store)
    seconds = now(lm.device) - began
    start = lowest_layer(direction_delta(rows.intervention.direction, lm, store).tensors)
    sizes = work.sizes(lm, start=start)
    whole, upper = (
        work.shared(packed_batch(lm, prompts, start=first).sequences, read=len(prompts)) for first in (0, start)
    )
    flops = work.lower(sizes, whole) + work.upper(sizes, whole) + work.lower(sizes, upper)
    flops += len(rows.coeffs) * work.upper(sizes, upper)
    return Work(found.numel(), seconds, tuple(found.flatten().tolist()), flops=flops)


def eval_plain(lm: LanguageModel, store: Store, settings: Settings, family: str, probe: Probe) -> Work:
    """dW merged into the weights at every coefficient, every prompt padded to the longest of its batch."""
    rows = scoring(settings)
    prompts, answers = prompts_of(lm, rows.questions, rows.prefill), answers_of(lm)
    update = _dense(lm, store, settings)
    plain.log_ratios(lm, prompts[:1], answers, update, coeffs=(1.0,))
    began = now(lm.device)
    found = plain.log_ratios(lm, prompts, answers, update, coeffs=ALL_COEFFS)
    seconds = now(lm.device) - began
    sizes, tokens = work.sizes(lm, start=0), work.alone(map(len, prompts))
    flops = len(ALL_COEFFS) * work.upper(sizes, tokens)
    return Work(found.numel(), seconds, tuple(found.flatten().tolist()), flops=flops)


def svd_ours(lm: LanguageModel, store: Store, settings: Settings, family: str, probe: Probe) -> Work:
    """Crops of dW, computed from its factors."""
    delta = direction_delta(scoring(settings).intervention.direction, lm, store)
    keep = _crops(settings)
    next(ours.cropped(delta.select(lambda path: path == min(delta.tensors)), keep))
    return _projected(ours.cropped(delta, keep), lm.device)


def svd_plain(lm: LanguageModel, store: Store, settings: Settings, family: str, probe: Probe) -> Work:
    """Crops of dW, computed from a dense matrix for each tensor."""
    update, keep = _dense(lm, store, settings), _crops(settings)
    next(plain.cropped({path: update[path] for path in [min(update)]}, keep))
    return _projected(plain.cropped(update, keep), lm.device)


def _projected(crops: Iterator[dict[str, tuple[Tensor, Tensor]]], device: torch.device) -> Work:
    """The time it takes to make the crops, and for each crop a number (not timed) that is the same for equal crops."""
    seconds, found, began = 0.0, [], now(device)
    for crop in crops:
        seconds += now(device) - began
        found.append(_projection(crop))
        began = now(device)
    return Work(len(found), seconds, tuple(found))


def _dense(lm: LanguageModel, store: Store, settings: Settings) -> dict[str, Tensor]:
    delta = direction_delta(scoring(settings).intervention.direction, lm, store)
    return {path: update.dense().to(lm.device) for path, update in delta.tensors.items()}


def _crops(settings: Settings) -> tuple[slice, ...]:
    return crops(2 * scoring(settings).intervention.direction.plus.shape.rank)


def _projection(crop: dict[str, tuple[Tensor, Tensor]]) -> float:
    """The sum over tensors of u^T crop v, with random vectors u and v; equal crops give equal sums."""
    generator = torch.Generator().manual_seed(0)
    total = 0.0
    for path in sorted(crop):
        left, right = (factor.cpu().double() for factor in crop[path])
        above = torch.randn(left.shape[0], generator=generator, dtype=torch.float64)
        below = torch.randn(right.shape[1], generator=generator, dtype=torch.float64)
        total += (above @ left @ (right @ below)).item()
    return total


WAYS = {
    ("train", True): train_ours,
    ("train", False): train_plain,
    ("eval", True): eval_ours,
    ("eval", False): eval_plain,
    ("svd", True): svd_ours,
    ("svd", False): svd_plain,
}
"""The work of each section, ours and the plain way."""


def prepare(job: Job) -> None:
    """Build what the measurements read: model, pairs, and the two LoRA adapters of dW."""
    store, settings = Store(Path(job.store)), job.settings
    store.get(training(settings, "lora").pairs)
    if job.section != "train":
        direction = scoring(settings).intervention.direction
        for adapter in (direction.plus, direction.minus):
            store.get(adapter)


def main() -> None:
    """Do the job on standard input and save its measurement; a job whose way is `prepare` only fills the store."""
    job = Job.from_json(sys.stdin.read())
    named_model(job.settings.model, Store(Path(job.store)))
    if job.way == "prepare":
        prepare(job)
    else:
        save(measured(job), Path(sys.argv[1]))


if __name__ == "__main__":
    main()
