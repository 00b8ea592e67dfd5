"""Device and number format are as asked for, or an error; speed switches never change what is computed."""

import ctypes
import sys
import warnings
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from ws.errors import DeviceError
from ws.models import hardware
from ws.tests import pages

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


def test_a_missing_gpu_is_an_error_and_never_the_cpu(no_cuda: None) -> None:
    with pytest.raises(DeviceError, match=r"'cuda' asked for.*no CUDA GPU.*run without --gpu"):
        hardware.pick_device(gpu=True)


def test_a_present_gpu_is_picked_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [hardware.pick_device(gpu=gpu).type for gpu in (True, False)] == ["cuda", "cpu"]


def test_any_bf16_instruction_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    for instruction, counts in {"avx512_bf16": True, "amx_bf16": True, "bf16": True, "avx2": False}.items():
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda name=instruction: {name: True})
        assert hardware.cpu_has_bf16() == counts


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


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_tuned_malloc_keeps_freed_pages() -> None:
    assert hardware.tune_malloc()
    block = pages.allocate(MALLOC_BLOCK)
    pages.free(block)
    assert all(pages.held(block, MALLOC_BLOCK))


def test_elsewhere_malloc_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("loaded a C library"))
    assert not hardware.tune_malloc()


def rounding(least: int) -> Callable[[Tensor, Tensor], Tensor]:
    """A product that "bf16" rounds where the matrix has `least` columns, as a CPU with AMX does."""

    def product(x: Tensor, W: Tensor) -> Tensor:
        if torch.backends.mkldnn.matmul.fp32_precision == "bf16" and W.shape[1] >= least:
            return x.bfloat16().float() @ W.bfloat16().float()
        return (x.double() @ W.double()).float()

    return product


@pytest.mark.parametrize(
    ("rounds_from", "seconds", "found"),
    [
        pytest.param(10**6, {"ieee": 2.0, "bf16": 1.0}, "bf16", id="exact-and-faster"),
        pytest.param(10**6, {"ieee": 1.0, "bf16": 0.95}, "ieee", id="exact-but-no-faster"),
        pytest.param(1, {"ieee": 2.0, "bf16": 1.0}, "ieee", id="faster-but-rounded"),
        pytest.param(64, {"ieee": 2.0, "bf16": 1.0}, "ieee", id="rounded-where-it-is-large"),
    ],
)
def test_products_are_the_fastest_of_the_exact_ones(
    monkeypatch: pytest.MonkeyPatch, precision: None, rounds_from: int, seconds: dict[str, float], found: str
) -> None:
    settings = torch.backends.mkldnn.matmul
    monkeypatch.setattr(hardware, "product", rounding(rounds_from))
    monkeypatch.setattr(hardware, "_seconds", lambda x, W: seconds[settings.fp32_precision])
    monkeypatch.setattr(hardware, "TRIAL_SECONDS", 1e-4)
    assert hardware.fastest_fp32((16, 32, 32), (48, 96, 128)) == found
    assert settings.fp32_precision == "none"


def test_products_are_fp32_whatever_is_found(precision: None) -> None:
    shape = 64, 96, 128
    x, W = torch.randn(shape[:2]), torch.randn(shape[1:])
    with hardware.fp32_products(hardware.fastest_fp32(shape)):
        assert hardware.relative_error(x @ W, x, W) < hardware.FP32_ERROR


def test_the_error_bound_tells_fp32_from_bf16() -> None:
    x, W = torch.randn(64, 96), torch.randn(96, 128)
    rounded = x.bfloat16().float() @ W.bfloat16().float()
    assert hardware.relative_error(x @ W, x, W) < hardware.FP32_ERROR < hardware.relative_error(rounded, x, W) / 10
