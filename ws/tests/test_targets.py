"""Layers read or write the residual stream by their shape, and by name only where shapes cannot tell."""

import pytest

from ws.adapters.targets import is_feedforward_output, side, targeted, writes_residual
from ws.errors import ShapeError, UnknownNameError
from ws.models.language import LanguageModel
from ws.tests.small import tiny_model


@pytest.mark.parametrize(
    ("path", "shape", "writes"),
    [
        ("layers.0.mlp.anything", (8, 20), True),
        ("layers.0.mlp.anything", (20, 8), False),
        ("layers.0.self_attn.o_proj", (20, 8), False),
        ("layers.0.self_attn.o_proj", (8, 8), True),
        ("layers.0.self_attn.q_proj", (8, 8), False),
        ("h.0.attn.c_proj", (8, 8), True),
        ("h.0.attn.o_proj.linear", (8, 8), True),
        ("h.0.attn.q_proj.linear", (8, 8), False),
        ("h.0.1.linear", (8, 8), True),
    ],
)
def test_shape_decides_and_name_breaks_the_tie(path: str, shape: tuple[int, int], writes: bool) -> None:
    assert writes_residual(path, shape, d_model=8) is writes
    assert side(path, shape, d_model=8) == ("writes" if writes else "reads")


@pytest.mark.parametrize("path", ["layers.0.mlp.unheard_of", "layers.0.linear.unheard_of"])
def test_a_square_layer_of_an_unknown_name_is_an_error(path: str) -> None:
    with pytest.raises(ShapeError, match=r"cannot tell whether layers\.0\..* residual stream of width 8"):
        writes_residual(path, (8, 8), d_model=8)


@pytest.mark.parametrize(("rule", "taken"), [("all", True), ("readers", False), ("writers", False)])
def test_a_layer_of_neither_width_lies_inside(rule: str, taken: bool) -> None:
    assert side("layers.0.self_attn.q_b_proj", (20, 30), d_model=8) == "inside"
    assert targeted("layers.0.self_attn.q_b_proj", (20, 30), d_model=8, targets=rule) is taken


def test_the_output_of_an_mlp_is_known_by_name() -> None:
    outputs = "layers.0.mlp.down_proj", "h.0.mlp.c_proj", "layers.0.mlp.dense_4h_to_h", "layers.0.fc2"
    others = "h.0.attn.c_proj", "layers.0.mlp.up_proj", "layers.0.self_attn.o_proj", "blocks.0.attention.value"
    assert [path for path in (*outputs, "blocks.0.feed_forward.value") if not is_feedforward_output(path)] == []
    assert [path for path in others if is_feedforward_output(path)] == []


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
