"""Layers read or write the residual stream by their shape, and by name only where shapes cannot tell."""

import pytest

from ws.errors import ShapeError, UnknownNameError
from ws.models import LanguageModel
from ws.targets import targeted, writes_residual
from ws.tests.small import tiny_model


@pytest.mark.parametrize(
    ("path", "shape", "writes"),
    [
        ("layers.0.mlp.anything", (8, 20), True),
        ("layers.0.mlp.anything", (20, 8), False),
        ("layers.0.self_attn.o_proj", (20, 8), False),
        ("layers.0.self_attn.o_proj", (8, 8), True),
        ("layers.0.self_attn.q_proj", (8, 8), False),
    ],
    ids=["wide-in", "wide-out", "shape-before-name", "square-writer", "square-reader"],
)
def test_shape_decides_and_name_breaks_the_tie(path: str, shape: tuple[int, int], writes: bool) -> None:
    assert writes_residual(path, shape, d_model=8) is writes


@pytest.mark.parametrize(("path", "shape"), [("layers.0.mlp.dense", (8, 8)), ("layers.0.q_proj", (20, 30))])
def test_a_layer_that_neither_tells_is_an_error(path: str, shape: tuple[int, int]) -> None:
    with pytest.raises(ShapeError, match=r"cannot tell whether layers\.0\..* residual stream of width 8"):
        writes_residual(path, shape, d_model=8)


def test_the_rules_split_a_model_by_its_projections(tmp_path_factory: pytest.TempPathFactory) -> None:
    lm: LanguageModel = tiny_model(tmp_path_factory)
    names = {
        rule: {
            path.rpartition(".")[-1]
            for path, linear in lm.linears(0, lm.n_layers).items()
            if targeted(path, tuple(linear.weight.shape), d_model=lm.d_model, targets=rule)
        }
        for rule in ("all", "readers", "writers")
    }
    assert names["writers"] == {"o_proj", "down_proj"}
    assert names["readers"] == {"q_proj", "k_proj", "v_proj", "up_proj", "gate_proj"}
    assert names["all"] == names["readers"] | names["writers"]


def test_an_unknown_rule_is_named() -> None:
    with pytest.raises(UnknownNameError, match="target rule"):
        targeted("layers.0.mlp.up_proj", (20, 8), d_model=8, targets="some")
