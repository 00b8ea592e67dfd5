"""Device and number format are as asked for, or an error; speed switches never change what is computed."""

import ctypes
import resource
import sys
import warnings
from collections.abc import Iterator

import pytest
import torch

from ws import hardware
from ws.errors import DeviceError, UnknownNameError

MALLOC_BLOCK = 64 << 20


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def cpu_bf16(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> bool:
    """Whether the CPU claims bfloat16 instructions, and no warning given yet."""
    capabilities = {"avx2": True, "avx512_bf16": request.param}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    hardware._warn_of_float32.cache_clear()
    return request.param


@pytest.fixture
def precision() -> Iterator[None]:
    """torch's own choice of products during a test, and what was set earlier after it."""
    settings = torch.backends.mkldnn.matmul
    before, settings.fp32_precision = settings.fp32_precision, "none"
    yield
    settings.fp32_precision = before


def test_without_a_gpu_the_cpu_is_picked(no_cuda: None) -> None:
    assert hardware.pick_device(gpu=False) == torch.device("cpu")


def test_a_missing_gpu_is_an_error_and_never_the_cpu(no_cuda: None) -> None:
    with pytest.raises(DeviceError, match=r"'cuda' asked for.*no CUDA GPU.*run without --gpu"):
        hardware.pick_device(gpu=True)


def test_a_present_gpu_is_picked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert hardware.pick_device(gpu=True).type == "cuda"


@pytest.mark.parametrize("instruction", ["avx512_bf16", "amx_bf16", "bf16"])
def test_any_bf16_instruction_counts(monkeypatch: pytest.MonkeyPatch, instruction: str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, instruction: True})
    assert hardware.cpu_has_bf16()


@pytest.mark.parametrize(
    ("cpu_bf16", "requested", "device", "computed"),
    [
        (False, "float32", "cpu", torch.float32),
        (False, "float64", "cpu", torch.float64),
        (False, "bfloat16", "cuda", torch.bfloat16),
        (True, "bfloat16", "cpu", torch.bfloat16),
    ],
    indirect=["cpu_bf16"],
)
def test_a_dtype_the_device_has_is_kept(cpu_bf16: bool, requested: str, device: str, computed: torch.dtype) -> None:
    assert hardware.compute_dtype(requested, device) == computed


@pytest.mark.parametrize("cpu_bf16", [False], indirect=True)
def test_emulated_bf16_becomes_float32_with_one_warning(cpu_bf16: bool) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        computed = [hardware.compute_dtype("bfloat16", "cpu") for _ in range(3)]
    assert computed == [torch.float32] * 3
    assert [str(warning.message).partition(" has ")[2] for warning in caught] == [
        "no bfloat16 instructions; computing in float32 instead"
    ]


def test_an_unknown_dtype_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown dtype 'float8'; known: bfloat16, float32, float64"):
        hardware.compute_dtype("float8", "cpu")


def faults_of_reallocating(times: int) -> int:
    """Page faults of filling and freeing a large block again and again."""
    libc = ctypes.CDLL("libc.so.6")
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.memset.argtypes, libc.free.argtypes = (
        [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t],
        [ctypes.c_void_p],
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        block = libc.malloc(MALLOC_BLOCK)
        libc.memset(block, 1, MALLOC_BLOCK)
        libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_tuned_malloc_reuses_freed_pages() -> None:
    assert hardware.tune_malloc()
    faults_of_reallocating(1)
    assert faults_of_reallocating(3) < MALLOC_BLOCK // 4096 // 100


def test_elsewhere_malloc_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("loaded a C library"))
    assert not hardware.tune_malloc()


def test_another_libc_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.libc_ver", lambda: ("musl", "1.2"))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("loaded a C library"))
    assert not hardware.tune_malloc()


@pytest.mark.parametrize(
    ("error", "seconds", "turned_on"),
    [
        pytest.param(3e-7, {"none": 2.0, "bf16": 1.0}, True, id="exact-and-faster"),
        pytest.param(3e-7, {"none": 1.0, "bf16": 0.95}, False, id="exact-but-no-faster"),
        pytest.param(2e-3, {"none": 2.0, "bf16": 1.0}, False, id="faster-but-rounded"),
    ],
)
def test_fast_matmul_turns_on_iff_exact_and_clearly_faster(
    monkeypatch: pytest.MonkeyPatch, precision: None, error: float, seconds: dict[str, float], turned_on: bool
) -> None:
    settings = torch.backends.mkldnn.matmul
    monkeypatch.setattr(hardware, "relative_error", lambda y, x, W: error)
    monkeypatch.setattr(hardware, "_seconds", lambda x, W: seconds[settings.fp32_precision])
    assert hardware.fast_fp32_matmul() == turned_on
    assert settings.fp32_precision == ("bf16" if turned_on else "none")


def test_products_are_fp32_whatever_the_trial_decides(precision: None) -> None:
    hardware.fast_fp32_matmul()
    x, W = torch.randn(64, 96), torch.randn(96, 128)
    assert hardware.relative_error(x @ W, x, W) < hardware.FP32_ERROR


def test_the_error_bound_tells_fp32_from_bf16() -> None:
    x, W = torch.randn(64, 96), torch.randn(96, 128)
    rounded = x.bfloat16().float() @ W.bfloat16().float()
    assert hardware.relative_error(x @ W, x, W) < hardware.FP32_ERROR < hardware.relative_error(rounded, x, W) / 10


def test_facts_name_the_machine(no_cuda: None) -> None:
    facts = hardware.facts()
    assert facts["cpu"]
    assert facts["torch"] == torch.__version__
    assert facts["cuda"] is None
