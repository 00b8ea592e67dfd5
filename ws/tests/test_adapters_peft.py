"""Our layers agree with PEFT's in start, forward, gradients and update; parameters go into PEFT's layers and back."""

import os
import warnings
from dataclasses import dataclass, replace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from einops import rearrange
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ws.adapters import FAMILIES, AdapterConfig, Params, boft, family, lora
from ws.adapters.peft.layers import SIDES, peft_side, shape_of, to_peft
from ws.errors import DeviceError, MismatchError, ShapeError

every_family = pytest.mark.parametrize("name", FAMILIES)


@dataclass(frozen=True)
class Layer:
    """One layer with an adapter that is away from its start; d_in is a multiple of `block`."""

    config: AdapterConfig
    W: Tensor
    x: Tensor
    params: Params
    feedforward: bool

    @property
    def module(self) -> ModuleType:
        return FAMILIES[self.config.family]

    @property
    def merged(self) -> Tensor:
        return self.W + self.module.delta(self.W, self.params, config=self.config)


def layer(name: str, *, d_out: int, groups: int, block: int, rank: int, seed: int, feedforward: bool = False) -> Layer:
    generator = torch.Generator().manual_seed(seed)
    d_in = groups * block
    rank = min(rank, d_out, d_in)
    config = AdapterConfig(name, rank=rank, alpha=1.5 * rank, bound=0.7, block=block)
    W = torch.randn(d_out, d_in, generator=generator) / d_in**0.5
    x = torch.randn(2, 3, d_in, generator=generator)
    start = family(name).init(W, config=config, generator=generator, feedforward=feedforward)
    params = {
        symbol: value + 0.3 * torch.randn(value.shape, generator=generator) * (symbol in family(name).TRAINABLE)
        for symbol, value in start.items()
    }
    return Layer(config, W, x, params, feedforward)


def shapes() -> st.SearchStrategy[dict[str, int | bool]]:
    sizes = {"d_out": (2, 24), "groups": (1, 6), "block": (2, 5), "rank": (1, 8), "seed": (0, 2**31)}
    return st.fixed_dictionaries(
        {key: st.integers(*span) for key, span in sizes.items()} | {"feedforward": st.booleans()}
    )


def peft_layer(made: Layer, *, bias: bool = False, **changes: int | float) -> nn.Module:
    """PEFT's layer around the same weight, at its start."""
    from peft import inject_adapter_in_model

    d_out, d_in = made.W.shape
    linear = nn.Linear(d_in, d_out, bias=bias)
    linear.weight = nn.Parameter(made.W.clone())
    config = replace(made.config, **changes)
    settings = SIDES[config.family].peft_config(config, targets="here", feedforward="here" if made.feedforward else "")
    with torch.random.fork_rng(), SIDES[config.family].building(config):
        return inject_adapter_in_model(settings, nn.ModuleDict({"here": linear}))["here"]


def filled(made: Layer, *, bias: bool = False) -> nn.Module:
    """PEFT's layer with the same parameters."""
    peft = peft_layer(made, bias=bias)
    to_peft(peft, made.params, config=made.config)
    return peft


def close(seen: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(seen, expected, rtol=0, atol=1e-5)


@every_family
@given(shape=shapes())
@settings(max_examples=20, deadline=None)
def test_forward_update_and_merged_weight_are_pefts(name: str, shape: dict[str, int]) -> None:
    made = layer(name, **shape)
    peft = filled(made)
    close(made.module.forward(made.x, made.W, made.params, config=made.config), peft(made.x).detach())
    peft.merge()
    merged = peft.get_base_layer().weight.detach()
    close(made.merged, merged)
    close(made.module.delta(made.W, made.params, config=made.config), merged - made.W)


@every_family
@given(shape=shapes())
@settings(max_examples=20, deadline=None)
def test_parameters_come_back_from_peft_equal(name: str, shape: dict[str, int]) -> None:
    made = layer(name, **shape)
    back = SIDES[made.config.family].from_peft(filled(made), W=made.W, config=made.config)
    assert back.keys() == made.params.keys()
    assert all(torch.equal(back[symbol], value) for symbol, value in made.params.items())


def small(name: str, *, feedforward: bool = False) -> Layer:
    return layer(name, d_out=6, groups=2, block=4, rank=2, seed=0, feedforward=feedforward)


def read(peft: nn.Module, made: Layer) -> Params:
    return SIDES[made.config.family].from_peft(peft, W=made.W, config=made.config)


@every_family
@pytest.mark.parametrize("feedforward", [False, True])
def test_both_start_alike(name: str, feedforward: bool) -> None:
    made = small(name, feedforward=feedforward)
    theirs = read(peft_layer(made), made)
    ours = made.module.init(made.W, config=made.config, generator=torch.Generator(), feedforward=feedforward)
    assert {symbol: value.shape for symbol, value in theirs.items()} == {n: value.shape for n, value in ours.items()}
    drawn = {"A"} if name in ("lora", "dora", "delora") else set()
    for symbol in theirs.keys() - drawn:
        close(theirs[symbol], ours[symbol])


@pytest.mark.parametrize("name", ["lora", "dora", "delora"])
def test_A_starts_in_pefts_range(name: str) -> None:
    made = layer(name, d_out=200, groups=20, block=5, rank=100, seed=0)
    ours = made.module.init(made.W, config=made.config, generator=torch.Generator().manual_seed(0))["A"]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = read(peft_layer(made), made)["A"]
    assert ours.abs().max().item() == pytest.approx(theirs.abs().max().item(), rel=1e-2)
    assert ours.std().item() == pytest.approx(theirs.std().item(), rel=0.05)


@every_family
@pytest.mark.parametrize("feedforward", [False, True])
def test_gradients_are_pefts_and_reach_what_trains(name: str, feedforward: bool) -> None:
    made = small(name, feedforward=feedforward)
    peft, symbols = filled(made), made.module.TRAINABLE
    ours = {symbol: value.clone().requires_grad_(symbol in symbols) for symbol, value in made.params.items()}
    y = made.module.forward(made.x, made.W, ours, config=made.config)
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(4))
    (y * weights).sum().backward()
    (peft(made.x) * weights).sum().backward()
    theirs = SIDES[name].tensors(peft)
    assert {symbol for symbol, value in theirs.items() if value.requires_grad} == set(symbols)
    for symbol in symbols:
        torch.testing.assert_close(ours[symbol].grad, theirs[symbol].grad, rtol=1e-4, atol=1e-4)


