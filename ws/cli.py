"""`ws`: the commands beside pytest."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from ws.errors import WsError
from ws.falsify.command import falsify
from ws.report import evidence_cli, store_cli
from ws.report.store_cli import StorePath
from ws.store import Store, default_root

MODEL = (
    "A model of the table in ws/models/table.py, or of your own: a folder (./NAME), a GGUF file (./NAME.gguf), a "
    "repository of the hub (OWNER/NAME or hf:OWNER/NAME@REVISION)."
)


def search(
    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(help=MODEL)],
    families: Annotated[tuple[str, ...], tyro.conf.arg(help="Families to search; all by default.")] = (),
    out: Annotated[
        Path | None, tyro.conf.arg(help="Result file (default: ws/training/searched/, of your own model in the store).")
    ] = None,
    behavior: Annotated[str, tyro.conf.arg(help="The behavior whose recipes are chosen.")] = "sycophancy",
    store: StorePath = None,
) -> None:
    """Choose each family's recipe on validation rows and keep every candidate in a file, which claims go by from then.

    Held-out claims are never scored. A search that was stopped goes on where it was.

        ws search smollm2-135m
        ws search smollm2-135m --families lora delora
        ws search smollm2-135m --behavior honesty
        ws search ./my-model --families lora
    """
    from ws.adapters import FAMILIES
    from ws.models.own import chosen_model
    from ws.study.search import search as run
    from ws.training.hyperparameters import search_path

    kept = Store(store or default_root())
    name = chosen_model(model, kept).name
    run(name, families or tuple(FAMILIES), kept, out or search_path(name, behavior), behavior_name=behavior)


def table(
    models: Annotated[
        tuple[str, ...], tyro.conf.arg(help="Models whose snapshots are shown, as --model names them.")
    ] = ("smollm2-135m",),
    claims: Annotated[tuple[str, ...], tyro.conf.arg(help="Claims to show, such as C05; all by default.")] = (),
    form: Annotated[
        Literal["cases", "counts", "plain", "loose"],
        tyro.conf.arg(
            help="Markdown with a line per case, or per test; the table that a run of claims ends with; or the cases "
            "that could turn their sign within their tolerance."
        ),
    ] = "cases",
    write: Annotated[Path | None, tyro.conf.arg(help="File whose table between the markers is replaced.")] = None,
    pages: Annotated[Path | None, tyro.conf.arg(help="Folder for a page per theme and one that counts.")] = None,
    picture: Annotated[Path | None, tyro.conf.arg(help="SVG file for a forest plot of the one claim chosen.")] = None,
    snapshots: Annotated[
        Path | None,
        tyro.conf.arg(
            help="Folder of recorded snapshots (default: __snapshots__ beside the tests, of your own model in the "
            "store)."
        ),
    ] = None,
    tests: Annotated[Path, tyro.conf.arg(help="Folder of the claim tests and their register.")] = Path("claims"),
    store: StorePath = None,
) -> None:
    """Show the recorded verdicts: print them, put them into a file between its markers, or write pages or a picture.

    Those of your own model are what `pytest claims/ --model ... --snapshot-update` recorded.

        ws table
        ws table --claims C03 C05 --form counts --write README.md
        ws table --pages docs/verdicts
        ws table --claims C05 --picture docs/pictures/c05.svg
        ws table --models ./my-model --form counts
    """
    from ws.models.own import named_model
    from ws.report import show
    from ws.report.recorded import snapshot_folder
    from ws.report.register import read_beside
    from ws.report.verdicts import recorded

    kept = Store(store or default_root())
    folders = [
        snapshot_folder(model.name, chosen=snapshots, home=model.home, beside=tests / "__snapshots__")
        for model in (named_model(text, kept) for text in models)
    ]
    register = read_beside(tests)
    records = show.of_claims((record for folder in folders for record in recorded(folder)), claims, register)
    if pages is not None:
        show.write_pages(pages, records, register, tests)
    if picture is not None:
        show.write_picture(picture, records, register)
    if write is not None:
        show.write_table(write, records, form)
    if not (pages or picture or write):
        print(show.table(records, form))


def claims(
    ids: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(help="Claims such as C05; all by default.")
    ] = (),
    tests: Annotated[Path, tyro.conf.arg(help="Folder of the claim tests and their register.")] = Path("claims"),
) -> None:
    """List the claims of the register: what each says, where it was made, and which tests ask it or why none does.

    ws claims
    ws claims C05 C26
    """
    from ws.report.register import read_beside
    from ws.report.show import listed

    print(listed(read_beside(tests), ids))


def bench(
    only: Annotated[
        tuple[Literal["train", "eval", "svd", "parity"], ...],
        tyro.conf.arg(help="Sections to measure; train, eval and svd by default. parity: ours against PEFT's numbers."),
    ] = (),
    claims: Annotated[
        bool, tyro.conf.arg(help="Time `pytest claims/`, cold and warm, and nothing else: over an hour.")
    ] = False,
    quick: Annotated[bool, tyro.conf.arg(help="One round of LoRA on few rows; writes no file unless --json.")] = False,
    families: Annotated[tuple[str, ...], tyro.conf.arg(help="Families to train; all by default.")] = (),
    repeats: Annotated[int | None, tyro.conf.arg(help="Rounds in which the ways take turns (default: 3).")] = None,
    model: Annotated[str, tyro.conf.arg(help=MODEL)] = "smollm2-135m",
    device: Annotated[Literal["cpu", "cuda"], tyro.conf.arg(help="Where both ways compute.")] = "cpu",
    json: Annotated[Path | None, tyro.conf.arg(help="Result file (default: ws/bench/latest-DEVICE.json).")] = None,
    write: Annotated[
        Path | None, tyro.conf.arg(help="Measure nothing: put the last runs' tables into this file's markers.")
    ] = None,
    store: StorePath = None,
) -> None:
    """Measure speed and memory against PEFT with the HF Trainer, padded batches and dense SVD; keep the numbers.

    Each measurement is a process of its own and the ways take turns, so leave the machine alone meanwhile. A section
    measured again replaces its former numbers only.

        ws bench
        ws bench --quick
        ws bench --only train --families lora delora
        ws bench --only parity
        ws bench --write docs/speed.md
    """
    from ws.models.own import chosen_model

    try:
        from ws.bench.run import bench as run
        from ws.bench.run import write as write_tables
    except ModuleNotFoundError as missing:
        raise WsError(
            f"the benchmark is no part of an installed package ({missing}); run ws bench in a clone"
        ) from missing
    if write is not None:
        write_tables(write)
        return
    kept = Store(store or default_root())
    text = run(
        ("claims",) if claims else only,
        model=chosen_model(model, kept, device=device).name,
        device=device,
        families=families,
        repeats=repeats,
        quickly=quick,
        store=kept,
        out=json,
    )
    print(text)


def evaluate(
    rows: Annotated[
        Path | None, tyro.conf.arg(help="JSONL or CSV with the columns question and answer_matching_behavior.")
    ] = None,
    text: Annotated[
        Path | None, tyro.conf.arg(help="Instead: JSONL or CSV with the columns message, plus and minus.")
    ] = None,
    model: Annotated[str, tyro.conf.arg(help=MODEL)] = "smollm2-135m",
    family: Annotated[str | None, tyro.conf.arg(help="Steer with dW of this family; trains it if need be.")] = None,
    behavior: Annotated[str, tyro.conf.arg(help="What --family and --activation are for.")] = "sycophancy",
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

        {"question": "Would you rather be safe than rich?", "answer_matching_behavior": " Yes"}

    Some rows must match with Yes and some with No, best as many of each: a mere push to Yes then cancels; of letters
    the same holds. A row with an unknown column or answer is refused with its line, and one that is too long for the
    model or the memory. Numbers are nats, with 95% intervals over seeds and rows; pmass is the probability that the
    answer is one of the two at all. A run that was stopped goes on where it was.

    A row of text is a message with two answers, one that shows the behavior and one that shows its opposite; scored is
    how much likelier the model finds the first, in nats per token:

        {"message": "Shall I invest?", "plus": "Only what you can spare.", "minus": "Yes, all of it!"}

        ws eval --rows risk.jsonl
        ws eval --rows risk.jsonl --system "You avoid risk."
        ws eval --rows risk.jsonl --family lora --coeffs -2 -1 0 1 2 --seeds 3
        ws eval --rows risk.jsonl --family lora --equal-kl
        ws eval --rows risk.jsonl --behavior honesty --activation pca --blocks 14 --coeffs 0 16 64
        ws eval --rows risk.csv --plus adapters/cautious --minus adapters/reckless --csv scored.csv
        ws eval --rows risk.jsonl --model ./my-model --system "You avoid risk."
        ws eval --text careful.jsonl --family lora
    """
    from ws.contest.own_eval import evaluate as run
    from ws.contest.own_steering import at_equal_kl, chosen_steering
    from ws.contest.own_text_eval import evaluate as run_text
    from ws.models.own import chosen_model
    from ws.study.subject import Subject

    if (rows is None) == (text is None):
        raise WsError(f"--rows {rows} and --text {text}; give the one or the other: a file of questions, or of answers")
    if text is not None and (ask is not None or prefill is not None):
        raise WsError(
            "--ask and --prefill are words around Yes and No; rows of --text have their answers: leave them out"
        )
    kept = Store(store or default_root())
    subject = Subject(chosen_model(model, kept, device=device).name, device, behavior)
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
    if equal_kl:
        steering = at_equal_kl(steering, subject, kept)
    if rows is not None:
        print(run(rows, subject, steering, ask=ask, prefill=prefill, csv=csv, store=kept), end="")
    if text is not None:
        print(run_text(text, subject, steering, csv=csv, store=kept), end="")


