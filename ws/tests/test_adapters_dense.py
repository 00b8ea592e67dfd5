"""OFT, BOFT and (IA)^3: the families whose update has full rank, by algebra and against PEFT."""

import os
import warnings
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from einops import rearrange
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ws.adapters import AdapterConfig, Params, boft, ia3, oft
from ws.adapters.base import linear
from ws.errors import DeviceError, MismatchError, ShapeError

pytestmark = pytest.mark.filterwarnings("error")

quick = settings(max_examples=12, deadline=None)
small_shapes = {"d_out": st.integers(1, 9), "groups": st.integers(1, 3), "seed": st.integers(0, 2**32 - 1)}


@dataclass(frozen=True)
class Case:
    """One way of using a family."""

    name: str
    family: Any
    config: AdapterConfig
    layer: str = "up"
    """The layer of `TwoLayers` that this case looks at; `down` is its feed-forward layer."""
    raw: tuple[str, ...] = ()
    """Where PEFT keeps the parameters, in the order of TRAINABLE."""

    @property
    def group(self) -> int:
        """The number of inputs that the adapter mixes; d_in is a multiple of it."""
        return self.config.block * 2 ** (self.config.butterfly - 1)

    def start(self, W: Tensor) -> Params:
        side = {"feedforward": True} if self.family is ia3 and self.layer == "down" else {}
        return self.family.init(W, config=self.config, generator=torch.Generator(), **side)

    def params(self, W: Tensor, *, size: float = 0.5) -> Params:
        return {name: value + size * torch.randn_like(value) for name, value in self.start(W).items()}


def butterfly(block: int, factors: int) -> AdapterConfig:
    return AdapterConfig("boft", block=block, butterfly=factors)


OFT = Case("oft", oft, AdapterConfig("oft", block=4), raw=("oft_R.default.weight",))
ODD = Case("oft, odd block", oft, AdapterConfig("oft", block=3), layer="down", raw=OFT.raw)
ONE = Case("boft, 1 factor", boft, butterfly(4, 1), raw=("boft_R.default", "boft_s.default"))
TWO = Case("boft, 2 factors", boft, butterfly(4, 2), raw=ONE.raw)
THREE = Case("boft, 3 factors", boft, butterfly(2, 3), layer="down", raw=ONE.raw)
OUTPUT = Case("ia3, output gate", ia3, AdapterConfig("ia3", block=1), raw=("ia3_l.default",))
INPUT = Case("ia3, input gate", ia3, OUTPUT.config, layer="down", raw=OUTPUT.raw)

ROTATIONS = [OFT, ODD, ONE, TWO, THREE]
CASES = [*ROTATIONS, OUTPUT, INPUT]


