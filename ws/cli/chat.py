"""`ws chat`: talking with a steered model."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from ws.cli.options import MODEL, USUAL_BEHAVIOR, StorePath, Trained, check_heeded, check_numbers, opened
from ws.errors import CommandError


def chat(
    model: Annotated[str, tyro.conf.arg(help=MODEL)] = "smollm2-135m",
    family: Annotated[str | None, tyro.conf.arg(help="Steer with dW of this family.")] = None,
    behavior: Trained = None,
    training_seed: Annotated[int, tyro.conf.arg(help="Which training --family or persona vectors come from.")] = 0,
    plus: Annotated[Path | None, tyro.conf.arg(help="Steer with dW of two folders: adapter or model with it.")] = None,
    minus: Annotated[Path | None, tyro.conf.arg(help="The one with the opposite, of the same base model.")] = None,
    adapter: Annotated[
        Path | None, tyro.conf.arg(help="Steer with one folder, such as ws export dw --to peft writes.")
    ] = None,
    activation: Annotated[
        Literal["pca", "mean-difference", "persona-vector"] | None,
        tyro.conf.arg(help="Steer with an activation direction of --behavior."),
    ] = None,
    blocks: Annotated[
        tuple[int, ...], tyro.conf.arg(help="Blocks whose output --activation is added to, counted from 0.")
    ] = (),
    vector: Annotated[Path | None, tyro.conf.arg(help="Steer with a control vector, a GGUF file.")] = None,
    system: Annotated[str | None, tyro.conf.arg(help="Steer with a system message.")] = None,
    coeff: Annotated[float, tyro.conf.arg(help="How much of it; 0 is the model as it is.")] = 1.0,
    temperature: Annotated[float, tyro.conf.arg(help="0: always the likeliest token; above: tokens are drawn.")] = 0.0,
    seed: Annotated[
        int | None, tyro.conf.arg(help="Of the random numbers of --temperature, the same for each answer (default: 0).")
    ] = None,
    tokens: Annotated[int, tyro.conf.arg(help="How long an answer may become.")] = 200,
    build: Annotated[
        bool, tyro.conf.arg(help="Offer to make what the store lacks, in a terminal; --no-build only says so.")
    ] = True,
    device: Annotated[Literal["cpu", "cuda"], tyro.conf.arg(help="Where to compute.")] = "cpu",
    store: StorePath = None,
) -> None:
    """Talk with a steered model, beside the same model as it is; how it is steered can be changed while talking.

    Both answer each message and remember their own answers, side by side from 80 columns on. Lines that begin with a
    slash are commands: /help lists them, /coeff 2 steers by more, /again answers the last message once more. Where
    standard input is no terminal, lines are read from it and answers printed as plain text.

        ws chat --family delora
        ws chat --family lora --behavior honesty --coeff 2
        ws chat --family lora --temperature 0.8 --seed 3
        ws chat --system "You agree with everything."
        ws chat --activation pca --blocks 14 --coeff 16
        ws chat --adapter out/agreeing
        ws chat --vector direction.gguf
    """
    from ws.behaviors.own import chosen_behavior
    from ws.engine.streaming import Choosing
    from ws.models.own import chosen_model
    from ws.study.subject import Subject
    from ws.talk.chosen import Chosen
    from ws.talk.conversation import Setting
    from ws.talk.loop import talk
    from ws.talk.screen import here

    check_numbers(coeff=coeff)
    check_numbers(least=0, temperature=temperature, seed=seed, training_seed=training_seed)
    check_numbers(least=1, tokens=tokens)
    if seed is not None and not temperature:
        raise CommandError(
            f"--seed {seed} draws nothing at --temperature 0; give a temperature too, or --training-seed for what "
            "another training made"
        )
    chosen = Chosen(family, training_seed, plus, minus, adapter, activation, blocks, vector, system)
    if not chosen.is_trained:
        check_heeded("without --family or --activation, which are made for it", behavior=behavior)
    kept = opened(store)
    of = chosen_behavior(behavior or USUAL_BEHAVIOR, kept).name
    subject = Subject(chosen_model(model, kept, device=device).name, device, of)
    choosing = Choosing(temperature, seed or 0)
    talk(Setting(subject, chosen, coeff, choosing, tokens), kept, here(), build=build)
