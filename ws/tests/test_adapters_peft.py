"""Layers of any shape agree with PEFT's in forward, update and merged weight, and parameters go into them and back."""

from dataclasses import dataclass, replace
from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ws.adapters import FAMILIES, AdapterConfig, Params, boft, family, lora
from ws.adapters.peft.layers import SIDES, peft_family, shape_of, to_peft
from ws.errors import MismatchError, ShapeError, UnknownNameError

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


def peft_layer(made: Layer, **changes: int | float) -> nn.Module:
    """PEFT's layer around the same weight, at its start."""
    from peft import inject_adapter_in_model

    d_out, d_in = made.W.shape
    linear = nn.Linear(d_in, d_out, bias=False)
    linear.weight = nn.Parameter(made.W.clone())
    config = replace(made.config, **changes)
    settings = made.module.peft_config(config, targets="here", feedforward="here" if made.feedforward else "")
    with torch.random.fork_rng(), boft.building(config):
        return inject_adapter_in_model(settings, nn.ModuleDict({"here": linear}))["here"]


def filled(made: Layer) -> nn.Module:
    """PEFT's layer with the same parameters."""
    peft = peft_layer(made)
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
    back = made.module.from_peft(filled(made), W=made.W, config=made.config)
    assert back.keys() == made.params.keys()
    assert all(torch.equal(back[symbol], value) for symbol, value in made.params.items())


def small(name: str) -> Layer:
    return layer(name, d_out=6, groups=2, block=4, rank=2, seed=0)


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


def test_a_dora_layer_is_not_filled_with_a_pissa() -> None:
    dora, pissa = small("dora"), small("pissa")
    with pytest.raises(MismatchError, match=r"'dora': True.*'dora': False"):
        to_peft(peft_layer(dora), pissa.params, config=pissa.config)


@every_family
def test_settings_of_each_family_are_its_alone(name: str) -> None:
    config = replace(small(name).config, alpha=3.0)
    written = family(name).peft_config(config, targets="here", feedforward="").to_dict()
    used = {"lora": ("rank", "alpha"), "delora": ("rank", "bound"), "oft": ("block",), "boft": ("block", "butterfly")}
    kept = used["lora"] if name in ("dora", "pissa") else used.get(name, ())
    assert shape_of(written) == AdapterConfig(name, **{field: getattr(config, field) for field in kept})
    assert [other for other, side in SIDES.items() if side.describes(written)] == [name]


def test_every_family_of_this_release_has_a_counterpart() -> None:
    assert [peft_family(name) for name in FAMILIES] == list(FAMILIES.values())


def test_a_family_without_a_counterpart_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, "novel", lora)
    with pytest.raises(MismatchError, match=r"'novel' has no PEFT counterpart.*engine 'native'"):
        peft_family("novel")


def test_an_unknown_family_stays_unknown() -> None:
    with pytest.raises(UnknownNameError, match="unknown adapter family 'novel'"):
        peft_family("novel")