@every_family
def test_a_bias_stays_beside_the_adapter_or_the_layer_is_refused(name: str) -> None:
    made = small(name)
    if name == "ia3":
        with pytest.raises(MismatchError, match="scales the bias"):
            read(peft_layer(made, bias=True), made)
        made = small(name, feedforward=True)
    peft = filled(made, bias=True)
    ours = made.module.forward(made.x, made.W, read(peft, made), config=made.config)
    close(ours, (peft(made.x) - peft.get_base_layer().bias).detach())


@pytest.mark.parametrize("name", ["lora", "dora", "pissa", "delora"])
def test_a_half_precision_layer_is_read_in_float32(name: str) -> None:
    made = small(name)
    made = replace(made, W=made.W.bfloat16())
    theirs = read(peft_layer(made), made)
    assert {value.dtype for value in theirs.values()} == {torch.float32}
    # DoRA's lengths were rounded as the layer is.
    slack = 2.0**-8 if name == "dora" else 1e-6
    assert made.module.delta(made.W.float(), theirs, config=made.config).abs().max() < slack


@every_family
def test_what_is_read_is_a_copy_outside_the_graph(name: str) -> None:
    made = small(name)
    peft = filled(made)
    theirs = read(peft, made)
    for parameter in peft.parameters():
        nn.init.zeros_(parameter)
    assert not any(value.requires_grad for value in theirs.values())
    assert all(torch.equal(theirs[symbol], value) for symbol, value in made.params.items())


@pytest.mark.parametrize("name", ["lora", "dora", "pissa", "delora"])
def test_a_layer_of_another_weight_or_configuration_is_refused(name: str) -> None:
    made = small(name)
    peft = peft_layer(made)
    config = made.config
    wrong = [
        (replace(made, W=made.W + 0.1), MismatchError, "pass the original weight of this very layer"),
        (replace(made, W=made.W[:, :7]), MismatchError, r"shape \(6, 8\), expected \(6, 7\)"),
        # Twice the alpha at twice the rank: the same scale.
        (replace(made, config=replace(config, rank=4, alpha=6.0)), MismatchError, "injected with|check the family"),
        (replace(made, config=replace(config, rank=9)), ShapeError, "rank 9 does not fit"),
    ]
    if name != "delora":
        other = replace(made, config=replace(config, alpha=6.0))
        wrong.append((other, MismatchError, r"'scale': 1\.5.*'scale': 3\.0"))
    for of, error, message in wrong:
        with pytest.raises(error, match=message):
            read(peft, of)
    merged = filled(made)
    merged.merge()
    with pytest.raises(MismatchError, match="unmerge the adapter"):
        read(merged, made)


@pytest.mark.parametrize(
    ("made", "as_family"),
    [("dora", "lora"), ("lora", "dora"), ("pissa", "lora"), ("pissa", "dora"), ("lora", "pissa"), ("dora", "pissa")],
)
def test_a_layer_of_another_family_is_refused(made: str, as_family: str) -> None:
    with pytest.raises(MismatchError, match="family"):
        read(filled(small(made)), small(as_family))


