"""`ws store` and its commands: their options and their help."""

from typing import Annotated, Literal

import tyro

from ws.cli.options import StorePath, check_numbers, opened


def overview(store: StorePath = None) -> None:
    """Show what a store holds: kinds of artifacts, how many, how large, how long they took to build.

    These commands look after it, each with a --help of its own:

        ws store why KEY         what a key is made of, and what made it another
        ws store check           read every file and compare it with its hash
        ws store gc              remove what no recipe of this checkout reaches
        ws store carry           give artifacts the keys of new code that makes
                                 the same numbers, by audit
        ws store copy FROM TO    copy artifacts between a folder and a URL
    """
    from ws.report import store_commands

    print(store_commands.overview(opened(store)), end="")


def check(store: StorePath = None) -> None:
    """Read every file of a store and compare it with its hash; say what is damaged.

    A run looks at what it judges by, such as rows, and not at the models and adapters that these were made of. Ends
    with status 2 if something is damaged: a run that asks for it builds it again.

        ws store check
        ws store check --store ~/other-store
    """
    from ws.report import store_commands

    for text in store_commands.check(opened(store)):
        print(text, end="", flush=True)


def why(
    key: Annotated[
        tyro.conf.Positional[str],
        tyro.conf.arg(help="The first digits of a key, or a test as claims/FILE.py::TEST[CASE]."),
    ],
    against: Annotated[
        str | None, tyro.conf.arg(help="A commit of this clone, or the folder of another store; this code otherwise.")
    ] = None,
    store: StorePath = None,
) -> None:
    """Print what a key is made of: fields, inputs, releases of libraries and code; and what made it another.

    A key names an artifact by all that could change it. Where this code, another commit or another store makes the same
    recipe another key, the first difference is shown, down through the inputs: a field, a library, or the definition
    that changed with its lines. Wording, names of locals and the places of modules are in no key. For a test, every key
    that its recorded numbers were computed from.

        ws store why 05410e92
        ws store why 05410e92 --against HEAD~3
        ws store why 05410e92 --against ~/other-store
        ws store why claims/test_families.py::test_delora_pays_with_pmass
    """
    from ws.report import store_commands

    print(store_commands.why(opened(store), key, against), end="")


def gc(
    dry_run: Annotated[bool, tyro.conf.arg(help="Remove nothing; show what would go.")] = False,
    older_than: Annotated[float, tyro.conf.arg(help="Only what is at least so many days old.", metavar="DAYS")] = 0.0,
    store: StorePath = None,
) -> None:
    """Remove what no recipe of this checkout reaches, with leftovers of killed builds; say what and how much.

    An artifact stays if this code still gives its recipe the key it has. One with another key today may be worth
    `ws store carry` first; of one whose recipe is gone only this is left. Models of your own stay, and artifacts of
    other packages. Nothing is removed while another process builds what would go.

        ws store gc --dry-run
        ws store gc --older-than 30
    """
    from ws.report import store_commands

    check_numbers(least=0, older_than=older_than)
    print(store_commands.gc(opened(store), dry_run=dry_run, older_than=older_than), end="")


def carry(
    tolerance: Annotated[
        float,
        tyro.conf.arg(help="How far a number may be apart: absolute below 1, relative above; tensors by RMS."),
    ] = 1e-5,
    sample: Annotated[int, tyro.conf.arg(help="Artifacts to build anew; at least one of each stratum is.")] = 0,
    seed: Annotated[int, tyro.conf.arg(help="Draws the sample.")] = 0,
    cover: Annotated[
        Literal["combinations", "each"],
        tyro.conf.arg(help="Build one of each combination of model, family and lens, or one of each of these."),
    ] = "combinations",
    workers: Annotated[int, tyro.conf.arg(help="Processes that build, each with models in its memory.")] = 1,
    dry_run: Annotated[bool, tyro.conf.arg(help="Build nothing; show the plan and what it costs.")] = False,
    store: StorePath = None,
) -> None:
    """Give artifacts the keys of new code, once a random sample built by it agrees with what is stored.

    For code that must differ while numbers must not, such as a faster kernel. Strata are recipe class, model, family
    and lens; of each at least one artifact is drawn and built anew, from inputs as they are stored, unless only its
    inputs changed or an earlier audit of this code built one. If one differs by more than the tolerance, nothing is
    carried, and recipe, file and column are shown. Else all get their new keys, as links that take no room, and each
    manifest says by which audit. An audit that was stopped goes on where it was. With `--cover each` an audit is
    shorter, and blind to a change that only one combination of family and lens shows.

        ws store carry --dry-run
        ws store carry --workers 2
        ws store carry --tolerance 1e-4 --sample 200
    """
    from ws.report import store_commands

    check_numbers(least=0, tolerance=tolerance, sample=sample)
    check_numbers(least=1, workers=workers)
    told = store_commands.carry(
        opened(store),
        tolerance=tolerance,
        sample=sample,
        seed=seed,
        cover=cover,
        workers=workers,
        dry_run=dry_run,
    )
    for text in told:
        print(text, flush=True)


def copy(
    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(help="A folder, or a URL such as s3://BUCKET/PREFIX.")],
    target: Annotated[tyro.conf.Positional[str], tyro.conf.arg(help="A URL for a folder, a folder for a URL.")],
) -> None:
    """Copy the artifacts that the other side lacks, between a folder and a URL that machines share.

    Each is checked on its way: one that is damaged is named and left out. A copy that was stopped goes on where it was.

        ws store copy ~/.cache/weight-steering s3://lab/weight-steering
        ws store copy s3://lab/weight-steering ./store
    """
    from ws.report import remote_commands

    print(remote_commands.copy(source, target), end="")
