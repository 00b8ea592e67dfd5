"""`ws export`: a steering as files of other tools."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from ws.cli.options import BEHAVIOR, MODEL, StorePath, opened


def dw(
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(help="Folder to write.")],
    to: Annotated[Literal["peft"], tyro.conf.arg(help="peft: a LoRA in PEFT's layout.")],
    model: Annotated[str, tyro.conf.arg(help=MODEL)] = "smollm2-135m",
    family: Annotated[str | None, tyro.conf.arg(help="dW of this family; trains it if need be.")] = None,
    seed: Annotated[int, tyro.conf.arg(help="Of its training.")] = 0,
    behavior: Annotated[str, tyro.conf.arg(help=f"What --family is for: {BEHAVIOR}")] = "sycophancy",
    plus: Annotated[Path | None, tyro.conf.arg(help="dW of two folders: adapter or model with it.")] = None,
    minus: Annotated[Path | None, tyro.conf.arg(help="The one with the opposite, of the same base model.")] = None,
    coeff: Annotated[float, tyro.conf.arg(help="How much of it.")] = 1.0,
    rank: Annotated[
        int | None, tyro.conf.arg(help="Keep this many singular directions of each layer (default: all).")
    ] = None,
    energy: Annotated[
        float | None, tyro.conf.arg(help="Instead: keep this share of each layer's squared norm, such as 0.99.")
    ] = None,
    questions: Annotated[int, tyro.conf.arg(help="Held-out questions to compare on.")] = 40,
    force: Annotated[bool, tyro.conf.arg(help="Replace an older export in the same place.")] = False,
    device: Annotated[Literal["cpu", "cuda"], tyro.conf.arg(help="Where to compute.")] = "cpu",
    store: StorePath = None,
) -> None:
    """Write dW for other tools, read it back with theirs, and print how much of it came back.

    A family with thin factors (lora, delora, pissa) is exported exactly, at twice its rank: both signs' factors side by
    side. The others change weights at full rank: say how much to keep, by --rank or --energy; what that leaves out is
    measured on dW and on log-ratios of held-out questions. Nothing is put in place before it was read back, and nothing
    but an older export is ever replaced, with --force.

        ws export dw out/sycophancy --to peft --family lora
        ws export dw out/honest --to peft --family dora --behavior honesty
        ws export dw out/mine --to peft --plus adapters/kind --minus adapters/rude
    """
    from ws.behaviors.own import chosen_behavior
    from ws.engine.loading import loaded
    from ws.exports.base import Limits
    from ws.exports.command import FORMATS, check_place, export
    from ws.exports.questions import asked
    from ws.exports.what import Source, exported
    from ws.models.own import chosen_model
    from ws.study.subject import Subject

    form, limits = FORMATS[to], Limits(rank, energy)
    source = Source(family, seed, plus, minus, coeff=coeff)
    check_place(out, form, force=force)
    kept = opened(store)
    of = chosen_behavior(behavior, kept).name
    subject = Subject(chosen_model(model, kept, device=device).name, device, of)
    lm = loaded(subject.on, kept)
    held_out = asked(subject, lm, most=questions)
    what = exported(source, subject, lm, kept)
    print(export(out, what, form, limits, held_out), end="")
