"""What this machine can do, asked once: device, number formats, memory allocator, fast matrix products."""

import ctypes
import functools
import os
import platform
import sys
import time
import warnings
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ws.errors import DeviceError, UnknownNameError

DTYPES = ("float32", "bfloat16", "float64")

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Parameter numbers of glibc's mallopt (malloc.h)."""
TOP_PAD_BYTES = 256 << 20
"""More than one layer's activations at batch 16: a step grows the heap a handful of times and then never."""

FP32_ERROR = 1e-5
"""Relative error that tells fp32 (1e-7 to 1e-6) from bf16 products (about 2e-3) with room on both sides."""
TRIAL_SECONDS = 0.05
CLEARLY_FASTER = 0.9
"""Share of the plain time that counts as faster; timings of one kernel differ by several percent."""


def available_device(name: str) -> torch.device:
    """The named device, known to be present.

    Raises: DeviceError if it is a CUDA device and this process sees none; a CPU never stands in for it.
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
    """Keep freed tensors in the process instead of returning them to the kernel; whether that was possible.

    By default glibc maps each large tensor anew and unmaps it when freed, so every page of every temporary
    faults again: training spent seconds of system time per step on that. Possible on Linux with glibc;
    elsewhere nothing changes.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL("libc.so.6").mallopt
    options = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, TOP_PAD_BYTES))
    return all([mallopt(option, value) == 1 for option, value in options])


def fast_fp32_matmul() -> bool:
    """Turn on oneDNN's other fp32 matrix products if they are exact and faster here; whether they are now on.

    The switch is `torch.backends.mkldnn.matmul.fp32_precision = "bf16"`. On some AMD CPUs it selects a faster
    kernel that still computes in fp32; on CPUs with AMX it may truly round to bf16, and then it stays off.
    """
    settings = torch.backends.mkldnn.matmul
    before = settings.fp32_precision
    x, W = _trial_matrices()
    settings.fp32_precision = "bf16"
    exact = relative_error(x @ W, x, W) < FP32_ERROR
    keep = exact and (before == "bf16" or _worth_it(x, W, before=before))
    settings.fp32_precision = "bf16" if keep else before
    return keep


def relative_error(y: Float[Tensor, "rows cols"], x: Float[Tensor, "rows k"], W: Float[Tensor, "k cols"]) -> float:
    """|y - x W| / |x W| in Frobenius norm, the product taken in float64."""
    exact = x.double() @ W.double()
    return float(torch.linalg.norm(y.double() - exact) / torch.linalg.norm(exact))


def _trial_matrices() -> tuple[Float[Tensor, "rows k"], Float[Tensor, "k cols"]]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(512, 576, generator=generator), torch.randn(576, 576, generator=generator)


def _worth_it(x: Float[Tensor, "rows k"], W: Float[Tensor, "k cols"], *, before: str) -> bool:
    """Whether "bf16" wins a short trial by a clear margin; leaves either setting behind.

    The two take turns, so that a passing load on the machine slows both, and the best time of each counts.
    """
    best = {before: float("inf"), "bf16": float("inf")}
    end = time.perf_counter() + TRIAL_SECONDS
    while time.perf_counter() < end:
        for precision in best:
            torch.backends.mkldnn.matmul.fp32_precision = precision
            best[precision] = min(best[precision], _seconds(x, W))
    return best["bf16"] < CLEARLY_FASTER * best[before]


def _seconds(x: Float[Tensor, "rows k"], W: Float[Tensor, "k cols"]) -> float:
    start = time.perf_counter()
    x @ W
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
