"""The native parts of dW sum to dW in every family, and are what training changed of each parameter."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ws.adapters import FAMILIES, Params, family
from ws.delta.update import LowRank
from ws.delta.weight_delta import WeightDelta
from ws.errors import MismatchError, ShapeError, UnknownNameError
from ws.lenses.families import has_factors, part_names
from ws.lenses.parts import applies, keep_part, part_deltas
from ws.models.language import LanguageModel
from ws.store import Store
from ws.tests.small import SHAPES, adapter, every_family
from ws.training.direction import Direction, direction_delta
from ws.training.train import read_adapter

UP, QUERY = "model.layers.1.mlp.up_proj", "model.layers.2.self_attn.q_proj"


def drawn(lm: LanguageModel, name: str, seed: int, *, change: float = 0.1) -> dict[str, Params]:
    """Parameters of two layers somewhere off their start."""
    generator = torch.Generator().manual_seed(seed)
    module, linears = family(name), lm.linears(0, lm.n_layers)
    params = {}
    for path in (UP, QUERY):
        start = module.init(linears[path].weight, config=SHAPES[name], generator=generator)
        params[path] = {
            key: value + change * torch.randn(value.shape, generator=generator) if key in module.TRAINABLE else value
            for key, value in start.items()
        }
    return params


def whole(lm: LanguageModel, plus: dict[str, Params], minus: dict[str, Params], name: str) -> dict[str, torch.Tensor]:
    """plus - minus by the family's dense formula."""
    linears = lm.linears(0, lm.n_layers)

    def dense(path: str, params: dict[str, Params]) -> torch.Tensor:
        return family(name).delta(linears[path].weight, params[path], config=SHAPES[name])

    return {path: dense(path, plus) - dense(path, minus) for path in plus}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(list(FAMILIES)), seeds=st.tuples(st.integers(0, 99), st.integers(100, 199)))
def test_the_parts_sum_to_the_whole(lm: LanguageModel, name: str, seeds: tuple[int, int]) -> None:
    plus, minus = (drawn(lm, name, seed) for seed in seeds)
    parts = part_deltas(lm, plus, minus, SHAPES[name])
    assert tuple(parts) == part_names(name)
    for path, expected in whole(lm, plus, minus, name).items():
        summed = sum(part.tensors[path].dense() for part in parts.values())
        torch.testing.assert_close(summed, expected, atol=1e-4, rtol=1e-3)


@every_family
def test_the_parts_of_trained_adapters_sum_to_their_direction(lm: LanguageModel, store: Store, family: str) -> None:
    signs = adapter(family), adapter(family, sign="minus")
    plus, minus = (read_adapter(store, one) for one in signs)
    parts = part_deltas(lm, plus, minus, SHAPES[family])
    direction = direction_delta(Direction(*signs), lm, store)
    summed = sum((part for part in parts.values()), 0.0 * direction)
    assert (summed - direction).norm < 1e-4 * direction.norm
    for name in parts:
        kept = keep_part(parts, name)
        if len(parts) > 1:
            assert (kept + keep_part(parts, name, keep=False) - direction).norm < 1e-4 * direction.norm
    assert all(
        isinstance(value, LowRank) == has_factors(family) for part in parts.values() for value in part.tensors.values()
    )


def test_a_parameter_that_did_not_move_has_an_empty_part(lm: LanguageModel) -> None:
    plus, minus = (drawn(lm, "dora", seed) for seed in (0, 1))
    still = {path: {**values, "m": lm.model.get_submodule(path).weight.norm(dim=1)} for path, values in plus.items()}
    other = {path: {**values, "m": still[path]["m"]} for path, values in minus.items()}
    parts = part_deltas(lm, still, other, SHAPES["dora"])
    assert parts["magnitude"].norm < 1e-5 * parts["direction"].norm
    assert part_deltas(lm, plus, minus, SHAPES["dora"])["magnitude"].norm > 0.01 * parts["direction"].norm


def test_parts_that_cancel_in_the_whole_are_still_found(lm: LanguageModel) -> None:
    plus, minus = (drawn(lm, "delora", seed) for seed in (0, 1))
    off = {path: {**values, "lambda": torch.zeros(1)} for path, values in plus.items()}
    parts = part_deltas(lm, off, minus, SHAPES["delora"])
    for path, expected in whole(lm, off, minus, "delora").items():
        torch.testing.assert_close(
            sum(part.tensors[path].dense() for part in parts.values()), expected, atol=1e-4, rtol=1e-3
        )
    alone = part_deltas(
        lm, off, {path: {**v, "B": torch.zeros_like(v["B"])} for path, v in off.items()}, SHAPES["delora"]
    )
    assert alone["direction"].norm > 0.1


def test_a_part_may_be_left_out_of_a_family_of_several() -> None:
    assert part_names("dora") == ("direction", "magnitude")
    for name in FAMILIES:
        parts = part_names(name)
        assert [applies(part, name) is None for part in parts] == [len(parts) > 1] * len(parts)
        assert applies("head", name) == f"{name} has no part head; it has {', '.join(parts)}"
    assert applies("low_rank", "lora") == "low_rank is all there is of lora"
    with pytest.raises(UnknownNameError, match="unknown adapter family 'prefix'"):
        applies("direction", "prefix")


def test_what_is_no_part_is_refused(lm: LanguageModel) -> None:
    plus, minus = (drawn(lm, "lora", seed) for seed in (0, 1))
    parts = part_deltas(lm, plus, minus, SHAPES["lora"])
    with pytest.raises(UnknownNameError, match="unknown part of dW 'direction'; known: low_rank"):
        keep_part(parts, "direction")
    with pytest.raises(ShapeError, match="nothing is left of dW without low_rank, its only part"):
        keep_part(parts, "low_rank", keep=False)
    with pytest.raises(MismatchError, match=r"tiny-random-qwen3 has no layer 'model\.layers\.9\.x'"):
        part_deltas(lm, {"model.layers.9.x": plus[UP]}, minus, SHAPES["lora"])
    with pytest.raises(MismatchError, match=r"cannot combine updates: \['model\.layers\.2"):
        part_deltas(lm, plus, {UP: minus[UP]}, SHAPES["lora"])
    assert isinstance(parts["low_rank"], WeightDelta)
