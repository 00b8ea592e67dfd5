"""`ws export`: a steering, or verdicts, as files of other tools."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ws.cli.options import (
    BEHAVIOR,
    MODEL,
    USUAL_BEHAVIOR,
    Claims,
    Recorded,
    SnapshotsPath,
    StorePath,
    TestsPath,
    check_numbers,
    opened,
)
from ws.cli.results import Chosen, Run, chosen


def dw(
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(help="Folder or .gguf file to write.")],
    to: Annotated[
        Literal["peft", "merged", "gguf", "mlx", "control-vector"],
        tyro.conf.arg(
            help="peft, mlx: a LoRA in the layout of PEFT or mlx-lm. merged: the whole model with dW added. gguf: a "
            "LoRA for llama.cpp. control-vector: an activation direction for llama.cpp."
        ),
    ],
    model: Annotated[str, tyro.conf.arg(help=MODEL)] = "smollm2-135m",
    family: Annotated[str | None, tyro.conf.arg(help="dW of this family; trains it if need be.")] = None,
    seed: Annotated[int, tyro.conf.arg(help="Of its training, or of persona vectors.")] = 0,
    behavior: Annotated[
        str, tyro.conf.arg(help=f"What --family and --activation are for, and whose questions are asked: {BEHAVIOR}")
    ] = USUAL_BEHAVIOR,
    plus: Annotated[Path | None, tyro.conf.arg(help="dW of two folders: adapter or model with it.")] = None,
    minus: Annotated[Path | None, tyro.conf.arg(help="The one with the opposite, of the same base model.")] = None,
    activation: Annotated[
        Literal["pca", "mean-difference", "persona-vector"] | None,
        tyro.conf.arg(help="An activation direction, for --to control-vector."),
    ] = None,
    blocks: Annotated[
        tuple[int, ...], tyro.conf.arg(help="Blocks whose output --activation is added to, counted from 0.")
    ] = (),
    coeff: Annotated[float, tyro.conf.arg(help="How much of it.")] = 1.0,
    rank: Annotated[
        int | None, tyro.conf.arg(help="Keep this many singular directions of each layer (default: all).")
    ] = None,
    energy: Annotated[
        float | None, tyro.conf.arg(help="Instead: keep this share of each layer's squared norm, such as 0.99.")
    ] = None,
    dtype: Annotated[
        Literal["float32", "bfloat16"], tyro.conf.arg(help="Of merged weights; what rounding takes is measured.")
    ] = "float32",
    check: Annotated[
        Path | None, tyro.conf.arg(help="The model's own GGUF file: ask llama.cpp too, with and without the export.")
    ] = None,
    questions: Annotated[
        int | None, tyro.conf.arg(help="Held-out questions to compare on (default: 40, for --check all).")
    ] = None,
    force: Annotated[bool, tyro.conf.arg(help="Replace an older export in the same place.")] = False,
    device: Annotated[Literal["cpu", "cuda"], tyro.conf.arg(help="Where to compute.")] = "cpu",
    store: StorePath = None,
) -> None:
    """Write dW for other tools, read it back with theirs, and print how much of it came back.

    A family with thin factors (lora, delora, pissa) is exported exactly, at twice its rank: both signs' factors side by
    side. The others change weights at full rank: say how much to keep, by --rank or --energy; what that leaves out is
    measured on dW and on log-ratios of held-out questions. So is what bfloat16 leaves of merged weights. Nothing is put
    in place before it was read back, and nothing but an older export is ever replaced, with --force.

    --check needs llama.cpp, pip install 'weight-steering-claims[llama]'.

        ws export dw out/agreeing --to peft --family lora
        ws export dw out/honest --to mlx --family dora --energy 0.99
        ws export dw out/half --to merged --family lora --coeff 0.5
        ws export dw out/mine --to peft --plus adapters/kind --minus adapters/rude
        ws export dw dw.gguf --to gguf --family lora --check model-Q4_1.gguf
        ws export dw pca.gguf --to control-vector --activation pca --blocks 14
    """
    from ws.behaviors.own import chosen_behavior
    from ws.delta.folders.given import naming
    from ws.engine.loading import loaded
    from ws.exports import check as llama
    from ws.exports import early
    from ws.exports.base import Limits
    from ws.exports.command import FORMATS, check_asked, check_place, export
    from ws.exports.questions import FEW, asked
    from ws.exports.what import Source, exported
    from ws.models.own import chosen_model
    from ws.study.subject import Subject

    check_numbers(coeff=coeff)
    check_numbers(least=0, seed=seed)
    check_numbers(least=1, questions=questions)
    form, limits = FORMATS[to], Limits(rank, energy, dtype)
    source = Source(family, seed, plus, minus, activation, blocks, coeff)
    check_asked(source, form, limits)
    check_place(out, form, force=force)
    early.check_source(source, form, limits)
    if check is not None:
        llama.check_file(check, form)
    kept = opened(store)
    of = chosen_behavior(behavior, kept).name
    look = partial(early.check_config, source=source, form=form, of=model)
    known = chosen_model(model, kept, device=device, look=look)
    early.check_listed(known, kept, source, form)
    subject = Subject(known.name, device, of)
    if check is not None:
        llama.check_asks(subject.behavior)
    lm = loaded(subject.on, kept)
    early.check_loaded(lm, source, form, check)
    few = asked(subject, lm, most=FEW if questions is None else questions)
    with naming(plus, minus, lm=lambda: lm):
        what = exported(source, subject, lm, kept)
    print(export(out, what, form, limits, few), end="", flush=True)
    if check is not None:
        every = few if questions is not None else asked(subject, lm)
        print(llama.told(llama.checked(out, check, what, form, every), check), end="")


def inspect(
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(help="Folder of logs to write into.")],
    models: Chosen = (),
    behavior: Recorded = None,
    claims: Claims = (),
    run: Run = None,
    snapshots: SnapshotsPath = None,
    tests: TestsPath = None,
    store: StorePath = None,
) -> None:
    """Write verdicts as logs that Inspect's viewer opens: a log for each model, a sample for each case.

    A sample's scores are its verdict and its numbers; its metadata is the whole verdict, as `ws results` writes it.
    Inspect is not needed for writing. `inspect view --log-dir OUT` shows the logs.

        ws export inspect logs
        ws export inspect logs --models smollm2-135m tiny-random-qwen3 --claims C05
        ws export inspect logs --run run.json
    """
    from ws.results.files import put_all
    from ws.results.inspect_log import logs

    found = chosen(models, behavior, claims, run, snapshots=snapshots, tests=tests, store=store)
    print("\n".join(put_all(out, logs(*found))))


def lm_eval(
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(help="Folder of results to write into.")],
    models: Chosen = (),
    behavior: Recorded = None,
    claims: Claims = (),
    run: Run = None,
    snapshots: SnapshotsPath = None,
    tests: TestsPath = None,
    store: StorePath = None,
) -> None:
    """Write verdicts in the layout of lm-evaluation-harness: OUT/MODEL/results_DATE.json.

    A claim is a group with the share of its cases that hold; a case is a task with its number, standard error and
    direction. A task's config has the whole verdict, as `ws results` writes it. The harness is not needed for writing.

        ws export lm-eval results
        ws export lm-eval results --models smollm2-135m --claims C03 C05
        ws export lm-eval results --run run.json
    """
    from ws.results.files import put_all
    from ws.results.lm_eval import results_files

    found = chosen(models, behavior, claims, run, snapshots=snapshots, tests=tests, store=store)
    print("\n".join(put_all(out, results_files(*found))))