@pytest.mark.parametrize("changed", [{"block_size": 8}, {"block_share": True}, {"use_cayley_neumann": True}])
def test_another_kind_of_oft_is_refused(changed: dict[str, Any]) -> None:
    settled = {"block_size": 4, "block_share": False, "use_cayley_neumann": False}
    peft = SimpleNamespace(oft_R={"default": SimpleNamespace(**settled | changed)})
    with pytest.raises(MismatchError, match=r"expected 4 blocks of side 4.*oft\.peft_config"):
        SIDES["oft"].from_peft(peft, W=torch.zeros(24, 16), config=AdapterConfig("oft", block=4))


# BOFT, with and without PEFT's CUDA extension


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


def several(block: int, factors: int) -> Layer:
    """A BOFT of several factors away from its start."""
    made = layer("boft", d_out=6, groups=2 ** (factors - 1) * 2, block=block, rank=1, seed=0)
    config = replace(made.config, butterfly=factors)
    start = boft.init(made.W, config=config, generator=torch.Generator())
    generator = torch.Generator().manual_seed(1)
    params = {n: value + 0.3 * torch.randn(value.shape, generator=generator) for n, value in start.items()}
    return replace(made, config=config, params=params)


@pytest.mark.parametrize("made", [several(4, 2), several(2, 3)], ids=["2 factors", "3 factors"])
def test_several_factors_are_those_of_the_extension(made: Layer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peft.tuners.boft.layer._FBD_CUDA", BlockDiagonal())
    peft = filled(made)
    close(boft.forward(made.x, made.W, read(peft, made), config=made.config), peft(made.x).detach())
    peft.merge()
    close(made.merged, peft.get_base_layer().weight.detach())


def test_more_factors_than_peft_can_run_are_refused(no_extension: None) -> None:
    made = several(4, 2)
    with pytest.raises(DeviceError, match=r"butterfly=2.*use butterfly=1"):
        peft_layer(made)
    fallen_back = peft_layer(replace(made, config=replace(made.config, butterfly=1)))
    with pytest.raises(MismatchError, match=r"expected \(2, 4, 4, 4\).*inside building"):
        read(fallen_back, made)


def test_building_puts_the_compilers_back_and_lets_other_warnings_through(
    no_extension: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("CXX", "clang++")
    peft_layer(small("boft"))
    assert (os.environ.get("CC"), os.environ["CXX"]) == (None, "clang++")
    for factors in (1, 2):
        config = AdapterConfig("boft", block=4, butterfly=factors)
        with pytest.raises(UserWarning, match="something else"), SIDES["boft"].building(config):
            warnings.warn("something else", UserWarning, stacklevel=1)


@every_family
def test_parameters_are_copied_into_peft_in_place(name: str) -> None:
    made = small(name)
    peft = peft_layer(made)
    before = {path: value.data_ptr() for path, value in peft.state_dict().items()}
    to_peft(peft, made.params, config=made.config)
    assert {path: value.data_ptr() for path, value in peft.state_dict().items()} == before
    with torch.no_grad():
        for value in peft.parameters():
            value.zero_()
    assert all(value.abs().max() > 0 for value in made.params.values())


@every_family
def test_a_parameter_that_would_be_broadcast_is_refused(name: str) -> None:
    made = small(name)
    symbol = next(symbol for symbol in made.module.TRAINABLE if len(made.params[symbol]) > 1)
    narrow = {**made.params, symbol: made.params[symbol][:1]}
    with pytest.raises(ShapeError, match="does not fit the PEFT layer's"):
        to_peft(peft_layer(made), narrow, config=made.config)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("lora", {"alpha": 9.0}, "'scale': 4.5.*'scale': 1.5"),
        ("pissa", {"alpha": 9.0}, "'scale': 4.5.*'scale': 1.5"),
        ("dora", {"rank": 3, "alpha": 4.5}, "'rank': 3.*'rank': 2"),
        ("delora", {"rank": 3}, "rank 3, expected 2"),
        ("oft", {"block": 2}, "blocks of side 2"),
        ("boft", {"block": 2}, r"shape \(1, 4, 2, 2\)"),
    ],
)
def test_a_layer_of_another_configuration_is_not_filled(
    name: str, changes: dict[str, int | float], message: str
) -> None:
    made = small(name)
    with pytest.raises(MismatchError, match=message):
        to_peft(peft_layer(made, **changes), made.params, config=made.config)


@every_family
def test_settings_of_each_family_are_its_alone(name: str) -> None:
    config = replace(small(name).config, alpha=3.0)
    written = SIDES[name].peft_config(config, targets="here", feedforward="").to_dict()
    used = {"lora": ("rank", "alpha"), "delora": ("rank", "bound"), "oft": ("block",), "boft": ("block", "butterfly")}
    kept = used["lora"] if name in ("dora", "pissa") else used.get(name, ())
    assert shape_of(written) == AdapterConfig(name, **{field: getattr(config, field) for field in kept})
    assert [other for other, side in SIDES.items() if side.describes(written)] == [name]


def test_a_family_without_a_counterpart_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, "novel", lora)
    with pytest.raises(MismatchError, match=r"'novel' has no PEFT counterpart.*engine 'native'"):
        peft_side("novel")
