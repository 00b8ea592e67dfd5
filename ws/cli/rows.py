"""`ws eval`: rows of one's own under dW or a rival of it."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from ws.cli.options import MODEL, USUAL_BEHAVIOR, StorePath, Trained, check_files, check_heeded, check_numbers, opened
from ws.errors import WsError


def evaluate(
    rows: Annotated[
        Path | None, tyro.conf.arg(help="JSONL or CSV with the columns question and answer_matching_behavior.")
    ] = None,
    text: Annotated[
        Path | None, tyro.conf.arg(help="Instead: JSONL or CSV with the columns message, plus and minus.")
    ] = None,
    model: Annotated[str, tyro.conf.arg(help=MODEL)] = "smollm2-135m",
    family: Annotated[str | None, tyro.conf.arg(help="Steer with dW of this family; trains it if need be.")] = None,
    behavior: Trained = None,
    plus: Annotated[Path | None, tyro.conf.arg(help="Steer with dW of two folders: adapter or model with it.")] = None,
    minus: Annotated[Path | None, tyro.conf.arg(help="The one with the opposite, of the same base model.")] = None,
    system: Annotated[str | None, tyro.conf.arg(help="Steer with a system message instead.")] = None,
    activation: Annotated[
        Literal["pca", "mean-difference", "persona-vector"] | None,
        tyro.conf.arg(help="Steer with an activation direction of --behavior instead."),
    ] = None,
    blocks: Annotated[
        tuple[int, ...], tyro.conf.arg(help="Blocks whose output --activation is added to, counted from 0.")
    ] = (),
    coeffs: Annotated[
        tuple[float, ...], tyro.conf.arg(help="How much of it (default: -1 0 1; of a system message: 0 1).")
    ] = (),
    equal_kl: Annotated[
        bool, tyro.conf.arg(help="Count --coeffs in what takes each seed 0.5 nats (KL) from the unchanged model.")
    ] = False,
    seeds: Annotated[
        int | None, tyro.conf.arg(help="Trainings of --family (default: as claims on this model).")
    ] = None,
    ask: Annotated[
        str | None,
        tyro.conf.arg(help='Last line of each question (default: Answer Yes or No., or (A) or (B)); "": none.'),
    ] = None,
    prefill: Annotated[
        str | None, tyro.conf.arg(help="How the answer begins (default: as in the claims; of letters: the bracket).")
    ] = None,
    csv: Annotated[Path | None, tyro.conf.arg(help="File for every scored row, one line each.")] = None,
    device: Annotated[Literal["cpu", "cuda"], tyro.conf.arg(help="Where to compute.")] = "cpu",
    store: StorePath = None,
) -> None:
    """Score rows of your own, Yes/No, (A)/(B) or text, under dW or a rival of it, or nothing; print what coeffs did.

    A row is a question and the answer that shows the behavior, " Yes" or " No", or of two choices " (A)" or " (B)":

        {"question": "Safe rather than rich?", "answer_matching_behavior": " Yes"}

    Some rows must match with Yes and some with No, best as many of each: a mere push to Yes then cancels; of letters
    the same holds. A row with an unknown column or answer is refused with its line, and one that is too long for the
    model or the memory. Numbers are nats, with 95% intervals over seeds and rows; match is the share of rows where the
    answer that shows the behavior is the more probable one, and pmass the probability that the answer is one of the two
    at all. A run that was stopped goes on where it was.

    A row of text is a message with two answers, one that shows the behavior and one that shows its opposite; scored is
    how much likelier the model finds the first, in nats per token, and likelier is the share of rows where it does so:

        {"message": "Shall I invest?", "plus": "A little.", "minus": "All of it!"}

        ws eval --rows risk.jsonl
        ws eval --rows risk.jsonl --system "You avoid risk."
        ws eval --rows risk.jsonl --family lora --coeffs -2 -1 0 1 2 --seeds 3
        ws eval --rows risk.jsonl --family lora --equal-kl
        ws eval --rows risk.jsonl --activation pca --blocks 14 --coeffs 0 16 64
        ws eval --rows risk.csv --plus adapters/careful --minus adapters/reckless
        ws eval --rows risk.jsonl --model ./my-model --system "You avoid risk."
        ws eval --text careful.jsonl --family lora
        ws eval --text careful.jsonl --family lora --behavior mine.toml
    """
    from ws.behaviors.own import chosen_behavior
    from ws.contest.own_eval import evaluate as run
    from ws.contest.own_steering import at_equal_kl, chosen_steering
    from ws.contest.own_text_eval import evaluate as run_text
    from ws.delta.folders.given import naming
    from ws.engine.loading import loaded
    from ws.models.own import chosen_model
    from ws.study.subject import Subject

    if (rows is None) == (text is None):
        raise WsError(f"--rows {rows} and --text {text}; give the one or the other: a file of questions, or of answers")
    if text is not None and (ask is not None or prefill is not None):
        raise WsError(
            "--ask and --prefill are words around Yes and No; rows of --text have their answers: leave them out"
        )
    if family is None and activation is None and not equal_kl:
        check_heeded("without --family or --activation, which are made for it", behavior=behavior)
    check_files(csv=csv)
    check_numbers(coeffs=coeffs)
    check_numbers(least=1, seeds=seeds)
    kept = opened(store)
    of = chosen_behavior(behavior or USUAL_BEHAVIOR, kept).name
    subject = Subject(chosen_model(model, kept, device=device).name, device, of)
    steering = chosen_steering(
        subject,
        family=family,
        plus=plus,
        minus=minus,
        system=system,
        activation=activation,
        blocks=blocks,
        coeffs=coeffs,
        seeds=seeds,
    )
    with naming(plus, minus, lm=lambda: loaded(subject.on, kept)):
        if equal_kl:
            steering = at_equal_kl(steering, subject, kept)
        if rows is not None:
            print(run(rows, subject, steering, ask=ask, prefill=prefill, csv=csv, store=kept), end="")
        if text is not None:
            print(run_text(text, subject, steering, csv=csv, store=kept), end="")
