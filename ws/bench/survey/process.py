"""Each architecture in a process of its own, so that one that crashes or hangs is a finding like others."""

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing.connection import Connection

from ws.bench.survey.finding import Finding

PATIENCE_S = 60
"""Seconds to wait for one architecture; each takes under two seconds, the first of a process three more."""

SHARED = ("tyro", "transformers.models.auto.modeling_auto", "transformers.models.llama.modeling_llama")
"""Imported before processes are forked: the mapping of architectures, and one model, which imports most of the rest."""

Judge = Callable[[str], Finding]


def findings(architectures: Sequence[str], *, jobs: int, judge: Judge) -> Iterator[Finding]:
    """The finding of each architecture as soon as it is there; `jobs` architectures run at a time."""
    # A server that has imported everything forks a process in milliseconds.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([judge.__module__, *SHARED])
    with ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(isolated, name, judge) for name in architectures]
        for done in as_completed(waiting):
            yield done.result()


def isolated(architecture: str, judge: Judge, *, patience_s: float = PATIENCE_S) -> Finding:
    """The finding of one architecture, even if the process that examines it crashes or hangs."""
    context = multiprocessing.get_context("forkserver")
    ours, its = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(its, architecture, judge), daemon=True)
    process.start()
    its.close()
    try:
        if not ours.poll(patience_s):
            return Finding(architecture, "exception", note=f"no answer after {patience_s:g} s")
        return Finding(**json.loads(ours.recv_bytes()))
    except EOFError:
        process.join()
        return Finding(architecture, "exception", note=f"the process died with status {process.exitcode}")
    finally:
        process.kill()
        process.join()


def _send(to: Connection, architecture: str, judge: Judge) -> None:
    # What libraries print about tiny configurations is of no interest here.
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    try:
        found = judge(architecture)
    except Exception as broken:
        found = Finding(architecture, "exception", note=f"while judging: {broken!r}")
    to.send_bytes(json.dumps(asdict(found)).encode())
