"""Layers and kinds of modules are recognised by path and shape, and split an update without changing a tensor."""

import pytest

from ws.delta.update import Dense, Update
from ws.delta.weight_delta import WeightDelta
from ws.errors import MismatchError, ShapeError, UnknownNameError
from ws.lenses.modules import GROUPS, KINDS, THIRDS, Layers, Modules, Third, kind_of, layer_of, layers_of
from ws.models.language import LanguageModel
from ws.tests.small import random_update


@pytest.fixture(scope="module")
def delta(lm: LanguageModel) -> WeightDelta:
    return random_update(lm)


def over(n: int, update: Update) -> WeightDelta:
    """An update of one kind in layers 5, 6, ... of n."""
    return WeightDelta({f"model.layers.{5 + i}.mlp.up_proj": update for i in range(n)})


def test_a_group_is_its_kinds_in_every_layer(lm: LanguageModel, delta: WeightDelta) -> None:
    groups = {kind: {kind} for kind in KINDS.values()} | {group: set(kinds) for group, kinds in GROUPS.items()}
    groups |= {"writers": {"o", "down"}, "readers": {"q", "k", "v", "up", "gate"}}
    for group, kinds in groups.items():
        kept, rest = Modules(group).apply(delta, lm), Modules(group, keep=False).apply(delta, lm)
        assert {kind_of(path) for path in kept.tensors} == kinds
        assert {kind_of(path) for path in rest.tensors} == set(KINDS.values()) - kinds
        assert layers_of(kept) == layers_of(rest) == layers_of(delta)
        assert all(kept.tensors[path] is delta.tensors[path] for path in kept.tensors)
        assert len(kept.tensors) + len(rest.tensors) == len(delta.tensors)


@pytest.mark.parametrize("layers", [(2,), (1, 3)])
def test_layers_are_kept_or_left_out(lm: LanguageModel, delta: WeightDelta, layers: tuple[int, ...]) -> None:
    kept, rest = Layers(layers).apply(delta, lm), Layers(layers, keep=False).apply(delta, lm)
    assert layers_of(kept) == sorted(layers)
    assert layers_of(rest) == sorted({1, 2, 3} - set(layers))
    assert len(kept.tensors) == 7 * len(layers)


@pytest.mark.parametrize(("n", "lengths"), [(3, (1, 1, 1)), (4, (2, 1, 1)), (5, (2, 2, 1)), (15, (5, 5, 5))])
def test_thirds_are_as_equal_as_can_be_and_in_order(lm: LanguageModel, n: int, lengths: tuple[int, ...]) -> None:
    update = next(iter(random_update(lm).tensors.values()))
    delta = over(n, update)
    thirds = [layers_of(Third(part).apply(delta, lm)) for part in THIRDS]
    assert tuple(map(len, thirds)) == lengths
    assert [layer for third in thirds for layer in third] == layers_of(delta)
    assert layers_of(Third("middle", keep=False).apply(delta, lm)) == [*thirds[0], *thirds[2]]


def test_what_dw_does_not_have_cannot_be_cut_out(lm: LanguageModel, delta: WeightDelta) -> None:
    with pytest.raises(MismatchError, match=r"layer 7 has no dW; this dW is in layers \[1, 2, 3\]: choose among them"):
        Layers((1, 7)).apply(delta, lm)
    with pytest.raises(MismatchError, match="layer 0 has no dW"):
        Layers((0,), keep=False).apply(delta, lm)
    written = Modules("writers").apply(delta, lm)
    for keep in (True, False):
        with pytest.raises(MismatchError, match="dW has no q tensor, it has down_proj, o_proj; choose one of those"):
            Modules("q", keep=keep).apply(written, lm)
    with pytest.raises(ShapeError, match="nothing is left of dW: all but writers; expected a part of it"):
        Modules("writers", keep=False).apply(written, lm)
    two = over(2, Dense(next(iter(delta.tensors.values())).dense()))
    with pytest.raises(MismatchError, match=r"dW is in layers \[5, 6\] only; thirds need 3 or more"):
        Third("early").apply(two, lm)


def test_unknown_names_are_refused(lm: LanguageModel) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown group of modules 'heads'; known: attention, down, gate"):
        Modules("heads")
    with pytest.raises(UnknownNameError, match="unknown third 'mid'; known: early, late, middle"):
        Third("mid")
    with pytest.raises(UnknownNameError, match="unknown linear layer 'c_fc'; known: down_proj"):
        kind_of("h.0.mlp.c_fc")
    with pytest.raises(MismatchError, match="lm_head is in no decoder layer"):
        layer_of("lm_head")