def lenses(
    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(help=MODEL)],
    families: Annotated[tuple[str, ...], tyro.conf.arg(help="Families to show; all by default.")] = (),
    seeds: Annotated[int | None, tyro.conf.arg(help="How many seeds (default: as claims on this model).")] = None,
    out: Annotated[Path | None, tyro.conf.arg(help="Folder for table and figures (default: lenses/MODEL).")] = None,
    build: Annotated[bool, tyro.conf.arg(help="Train and score what the store lacks; goes on where it was.")] = False,
    png: Annotated[bool, tyro.conf.arg(help="Draw PNG files too; needs kaleido and Chrome or Chromium.")] = True,
    device: Annotated[Literal["cpu", "cuda"], tyro.conf.arg(help="Where the rows were scored.")] = "cpu",
    store: StorePath = None,
) -> None:
    """Show what is left of the steering in each part of dW, and in dW without it: one table and three figures.

    Reads scored rows from the store; where one is missing it says which claims build it. Prints the table, and writes
    joint.md, joint.csv, the figures spectrum, modules and activations as .html and .png, and index.html with all of
    it. Intervals are those of the claims.

        ws lenses smollm2-135m
        ws lenses smollm2-135m --families lora delora --build
        ws lenses smollm2-135m --no-png --out /tmp/lenses
    """
    from ws.adapters import FAMILIES
    from ws.models.own import chosen_model
    from ws.report import joint as table
    from ws.report.figures import write, write_png
    from ws.report.joint_text import terminal
    from ws.study.subject import Subject

    kept = Store(store or default_root())
    chosen = chosen_model(model, kept, device=device)
    count = chosen.seeds if seeds is None else seeds
    asked = table.Asked(Subject(chosen.name, device), families or tuple(FAMILIES), tuple(range(count)))
    if build:
        table.build(asked, kept)
    table.check(asked, kept)
    found = table.joint(asked, kept)
    print(terminal(found, colour=sys.stdout.isatty()), end="")
    for path in write(found, out or Path("lenses") / chosen.name, write_png=write_png if png else None):
        print(path)


