"""What this machine can do, asked once: device, number formats, memory allocator, fast matrix products."""

import ctypes
import functools
import os
import platform
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ws.errors import DeviceError, UnknownNameError

DTYPES = ("float32", "bfloat16", "float64")

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Parameter numbers of glibc's mallopt (malloc.h)."""
TOP_PAD_BYTES = 256 << 20
"""More than one layer's activations at batch 16, so that a training step grows the heap a few times and then never."""

Shape = tuple[int, int, int]
"""Of a matrix product: rows of the left matrix, the axis that both share, columns of the right one."""
Kind = Literal["ieee", "bf16"]
"""A setting of `torch.backends.mkldnn.matmul.fp32_precision`: compute in fp32, or as oneDNN likes, down to bf16."""

FP32_ERROR = 1e-5
"""Relative error between that of fp32 products (1e-7 to 1e-6) and that of bf16 products (about 2e-3)."""
ROW_STEP = 16
"""Only every 16th row of a product is compared with float64; computing all rows would take longer than the trial."""
TRIAL_SECONDS = 0.05
CLEARLY_FASTER = 0.9
"""Share of the plain time that counts as faster; timings of one kernel differ by several percent."""


def available_device(name: str) -> torch.device:
    """The named device, checked to be present.

    Raises: DeviceError if it is a CUDA device and this process sees none; it is never replaced by a CPU.
    """
    found = torch.device(name)
    if found.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            f"device {name!r} asked for, but torch {torch.__version__} sees no CUDA GPU here; "
            "run without --gpu, or install a CUDA build of torch on a machine with an NVIDIA driver"
        )
    return found


def pick_device(gpu: bool) -> torch.device:
    """The CUDA device if a GPU is asked for, else the CPU.

    Raises: DeviceError if a GPU is asked for and there is none.
    """
    return available_device("cuda" if gpu else "cpu")


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware (AVX512-BF16, AMX-BF16 or Arm BF16)."""
    has = torch.cpu.get_capabilities()
    return any(has.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def compute_dtype(requested: str, device: torch.device | str) -> torch.dtype:
    """The dtype to compute in: as requested, but float32 for bfloat16 on a CPU that would only emulate it.

    The first such change in a process warns; emulated bfloat16 is slower than float32 and less exact.
    Raises: UnknownNameError for a dtype outside DTYPES.
    """
    if requested not in DTYPES:
        raise UnknownNameError("dtype", requested, DTYPES)
    if requested == "bfloat16" and torch.device(device).type == "cpu" and not cpu_has_bf16():
        _warn_of_float32()
        return torch.float32
    return getattr(torch, requested)


@functools.cache
def _warn_of_float32() -> None:
    warnings.warn(
        f"{cpu_name()} has no bfloat16 instructions; computing in float32 instead",
        RuntimeWarning,
        stacklevel=3,
    )


def tune_malloc() -> bool:
    """Make the process keep the memory of freed tensors instead of returning it to the kernel; True if that worked.

    By default glibc maps each large tensor anew and unmaps it when freed, so every page of every temporary tensor
    faults again: without this, training spends seconds of system time per step on page faults. It works on Linux
    with glibc; elsewhere nothing changes.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL("libc.so.6").mallopt
    options = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, TOP_PAD_BYTES))
    return all([mallopt(option, value) == 1 for option, value in options])


@contextmanager
def fp32_products(kind: Kind) -> Iterator[None]:
    """Inside, oneDNN multiplies fp32 matrices in this way; afterwards in the way that was set before."""
    settings = torch.backends.mkldnn.matmul
    before, settings.fp32_precision = settings.fp32_precision, kind
    try:
        yield
    finally:
        settings.fp32_precision = before


def fastest_fp32(*shapes: Shape) -> Kind:
    """The kind of products that is fastest for matrices of these shapes among those that are exact to fp32.

    On some AMD CPUs "bf16" selects a faster kernel that still computes in fp32; on CPUs with AMX it rounds to bf16.
    oneDNN chooses its kernel by the shape, so every shape is tried, and "bf16" is refused if a single one rounds.
    """
    trials = [_trial_matrices(shape) for shape in shapes]
    with fp32_products("bf16"):
        exact = all(relative_error(product(x, W)[::ROW_STEP], x[::ROW_STEP], W) < FP32_ERROR for x, W in trials)
    return "bf16" if exact and all(_worth_it(x, W) for x, W in trials) else "ieee"


def product(x: Float[Tensor, "rows k"], W: Float[Tensor, "k cols"]) -> Float[Tensor, "rows cols"]:
    """x W, in the way that `fp32_products` has set."""
    return x @ W


def relative_error(y: Float[Tensor, "rows cols"], x: Float[Tensor, "rows k"], W: Float[Tensor, "k cols"]) -> float:
    """|y - x W| / |x W| in Frobenius norm, the product taken in float64."""
    exact = x.double() @ W.double()
    return float(torch.linalg.norm(y.double() - exact) / torch.linalg.norm(exact))


def _trial_matrices(shape: Shape) -> tuple[Float[Tensor, "rows k"], Float[Tensor, "k cols"]]:
    rows, k, cols = shape
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rows, k, generator=generator), torch.randn(k, cols, generator=generator)


def _worth_it(x: Float[Tensor, "rows k"], W: Float[Tensor, "k cols"]) -> bool:
    """Whether "bf16" wins a short trial by a clear margin.

    "ieee" and "bf16" take turns, so that other work on the machine slows both, and the best time of each counts.
    """
    best: dict[Kind, float] = {"ieee": float("inf"), "bf16": float("inf")}
    end = time.perf_counter() + TRIAL_SECONDS
    while time.perf_counter() < end:
        for kind in best:
            with fp32_products(kind):
                best[kind] = min(best[kind], _seconds(x, W))
    return best["bf16"] < CLEARLY_FASTER * best["ieee"]


def _seconds(x: Float[Tensor, "rows k"], W: Float[Tensor, "k cols"]) -> float:
    start = time.perf_counter()
    product(x, W)
    return time.perf_counter() - start


def cpu_name() -> str:
    """The CPU's model name as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(named), platform.processor() or platform.machine())


def facts() -> dict[str, str | int | bool | None]:
    """The machine behind a number, for the record kept beside it."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cpu_bf16": cpu_has_bf16(),
        "torch": torch.__version__,
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
