"""`ws plan` and `ws build`: what some claims still need, how long that takes, and building it on many cores.

What a claim needs shows when its test asks for it, so both run pytest, in the place of this process.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ws.cli.options import BEHAVIOR, MODEL, StorePath, opened, tests_folder
from ws.errors import CommandError
from ws.remote import whereabouts

Workers = Annotated[str, tyro.conf.arg(help="Processes of this machine: a number, or auto for one a core.")]


@dataclass(frozen=True)
class Cases:
    """Some cases of claims, and the store that they read."""

    k: Annotated[
        str, tyro.conf.arg(help="Cases, as in pytest -k: 'c05 and lora'; all by default.", aliases=("-k",))
    ] = ""
    model: Annotated[tuple[str, ...], tyro.conf.arg(help=f"{MODEL} Several may be given (default: smollm2-135m).")] = ()
    paths: Annotated[
        tyro.conf.Positional[tuple[Path, ...]],
        tyro.conf.arg(
            help="Files of claims (default: the folder claims or tests here or above, else that of this clone)."
        ),
    ] = ()
    family: Annotated[tuple[str, ...], tyro.conf.arg(help="Only the cases of these adapter families.")] = ()
    behavior: Annotated[str | None, tyro.conf.arg(help=f"In place of sycophancy: {BEHAVIOR}")] = None
    seeds: Annotated[
        int | None, tyro.conf.arg(help="Seeds to train (default: as many as each model's table says).")
    ] = None
    recorded: Annotated[bool, tyro.conf.arg(help="Only the cases whose verdicts are recorded.")] = False
    gpu: Annotated[bool, tyro.conf.arg(help="On CUDA; without --model, the models of the hub.")] = False
    store: StorePath = None

    @property
    def words(self) -> list[str]:
        """What chooses these cases on a command line of pytest.

        Raises: CommandError for a path that is not there, or a number of seeds that is none.
        """
        for path in self.paths:
            if not Path(str(path).partition("::")[0]).exists():
                raise CommandError(f"{path} is not there; name a file or folder of claims")
        if self.seeds is not None and self.seeds < 1:
            raise CommandError(f"--seeds {self.seeds}; expected a number from 1 on")
        store = self.store and whereabouts(opened(self.store))
        named = {"--behavior": self.behavior, "--seeds": self.seeds, "--store": store}
        return [
            *(f"{name}={value}" for name, value in named.items() if value is not None),
            *(f"--model={name}" for name in self.model),
            *(f"--family={name}" for name in self.family),
            *(["--recorded"] if self.recorded else []),
            *(["--gpu"] if self.gpu else []),
            *([f"-k={self.k}"] if self.k else []),
            *map(str, self.paths or (tests_folder(None),)),
        ]


def plan(
    cases: Cases,
    workers: Workers = "auto",
    verbose: Annotated[
        bool, tyro.conf.arg(help="Also say why cases ended in an error on made-up numbers.", aliases=("-v",))
    ] = False,
) -> None:
    """Say what some claims still need: how many artifacts, how long they take, and the longest chain among them.

    Nothing is built or judged. Times are those of similar artifacts in the store. The plan says with how many workers a
    build still gets faster, and which cases will ask for more once some of it is there.

        ws plan -k "c05 and lora"
        ws plan --model ./my-model --seeds 3
        ws plan claims/test_families.py --workers 16
    """
    _run(["--plan", f"--workers={_workers(workers)}", *(["--verbose"] if verbose else []), *cases.words])


def build(
    cases: Cases,
    workers: Workers = "auto",
    engine: Annotated[
        Literal["processes", "ray"], tyro.conf.arg(help="What builds: processes of this machine, or a Ray cluster.")
    ] = "processes",
    address: Annotated[
        str | None,
        tyro.conf.arg(help="With --engine ray: HOST:PORT of the cluster (default: the one this machine belongs to)."),
    ] = None,
) -> None:
    """Build what some claims still need, with every core of a machine or a cluster; claims then judge from the store.

    It goes from plan to plan until nothing is missing, and says how many are built, how long the rest takes and what is
    next. Stopped or killed, the same command goes on with what is missing. An artifact is the same, byte for byte, with
    any number of workers. The exit status is 1 if something could not be built.

    A cluster needs the extra [ray] of this package, the same commit on all machines, and a store that all of them see,
    under one path or URL. docs/planning.md tells how to begin one.

        ws build -k "c05 and lora"
        ws build --model ./my-model --seeds 3 --workers 2
        ws build --engine ray --address 10.0.0.1:6379 --store s3://bucket/store
        pytest claims/ -k "c05 and lora"
    """
    if engine == "processes":
        if address is not None:
            raise CommandError(f"--address {address} is that of a cluster; add --engine ray, or drop it")
        words = [f"--workers={_workers(workers)}"]
    else:
        if workers != "auto":
            raise CommandError(f"--workers {workers} are processes of this machine, and Ray has its own; drop it")
        words = [f"--cluster={address or 'auto'}"]
    _run([*words, "--build-only", *cases.words])


def _workers(text: str) -> str:
    """A number of workers, or auto. Raises: CommandError for anything else."""
    if text != "auto" and not (text.isdecimal() and int(text) > 0):
        raise CommandError(f"--workers {text}; expected a number from 1 on, or auto")
    return text


def _run(options: list[str]) -> None:
    """Go on as pytest with these options: signals and the exit status are then those of the build itself."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", "pytest", "-q", "--no-header", *options])