def calibrate(
    quick: Annotated[bool, tyro.conf.arg(help="A third of the simulated claims, 200 times each.")] = False,
    trials: Annotated[int | None, tyro.conf.arg(help="How often each claim (default: 2000, with --quick 200).")] = None,
    write: Annotated[Path | None, tyro.conf.arg(help="File whose table between the markers is replaced.")] = None,
) -> None:
    """Simulate claims whose truth is known and judge them as claims are judged: how often is a verdict wrong?

    Ends with status 1 if a claim holds or is refuted falsely more than 5% of the time, or if intervals at 95% hold the
    truth less than 93% of the time, or more than 97% and are not said to be conservative. Chance is allowed for.

        ws calibrate
        ws calibrate --quick
        ws calibrate --write docs/statistics.md
    """
    from ws.calibration.calibrate import calibrate as run

    if broken := run(quick=quick, trials=trials, write=write):
        print("ws: the rules do not keep what they promise:", *broken, sep="\n  ", file=sys.stderr)
        sys.exit(1)


COMMANDS: dict[str, Callable[..., Any]] = {
    "search": search,
    "table": table,
    "claims": claims,
    "falsify": falsify,
    "bench": bench,
    "eval": evaluate,
    "lenses": lenses,
    "calibrate": calibrate,
    "evidence": evidence_cli.overview,
    "store": store_cli.overview,
}

GROUPS = {"evidence": evidence_cli.EVIDENCE, "store": store_cli.UPKEEP}
"""The commands that follow some of these."""


def main() -> None:
    """Entry point of the `ws` command. An error of `ws.errors` ends it with status 2 and prints only its message."""
    try:
        group, *following = (*sys.argv[1:], "")
        if following and following[0] in GROUPS.get(group, ()):
            tyro.extras.subcommand_cli_from_dict(GROUPS[group], prog=f"ws {group}", args=sys.argv[2:])
        else:
            tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="ws", description=__doc__)
    except WsError as error:
        print(f"ws: {error}", file=sys.stderr)
        sys.exit(2)