def each(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def weight(case: Case, *, d_out: int, groups: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    torch.manual_seed(seed)
    return torch.randn(d_out, groups * case.group, dtype=dtype)


def applied(x: Tensor, W: Tensor) -> Tensor:
    return linear(x, W)


def rotation(case: Case, *, groups: int, size: float = 0.5) -> Tensor:
    """R^T, as what the rotation makes of an identity weight."""
    identity = torch.eye(groups * case.group, dtype=torch.float64)
    parts = case.family.parts(identity, case.params(identity, size=size), config=case.config)
    return identity + parts["rotation"]


# Algebra


@each(CASES)
@given(**small_shapes)
@quick
def test_the_start_adds_exactly_nothing(case: Case, d_out: int, groups: int, seed: int) -> None:
    W = weight(case, d_out=d_out, groups=groups, seed=seed)
    x = torch.randn(2, 3, W.shape[1], dtype=W.dtype)
    start = case.start(W)
    assert torch.equal(case.family.delta(W, start, config=case.config), torch.zeros_like(W))
    assert torch.equal(case.family.forward(x, W, start, config=case.config), applied(x, W))


@each(CASES)
def test_any_other_point_adds_something(case: Case) -> None:
    W = weight(case, d_out=5, groups=2, seed=0)
    dW = case.family.delta(W, case.params(W), config=case.config)
    assert (dW.norm(dim=1) > 0.01).all()


@each(CASES)
@given(**small_shapes)
@quick
def test_forward_is_the_layer_with_delta_added(case: Case, d_out: int, groups: int, seed: int) -> None:
    W = weight(case, d_out=d_out, groups=groups, seed=seed)
    x, params = torch.randn(2, 3, W.shape[1], dtype=W.dtype), case.params(W)
    merged = W + case.family.delta(W, params, config=case.config)
    torch.testing.assert_close(case.family.forward(x, W, params, config=case.config), applied(x, merged))


@each(CASES)
@given(**small_shapes)
@quick
def test_parts_sum_to_delta(case: Case, d_out: int, groups: int, seed: int) -> None:
    W = weight(case, d_out=d_out, groups=groups, seed=seed)
    params = case.params(W)
    total = sum(case.family.parts(W, params, config=case.config).values())
    torch.testing.assert_close(total, case.family.delta(W, params, config=case.config))


@each(CASES)
def test_no_thin_factors(case: Case) -> None:
    W = weight(case, d_out=4, groups=2, seed=0)
    assert case.family.factors(W, case.params(W), config=case.config) is None


@each(CASES)
def test_trainable_names_every_parameter(case: Case) -> None:
    assert tuple(case.start(weight(case, d_out=4, groups=2, seed=0))) == case.family.TRAINABLE


@each(ROTATIONS)
@given(groups=st.integers(1, 3), seed=st.integers(0, 2**32 - 1))
@quick
def test_rotation_is_orthogonal(case: Case, groups: int, seed: int) -> None:
    torch.manual_seed(seed)
    R = rotation(case, groups=groups)
    torch.testing.assert_close(R @ R.T, torch.eye(len(R), dtype=R.dtype))


@each(ROTATIONS)
def test_rotation_mixes_all_inputs_of_a_group_and_no_others(case: Case) -> None:
    torch.manual_seed(0)
    within = torch.block_diag(*[torch.ones(case.group, case.group)] * 3) > 0
    assert torch.equal(rotation(case, groups=3).abs() > 1e-12, within)


def test_oft_is_the_cayley_map_of_each_block() -> None:
    W = weight(OFT, d_out=5, groups=2, seed=0)
    params = OFT.params(W)
    upper = torch.zeros(2, 4, 4, dtype=W.dtype)
    upper[:, *torch.triu_indices(4, 4, 1)] = params["Q"]
    Q, identity = torch.block_diag(*(upper - upper.mT)), torch.eye(8, dtype=W.dtype)
    R = (identity - Q) @ torch.linalg.inv(identity + Q)
    torch.testing.assert_close(oft.delta(W, params, config=OFT.config), W @ R.T - W)


def test_boft_with_one_factor_and_unit_scale_is_oft() -> None:
    W = weight(OFT, d_out=5, groups=3, seed=0)
    above = OFT.params(W)["Q"]
    generator = 2 * oft.skew(above, block=4).triu()
    twin = {"Q": rearrange(generator, "n i j -> 1 n i j"), "s": torch.ones(5, 1, dtype=W.dtype)}
    torch.testing.assert_close(boft.delta(W, twin, config=ONE.config), oft.delta(W, {"Q": above}, config=OFT.config))


@each(ROTATIONS)
def test_a_small_update_survives_single_precision(case: Case) -> None:
    W = weight(case, d_out=6, groups=3, seed=0, dtype=torch.float32)
    params = case.params(W, size=2.0**-12)
    wide = {name: value.double() for name, value in params.items()}
    dW, expected = (
        case.family.parts(weights, values, config=case.config)["rotation"].double()
        for weights, values in ((W, params), (W.double(), wide))
    )
    assert (dW - expected).norm() < 1e-6 * expected.norm()


@each(CASES)
def test_half_precision_weights_get_single_precision_parameters(case: Case) -> None:
    W = weight(case, d_out=6, groups=2, seed=0, dtype=torch.bfloat16)
    x, params = torch.randn(3, W.shape[1]).bfloat16(), case.params(W)
    y = case.family.forward(x, W, params, config=case.config)
    dW = case.family.delta(W, params, config=case.config)
    part_dtypes = {part.dtype for part in case.family.parts(W, params, config=case.config).values()}
    assert {value.dtype for value in params.values()} == {torch.float32}
    assert {y.dtype, dW.dtype, *part_dtypes} == {torch.bfloat16}


# Refusals


@pytest.mark.parametrize("family", [oft, boft], ids=["oft", "boft"])
def test_a_block_that_does_not_divide_d_in_is_refused(family: Any) -> None:
    config = AdapterConfig(family.NAME, block=5)
    with pytest.raises(ShapeError, match=r"side 5 do not divide d_in = 12; choose .* 1, 2, 3, 4, 6, 12"):
        family.init(torch.zeros(4, 12), config=config, generator=torch.Generator())


@pytest.mark.parametrize(("block", "factors"), [(4, 3), (3, 2), (4, 0)], ids=["too wide", "odd", "none"])
def test_a_butterfly_that_does_not_fit_is_refused(block: int, factors: int) -> None:
    with pytest.raises(ShapeError, match=f"{factors} butterfly factors do not fit .* choose butterfly=1"):
        boft.init(torch.zeros(4, 24), config=butterfly(block, factors), generator=torch.Generator())


@each(CASES)
def test_parameters_of_another_layer_are_refused(case: Case) -> None:
    params = case.params(weight(case, d_out=4, groups=2, seed=0))
    with pytest.raises(ShapeError, match="shape"):
        case.family.delta(weight(case, d_out=5, groups=3, seed=0), params, config=case.config)


# Against PEFT


class TwoLayers(nn.Module):
    def __init__(self, *, bias: bool = False) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(16, 24, bias=bias), nn.Linear(24, 16, bias=bias)


class BlockDiagonal:
    """What PEFT's CUDA extension computes, on any device."""

    def forward(self, blocks: Tensor) -> tuple[Tensor]:
        return (torch.stack([torch.block_diag(*factor) for factor in blocks]),)

    def backward(self, grad: Tensor, blocks: Tensor) -> tuple[Tensor]:
        split = rearrange(grad, "m (n i) (k j) -> m n k i j", n=blocks.shape[1], k=blocks.shape[1])
        return (rearrange(split.diagonal(dim1=1, dim2=2), "m i j n -> m n i j"),)


@pytest.fixture
def no_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which PEFT's CUDA extension does not load."""

    def load(*_: object, **__: object) -> None:
        raise RuntimeError("no compiler here")

    monkeypatch.setattr("torch.utils.cpp_extension.load", load)
    monkeypatch.setattr("peft.tuners.boft.layer._FBD_CUDA", None)


@pytest.fixture
def extension(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which PEFT's CUDA extension loads."""
    monkeypatch.setattr("peft.tuners.boft.layer._FBD_CUDA", BlockDiagonal())


@dataclass(frozen=True)
class Twin:
    """One layer in PEFT and here."""

    layer: Any
    W: Tensor
    raw: list[Tensor]
    x: Tensor


def injected(case: Case, *, bias: bool = False) -> Any:
    from peft import inject_adapter_in_model

    torch.manual_seed(0)
    config = case.family.peft_config(case.config, targets=case.layer, feedforward="down")
    with boft.building(case.config):
        model = inject_adapter_in_model(config, TwoLayers(bias=bias))
    return getattr(model, case.layer)


def twin_of(case: Case) -> Twin:
    layer = injected(case)
    W = layer.get_base_layer().weight.detach().clone()
    return Twin(layer, W, [layer.get_parameter(name) for name in case.raw], torch.randn(2, 5, W.shape[1]))


@pytest.fixture
def start(case: Case, extension: None) -> Twin:
    """The layer as PEFT starts it."""
    return twin_of(case)


@pytest.fixture
def trained(start: Twin) -> Twin:
    """The layer with the adapter moved away from its start."""
    torch.nn.utils.vector_to_parameters(
        torch.nn.utils.parameters_to_vector(start.raw)
        + 0.3 * torch.randn(sum(parameter.numel() for parameter in start.raw)),
        start.raw,
    )
    return start


@each(CASES)
def test_both_start_alike(case: Case, start: Twin) -> None:
    read = case.family.from_peft(start.layer, W=start.W, config=case.config)
    ours = case.start(start.W)
    assert list(read) == list(ours)
    assert all(torch.equal(read[name], ours[name]) for name in ours)


@each(CASES)
def test_delta_is_what_peft_merges(case: Case, trained: Twin) -> None:
    params = case.family.from_peft(trained.layer, W=trained.W, config=case.config)
    trained.layer.merge()
    merged = trained.layer.get_base_layer().weight.detach() - trained.W
    delta = case.family.delta(trained.W, params, config=case.config)
    torch.testing.assert_close(delta, merged, rtol=0, atol=1e-5)
    assert delta.norm() > 0.1 * trained.W.norm()


@each(CASES)
def test_forward_is_that_of_peft(case: Case, trained: Twin) -> None:
    params = case.family.from_peft(trained.layer, W=trained.W, config=case.config)
    y = case.family.forward(trained.x, trained.W, params, config=case.config)
    torch.testing.assert_close(y, trained.layer(trained.x).detach(), rtol=0, atol=1e-5)


@each(CASES)
def test_gradients_are_those_of_peft(case: Case, trained: Twin) -> None:
    params = case.family.from_peft(trained.layer, W=trained.W, config=case.config)
    ours = [params[name].requires_grad_() for name in case.family.TRAINABLE]
    y = case.family.forward(trained.x, trained.W, params, config=case.config)
    cotangent = torch.randn_like(y)
    torch.testing.assert_close(
        torch.autograd.grad(y, ours, cotangent),
        torch.autograd.grad(trained.layer(trained.x), trained.raw, cotangent),
        rtol=1e-4,
        atol=1e-5,
    )


@each(CASES)
def test_reading_copies(case: Case, trained: Twin) -> None:
    params = case.family.from_peft(trained.layer, W=trained.W, config=case.config)
    before = [value.clone() for value in params.values()]
    for parameter in trained.raw:
        nn.init.zeros_(parameter)
    assert all(torch.equal(value, old) for value, old in zip(params.values(), before, strict=True))
    assert not any(value.requires_grad for value in params.values())


def test_boft_without_the_extension_is_that_of_peft(no_extension: None) -> None:
    twin = twin_of(ONE)
    twin.raw[0].data.normal_()
    params = boft.from_peft(twin.layer, W=twin.W, config=ONE.config)
    y = boft.forward(twin.x, twin.W, params, config=ONE.config)
    torch.testing.assert_close(y, twin.layer(twin.x).detach(), rtol=0, atol=1e-5)


def test_more_factors_than_peft_can_run_are_refused(no_extension: None) -> None:
    with pytest.raises(DeviceError, match=r"butterfly=2.*use butterfly=1"):
        injected(TWO)


def test_a_layer_that_fell_back_to_one_factor_is_refused(no_extension: None) -> None:
    twin = twin_of(ONE)
    with pytest.raises(MismatchError, match=r"expected \(2, 4, 4, 4\).*boft\.building"):
        boft.from_peft(twin.layer, W=twin.W, config=TWO.config)


def test_building_puts_the_compilers_back(no_extension: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("CXX", "clang++")
    injected(ONE)
    assert (os.environ.get("CC"), os.environ["CXX"]) == (None, "clang++")


@pytest.mark.parametrize("factors", [1, 2])
def test_building_lets_other_warnings_through(factors: int) -> None:
    with pytest.raises(UserWarning, match="something else"), boft.building(butterfly(4, factors)):
        warnings.warn("something else", UserWarning, stacklevel=1)


@pytest.mark.parametrize("changed", [{"block_size": 8}, {"block_share": True}, {"use_cayley_neumann": True}])
def test_another_kind_of_oft_is_refused(changed: dict[str, Any]) -> None:
    settled = {"block_size": 4, "block_share": False, "use_cayley_neumann": False}
    layer = SimpleNamespace(oft_R={"default": SimpleNamespace(**settled | changed)})
    with pytest.raises(MismatchError, match=r"expected 4 blocks of side 4.*oft\.peft_config"):
        oft.from_peft(layer, W=torch.zeros(24, 16), config=OFT.config)


def test_ia3_with_a_bias_at_the_output_is_refused() -> None:
    layer = injected(OUTPUT, bias=True)
    with pytest.raises(MismatchError, match="scales the bias"):
        ia3.from_peft(layer, W=layer.get_base_layer().weight, config=OUTPUT.config)


def test_ia3_with_a_bias_at_the_input_is_read() -> None:
    layer = injected(INPUT, bias=True)
    assert ia3.from_peft(layer, W=layer.get_base_layer().weight, config=INPUT.config)["l"].shape == (1, 24)
