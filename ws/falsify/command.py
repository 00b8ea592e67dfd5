"""The command `ws falsify`: pytest with --falsify, so that what a claim is stays with pytest."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import tyro

from ws.errors import UnknownNameError
from ws.falsify.names import CORRUPTIONS

CLAIMS = Path("claims")


def falsify(
    model: Annotated[str, tyro.conf.arg(help="The model whose cases are judged, as pytest's --model names it.")],
    only: Annotated[
        tuple[str, ...], tyro.conf.arg(help=f"Corruptions to try, of {', '.join(CORRUPTIONS)}; all by default.")
    ] = (),
    recorded: Annotated[bool, tyro.conf.arg(help="Only the cases whose verdicts are recorded.")] = False,
    k: Annotated[str, tyro.conf.arg(help="Cases to judge, as in pytest -k.", aliases=("-k",))] = "",
    paths: Annotated[
        tuple[Path, ...], tyro.conf.arg(help="Files of claims (default: the folder claims, or pytest's testpaths).")
    ] = (),
    write: Annotated[Path | None, tyro.conf.arg(help="File for the table as Markdown.")] = None,
    store: Annotated[
        str | None, tyro.conf.arg(help="Folder or URL of artifacts (WS_STORE, else the user's cache).")
    ] = None,
) -> None:
    """Judge every case of a model on spoilt evidence: each must turn red, INVALID or to another verdict.

    Reads what the claims have built and builds nothing. Ends with a table of claims and corruptions and a list of what
    survived; the exit status is 1 if anything did that claims/survivors.toml does not declare. Corruptions that are
    finished are kept, and a run that was stopped goes on where it was.

        ws falsify --model smollm2-135m --recorded
        ws falsify --model tiny-random-qwen3 --only zero nan -k c05
    """
    line = arguments(model, only=only, recorded=recorded, k=k, paths=paths, write=write, store=store)
    sys.exit(subprocess.run(line).returncode)


def arguments(
    model: str,
    *,
    only: tuple[str, ...] = (),
    recorded: bool = False,
    k: str = "",
    paths: tuple[Path, ...] = (),
    write: Path | None = None,
    store: str | None = None,
) -> list[str]:
    """The command line of pytest. Raises: UnknownNameError for a corruption that there is not."""
    for name in only:
        if name not in CORRUPTIONS:
            raise UnknownNameError("corruption", name, CORRUPTIONS)
    where = paths or ((CLAIMS,) if CLAIMS.is_dir() else ())
    named = {"--falsified": write, "--store": store}
    given = [f"{name}={value}" for name, value in named.items() if value is not None]
    selected = [*(["--recorded"] if recorded else []), *(["-k", k] if k else [])]
    chosen = [f"--corruption={name}" for name in only]
    return [
        sys.executable,
        "-m",
        "pytest",
        *map(str, where),
        "--falsify",
        f"--model={model}",
        *chosen,
        *given,
        *selected,
    ]
