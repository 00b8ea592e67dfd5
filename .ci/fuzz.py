"""Tries every reader of files that somebody else wrote with files that are none, or nearly right, for minutes.

A reader may read a file or refuse it by an error of ours (ws/errors.py). It may do nothing else: no other exception, no
waiting, no more memory than is bounded. `ws/tests/test_hostile.py` tries a few hundred files in seconds; here the code
that a file reaches leads to the next file (atheris, which needs Linux and a Python that it has a wheel for).

    python .ci/fuzz.py [READER ...] [--minutes 5] [--out .fuzz]

Each reader has a process of its own, forked when all is imported, since atheris ends the process when its time is over.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import random
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ws.tests.hostile_readers import Target

LONGEST = 1 << 16
"""Bytes of the largest file that is tried."""

CPU_SECONDS = 5.0
"""What a file may take of the processor: code that tells where it was takes several times as long as without."""

WAIT_SECONDS = 60
"""What it may take in all, on a busy machine."""

MEGABYTES = 500
"""What a file may take besides what the process has before the first one."""

SPARE_SECONDS = 180
"""What a process may take besides its share, before it is ended."""

TOLD_EVERY = 200
"""Files between two reports to the outer process, which reads the last one."""


@dataclass
class Tried:
    """What was tried with a reader, and what was neither read nor refused by an error of ours."""

    files: int = 0
    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    """Seconds of the processor."""
    faults: dict[str, str] = field(default_factory=dict)
    """By the file that holds the input, what happened."""
    seen: set[str] = field(default_factory=set)
    """The places in the code that faults came from; each is told once."""

    def fault(self, read: Callable[[], object]) -> str | None:
        """What a reader did that it may not; None if it read the file or refused it."""
        from ws.errors import WsError

        self.files += 1
        started = time.process_time()
        try:
            read()
            self.read += 1
        except WsError as error:
            self.refused += 1
            if len(str(error)) > 20_000:
                return f"a message of {len(str(error)):,} letters: {str(error)[:200]}"
        except Exception:
            return traceback.format_exc()
        took = time.process_time() - started
        self.slowest = max(self.slowest, took)
        return f"it took {took:.1f} s of the processor" if took > CPU_SECONDS else None

    def is_new(self, fault: str) -> bool:
        """Whether no fault was told yet that came from the same line."""
        lines = [line.strip() for line in fault.splitlines() if line.strip().startswith("File ")]
        place = lines[-1] if lines else fault[:20]
        new = place not in self.seen
        self.seen.add(place)
        return new

    def dumped(self) -> str:
        return json.dumps({name: value for name, value in asdict(self).items() if name != "seen"})


def main(asked: Sequence[str] | None = None) -> int:
    """Try the readers that are named, or all; returns 1 if a file was neither read nor refused."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("readers", nargs="*", help="readers to try (default: all)")
    options.add_argument("--minutes", type=float, default=5.0, help="time for all of them together (default: 5)")
    options.add_argument("--out", type=Path, default=Path(".fuzz"), help="folder for what is found (default: .fuzz)")
    said = options.parse_args(asked)
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed; expected it beside this package: pip install atheris")
        return 2
    targets = imported()
    if unknown := set(said.readers) - targets.keys():
        print(f"unknown readers {sorted(unknown)}; known: {', '.join(targets)}")
        return 2
    out = said.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    names = said.readers or list(targets)
    seconds = max(1, round(60 * said.minutes / len(names)))
    print(f"{'reader':18} {'files':>8} {'read':>7} {'refused':>8} {'reached':>8} {'slowest':>8}  found", flush=True)
    return int(sum(tried(name, targets[name], seconds, out) for name in names) > 0)


def imported() -> Mapping[str, "Target"]:
    """All readers, with everything imported that they reach, and told which of its code they reach."""
    import atheris

    with atheris.instrument_imports(include=["ws"]), silenced():
        from ws.tests.hostile_readers import TARGETS

        for target in TARGETS.values():
            with TemporaryDirectory() as folder:
                target.read(target.put(Path(folder), target.seeds()[0]))
    return TARGETS


def tried(name: str, target: "Target", seconds: int, out: Path) -> int:
    """Try one reader in a process of its own, and print a line of it; returns how many faults it has."""
    report, log = out / f"{name}.json", out / f"{name}.log"
    report.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        try_one(name, target, seconds, out)
    status, ends = None, time.monotonic() + seconds + SPARE_SECONDS
    while status is None and time.monotonic() < ends:
        done, code = os.waitpid(child, os.WNOHANG)
        status = os.waitstatus_to_exitcode(code) if done else time.sleep(0.2)
    if status is None:
        os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    found: Mapping[str, Any] = json.loads(report.read_text(encoding="utf-8")) if report.exists() else asdict(Tried())
    faults, said = dict(found["faults"]), log.read_text(encoding="utf-8", errors="replace")
    if status:
        faults["its process"] = f"ended with {status}: {said[-1500:]}"
    reached = (re.findall(r" cov: (\d+) ", said) or ["?"])[-1]
    print(
        f"{name:18} {found['files']:8} {found['read']:7} {found['refused']:8} {reached:>8} {found['slowest']:7.2f}s  "
        f"{len(faults) or 'nothing'}",
        flush=True,
    )
    for place, fault in faults.items():
        print("\n      ".join([f"    {place}:", *fault.strip().splitlines()[-8:]]), flush=True)
    return len(faults)


def try_one(name: str, target: "Target", seconds: int, out: Path) -> None:
    """Try a reader in this process, which ends with it; faults and the inputs behind them are written to `out`."""
    import atheris

    from ws.store.memory import resident_bytes
    from ws.tests.hostile_mutations import mutated

    log = os.open(out / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for number in (1, 2):
        os.dup2(log, number)
    found, report = Tried(), out / f"{name}.json"

    def one(content: bytes) -> None:
        with TemporaryDirectory() as folder:
            fault = found.fault(lambda: target.read(target.put(Path(folder), content)))
        if fault is not None and found.is_new(fault):
            place = out / f"{name}-{hashlib.sha256(content).hexdigest()[:12]}"
            place.write_bytes(content)
            found.faults[place.name] = fault
        if fault is not None or found.files % TOLD_EVERY == 1:
            report.write_text(found.dumped(), encoding="utf-8")

    def mutator(content: bytes, most: int, number: int) -> bytes:
        chance = random.Random(number)
        return (mutated(content, chance) if chance.random() < 0.5 else bytes(atheris.Mutate(content, most)))[:most]

    corpus = out / f"{name}.corpus"
    corpus.mkdir(exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    memory = (resident_bytes() >> 20) + MEGABYTES
    limits = [f"-timeout={WAIT_SECONDS}", f"-rss_limit_mb={memory}", f"-max_len={LONGEST}"]
    options = [f"-max_total_time={seconds}", *limits, f"-artifact_prefix={out}/{name}-ended-", str(corpus)]
    with silenced():
        atheris.Setup([sys.argv[0], *options], one, custom_mutator=mutator)
        atheris.Fuzz()


@contextmanager
def silenced() -> Iterator[None]:
    """Nothing that readers say is shown; atheris writes without Python."""
    said = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        sys.stdout = sys.stderr = nowhere
        try:
            yield
        finally:
            sys.stdout, sys.stderr = said


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    sys.exit(main())
