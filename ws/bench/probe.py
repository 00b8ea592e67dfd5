"""What the machine does at this moment: its matrix-product speed, the time, the memory a process has needed."""

import math
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from ws.models.hardware import fastest_fp32, fp32_products
from ws.models.language import LanguageModel

SQUARE = 2048
TOKENS = 1024
"""Rows of the product at the model's own shape: a batch of about a thousand tokens."""
SECONDS, BRIEFLY = 0.4, 0.1
"""Seconds for which products are timed: before and after the work, and between two of its steps."""


@dataclass(frozen=True)
class Speed:
    """Matrix products in fp32, in GFLOP/s."""

    model: float
    """Speed of the product of a thousand tokens with the model's largest weight."""
    square: float


class Probe:
    """Measures how fast this machine multiplies fp32 matrices at the moment, in its fastest exact setting."""

    def __init__(self, lm: LanguageModel) -> None:
        weights = [linear.weight for linear in lm.linears(0, 1).values()]
        d_out, d_in = max((tuple(weight.shape) for weight in weights), key=math.prod)
        self.device, self._inner, self._columns = lm.device, d_in, d_out
        shapes = (TOKENS, d_in, d_out), (SQUARE, SQUARE, SQUARE)
        self._kind = fastest_fp32(*shapes) if lm.device.type == "cpu" else "ieee"

    def both(self) -> Speed:
        """The speed at the model's own shape and of a large square."""
        with fp32_products(self._kind):
            square = gflops(SQUARE, SQUARE, SQUARE, device=self.device, seconds=SECONDS)
        return Speed(self.model(seconds=SECONDS), square)

    def model(self, *, seconds: float) -> float:
        """The speed at the model's own shape, timed for a while."""
        with fp32_products(self._kind):
            return gflops(TOKENS, self._inner, self._columns, device=self.device, seconds=seconds)


def gflops(rows: int, inner: int, columns: int, *, device: torch.device, seconds: float) -> float:
    """The median speed of one matrix product, timed for a while."""
    left, right = torch.ones(rows, inner, device=device), torch.ones(inner, columns, device=device)
    out = torch.empty(rows, columns, device=device)
    torch.mm(left, right, out=out)
    times: list[float] = []
    while sum(times) < seconds:
        began = now(device)
        torch.mm(left, right, out=out)
        times.append(now(device) - began)
    return 2 * rows * inner * columns / median(times) / 1e9


def now(device: torch.device) -> float:
    """Seconds on a clock, read after the device has finished all its queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


@dataclass(frozen=True)
class Mark:
    """The end of a step, the machine's speed right after it in GFLOP/s, and when the next step could begin."""

    end: float
    speed: float
    resumed: float


@contextmanager
def step_marks(probe: Probe) -> Iterator[list[Mark]]:
    """A mark for each step of any torch optimizer, filled while inside."""
    marks: list[Mark] = []

    def stamp(optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        end = now(probe.device)
        marks.append(Mark(end, probe.model(seconds=BRIEFLY), now(probe.device)))

    handle = register_optimizer_step_post_hook(stamp)
    try:
        yield marks
    finally:
        handle.remove()


def spans(marks: Sequence[Mark], steps: Iterable[int]) -> list[tuple[float, float]]:
    """Seconds of each of these steps (the first step is not allowed), and the machine's speed around it."""
    pairs = [(marks[i - 1], marks[i]) for i in steps]
    return [(mark.end - before.resumed, (before.speed + mark.speed) / 2) for before, mark in pairs]


def peak_bytes(device: torch.device) -> int:
    """The most memory this process has held so far: on a GPU that of its tensors, else all resident memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # getrusage counts from the size of the parent process at the fork; the status file counts this process only.
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def exact_fp32(device: torch.device) -> None:
    """Make a GPU compute full fp32 products; some use TF32 by default."""
    if device.type == "cuda":
        torch.backends.cuda.matmul.fp32_precision = "ieee"
