"""LoRA, DoRA, PiSSA and DeLoRA: the algebra each family promises, and agreement with PEFT's own layers."""

from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ws.adapters import delora, dora, lora, pissa
from ws.adapters.base import AdapterConfig, Params
from ws.errors import MismatchError, ShapeError

FAMILIES = (lora, dora, pissa, delora)
FACTORED = (lora, pissa, delora)


def named(module: ModuleType) -> str:
    return module.NAME


every_family = pytest.mark.parametrize("family", FAMILIES, ids=named)
every_factored_family = pytest.mark.parametrize("family", FACTORED, ids=named)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """PEFT and torch draw their start values from the global generator.

    No `yield`: the hook that checks shapes hides from pytest that a fixture is a generator, which then never starts.
    """
    torch.manual_seed(0)


def test_every_test_starts_from_the_same_random_numbers() -> None:
    assert torch.initial_seed() == 0


class Case:
    """One random float64 layer with an adapter at its start and the same adapter moved away from it."""

    def __init__(self, family: ModuleType, *, d_out: int, d_in: int, rank: int, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.config = AdapterConfig(family=family.NAME, rank=rank, alpha=1.5 * rank, bound=0.7)
        self.W = self.normal(d_out, d_in)
        self.x = self.normal(2, 3, d_in)
        self.start = family.init(self.W, config=self.config, generator=self.generator)
        self.moved = {
            name: value + self.normal(*value.shape) if name in family.TRAINABLE else value
            for name, value in self.start.items()
        }

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64)


def as_layer(d_out: int, d_in: int, rank: int, seed: int) -> dict[str, int]:
    return {"d_out": d_out, "d_in": d_in, "rank": min(rank, d_out, d_in), "seed": seed}


sides = st.integers(1, 9)
layers = st.builds(as_layer, sides, sides, sides, st.integers(0, 2**31))


def small(family: ModuleType) -> Case:
    return Case(family, d_out=5, d_in=7, rank=3, seed=1)


def close(seen: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(seen, expected, rtol=1e-9, atol=1e-9)


@every_family
@given(layer=layers)
@settings(max_examples=20, deadline=None)
def test_the_start_adds_nothing(family: ModuleType, layer: dict[str, int]) -> None:
    case = Case(family, **layer)
    close(family.delta(case.W, case.start, config=case.config), torch.zeros_like(case.W))


@every_family
@given(layer=layers)
@settings(max_examples=20, deadline=None)
def test_the_start_leaves_the_layer_as_it_was(family: ModuleType, layer: dict[str, int]) -> None:
    case = Case(family, **layer)
    close(family.forward(case.x, case.W, case.start, config=case.config), case.x @ case.W.T)


@every_family
def test_moved_parameters_add_something(family: ModuleType) -> None:
    case = small(family)
    assert family.delta(case.W, case.moved, config=case.config).norm() > 0.1


@every_family
@given(layer=layers)
@settings(max_examples=20, deadline=None)
def test_forward_is_the_merged_weight_applied(family: ModuleType, layer: dict[str, int]) -> None:
    case = Case(family, **layer)
    merged = case.W + family.delta(case.W, case.moved, config=case.config)
    close(family.forward(case.x, case.W, case.moved, config=case.config), case.x @ merged.T)


@every_family
def test_forward_takes_a_single_vector(family: ModuleType) -> None:
    case = small(family)
    whole = family.forward(case.x, case.W, case.moved, config=case.config)
    close(family.forward(case.x[0, 0], case.W, case.moved, config=case.config), whole[0, 0])


@every_family
@given(layer=layers)
@settings(max_examples=20, deadline=None)
def test_parts_sum_to_delta(family: ModuleType, layer: dict[str, int]) -> None:
    case = Case(family, **layer)
    parts = family.parts(case.W, case.moved, config=case.config)
    close(torch.stack(list(parts.values())).sum(0), family.delta(case.W, case.moved, config=case.config))


@pytest.mark.parametrize(
    ("family", "names"),
    [
        (lora, {"low_rank"}),
        (pissa, {"low_rank"}),
        (dora, {"magnitude", "direction"}),
        (delora, {"lambda", "direction"}),
    ],
    ids=["lora", "pissa", "dora", "delora"],
)
def test_parts_carry_the_familys_own_words(family: ModuleType, names: set[str]) -> None:
    case = small(family)
    assert set(family.parts(case.W, case.moved, config=case.config)) == names


@every_factored_family
@given(layer=layers)
@settings(max_examples=20, deadline=None)
def test_factors_multiply_to_delta(family: ModuleType, layer: dict[str, int]) -> None:
    case = Case(family, **layer)
    left, right = family.factors(case.W, case.moved, config=case.config)
    close(left @ right, family.delta(case.W, case.moved, config=case.config))


@pytest.mark.parametrize(("family", "times"), [(lora, 1), (pissa, 2), (delora, 1)], ids=["lora", "pissa", "delora"])
def test_factors_are_as_thin_as_the_rank_allows(family: ModuleType, times: int) -> None:
    case = small(family)
    left, right = family.factors(case.W, case.moved, config=case.config)
    assert left.shape[1] == right.shape[0] == times * case.config.rank


def test_dora_has_no_factors_because_its_update_has_full_rank() -> None:
    case = Case(dora, d_out=6, d_in=8, rank=1, seed=0)
    assert dora.factors(case.W, case.moved, config=case.config) is None
    assert torch.linalg.matrix_rank(dora.delta(case.W, case.moved, config=case.config)) == 6


@every_family
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_delta_and_parts_have_the_dtype_of_the_weight(family: ModuleType, dtype: torch.dtype) -> None:
    case = small(family)
    W = case.W.to(dtype)
    params = family.init(W, config=case.config, generator=case.generator)
    results = [
        family.delta(W, params, config=case.config),
        *family.parts(W, params, config=case.config).values(),
    ]
    assert {result.dtype for result in results} == {dtype}


@every_family
def test_parameters_of_a_bfloat16_weight_are_float32(family: ModuleType) -> None:
    case = small(family)
    params = family.init(case.W.bfloat16(), config=case.config, generator=case.generator)
    assert {value.dtype for value in params.values()} == {torch.float32}


@every_family
def test_forward_of_a_bfloat16_layer_stays_in_bfloat16(family: ModuleType) -> None:
    case = small(family)
    W, x = case.W.bfloat16(), case.x.bfloat16()
    params = {name: value.float() for name, value in case.moved.items()}
    merged = W.float() + family.delta(W.float(), params, config=case.config)
    expected = (x.float() @ merged.T).bfloat16()
    torch.testing.assert_close(
        family.forward(x, W, params, config=case.config),
        expected,
        rtol=0.05,
        atol=0.05 * expected.abs().max().item(),
    )


@every_family
def test_trainable_parameters_are_parameters(family: ModuleType) -> None:
    assert set(family.TRAINABLE) <= set(small(family).start)


@every_family
def test_the_start_depends_on_nothing_but_the_generator(family: ModuleType) -> None:
    first, second = small(family).start, small(family).start
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("family", [lora, dora, delora], ids=named)
def test_another_seed_starts_another_A(family: ModuleType) -> None:
    first = Case(family, d_out=5, d_in=7, rank=3, seed=0)
    other = family.init(first.W, config=first.config, generator=torch.Generator().manual_seed(1))
    assert not torch.equal(first.start["A"], other["A"])


@every_family
def test_trainable_and_fixed_start_values_share_no_memory(family: ModuleType) -> None:
    start = small(family).start
    assert len({value.data_ptr() for value in start.values()}) == len(start)


@every_family
@pytest.mark.parametrize("rank", [0, 6], ids=["none", "too large"])
def test_a_rank_that_does_not_fit_is_refused(family: ModuleType, rank: int) -> None:
    config = AdapterConfig(family=family.NAME, rank=rank)
    with pytest.raises(ShapeError, match=rf"rank {rank} does not fit a layer of shape \(5, 7\)"):
        family.init(torch.zeros(5, 7), config=config, generator=torch.Generator())


@every_family
def test_parameters_of_another_rank_are_refused(family: ModuleType) -> None:
    case = small(family)
    other = AdapterConfig(family=family.NAME, rank=2)
    with pytest.raises(ShapeError, match="not of rank 2; use the configuration"):
        family.delta(case.W, case.moved, config=other)


def test_lora_delta_is_the_papers_sum_of_outer_products() -> None:
    case = small(lora)
    A, B = case.moved["A"], case.moved["B"]
    terms = torch.stack([torch.outer(b, a) for b, a in zip(B.T, A, strict=True)])
    close(lora.delta(case.W, case.moved, config=case.config), 1.5 * terms.sum(0))


@given(layer=layers)
@settings(max_examples=20, deadline=None)
def test_dora_gives_each_row_the_length_m(layer: dict[str, int]) -> None:
    case = Case(dora, **layer)
    merged = case.W + dora.delta(case.W, case.moved, config=case.config)
    close(merged.norm(dim=1), case.moved["m"].abs())


@given(layer=layers)
@settings(max_examples=20, deadline=None)
def test_dora_direction_keeps_row_lengths_and_magnitude_keeps_row_directions(layer: dict[str, int]) -> None:
    case = Case(dora, **layer)
    parts = dora.parts(case.W, case.moved, config=case.config)
    turned = case.W + parts["direction"]
    close(turned.norm(dim=1), case.W.norm(dim=1))
    along = torch.einsum("oi,oi->o", parts["magnitude"], turned).abs()
    close(along, parts["magnitude"].norm(dim=1) * turned.norm(dim=1))


def test_dora_treats_the_norm_as_a_constant_to_the_gradient() -> None:
    case = small(dora)
    A = case.moved["A"].clone().requires_grad_()
    dora.forward(case.x, case.W, {**case.moved, "A": A}, config=case.config).sum().backward()
    V = case.W + lora.delta(case.W, case.moved, config=case.config)
    gain = case.moved["m"] / V.norm(dim=1)
    close(A.grad, 1.5 * torch.einsum("o,or,bsi->ri", gain, case.moved["B"], case.x))


@given(layer=layers)
@settings(max_examples=20, deadline=None)
def test_pissa_takes_out_the_best_approximation_of_its_rank(layer: dict[str, int]) -> None:
    case = Case(pissa, **layer)
    rest = case.W - 1.5 * case.start["B0"] @ case.start["A0"]
    values = torch.linalg.svdvals(case.W)
    close(torch.linalg.svdvals(rest)[: len(values) - layer["rank"]], values[layer["rank"] :])


@given(layer=layers)
@settings(max_examples=20, deadline=None)
def test_pissa_delta_is_the_difference_of_the_two_products(layer: dict[str, int]) -> None:
    case = Case(pissa, **layer)
    now, start = case.moved["B"] @ case.moved["A"], case.moved["B0"] @ case.moved["A0"]
    close(pissa.delta(case.W, case.moved, config=case.config), 1.5 * (now - start))


def test_pissa_small_updates_lose_no_digits_to_the_large_product_they_start_from() -> None:
    case = small(pissa)
    params = {name: value.float() for name, value in case.start.items()}
    params["B"] = params["B0"] + 2.0**-20
    seen = pissa.delta(case.W.float(), params, config=case.config).double()
    exact = pissa.delta(case.W, {name: value.double() for name, value in params.items()}, config=case.config)
    torch.testing.assert_close(seen, exact, rtol=0, atol=1e-5 * exact.abs().max().item())


@given(layer=layers)
@settings(max_examples=20, deadline=None)
def test_delora_never_leaves_its_bound(layer: dict[str, int]) -> None:
    case = Case(delora, **layer)
    widest = case.W.norm(dim=0).max()
    length = delora.delta(case.W, case.moved, config=case.config).norm()
    assert length <= case.moved["lambda"].abs().item() * widest * (1 + 1e-9)


@pytest.mark.parametrize("name", ["A", "B"])
def test_delora_ignores_the_length_of_its_factors(name: str) -> None:
    case = small(delora)
    longer = {**case.moved, name: 3 * case.moved[name]}
    close(delora.delta(case.W, longer, config=case.config), delora.delta(case.W, case.moved, config=case.config))


def test_delora_lambda_part_is_what_lambda_moved() -> None:
    case = small(delora)
    parts = delora.parts(case.W, case.moved, config=case.config)
    close(parts["lambda"] / (case.moved["lambda"] - 0.7), parts["direction"] / 0.7)


def layer_config(family: ModuleType, *, rank: int = 3, alpha: float = 4.5) -> AdapterConfig:
    return AdapterConfig(family=family.NAME, rank=rank, alpha=alpha, bound=1.5)


class PeftLayer:
    """A linear layer that PEFT has adapted, its original weight, and the configuration."""

    def __init__(
        self, family: ModuleType, *, moved: bool, dtype: torch.dtype = torch.float32, bias: bool = False
    ) -> None:
        from peft import get_peft_model

        self.family, self.config = family, layer_config(family)
        generator = torch.Generator().manual_seed(3)
        linear = nn.Linear(11, 8, bias=bias)
        linear.weight.data = torch.randn(8, 11, generator=generator).to(dtype)
        self.W = linear.weight.detach().clone()
        self.x = torch.randn(2, 5, 11, generator=generator)
        settings = family.peft_config(self.config, targets="adapted", feedforward="adapted")
        self.model = get_peft_model(nn.ModuleDict({"adapted": linear, "other": nn.Linear(8, 8)}), settings)
        self.layer = self.model.base_model.model["adapted"]
        self.trainable = {name: value for name, value in self.model.named_parameters() if value.requires_grad}
        if moved:
            self.move(generator)

    def move(self, generator: torch.Generator) -> None:
        with torch.no_grad():
            for value in self.trainable.values():
                value.add_(0.3 * torch.randn(value.shape, generator=generator))

    def params(self) -> Params:
        return self.family.from_peft(self.layer, W=self.W, config=self.config)

    def gradients(self) -> dict[str, Tensor]:
        """PEFT's gradients under this family's names."""
        symbols = {"lora_A": "A", "lora_B": "B", "lora_magnitude_vector": "m"}
        symbols |= {"delora_A": "A", "delora_B": "B", "delora_lambda": "lambda"}
        return {symbols[name.split("adapted.")[1].split(".")[0]]: v.grad for name, v in self.trainable.items()}


both_times = pytest.mark.parametrize("moved", [False, True], ids=["after injection", "after training"])


@every_family
@both_times
def test_delta_is_what_peft_merges(family: ModuleType, moved: bool) -> None:
    peft = PeftLayer(family, moved=moved)
    params = peft.params()
    peft.layer.merge()
    merged = peft.layer.get_base_layer().weight.detach()
    seen = family.delta(peft.W, params, config=peft.config)
    torch.testing.assert_close(seen, merged - peft.W, rtol=1e-5, atol=1e-5)


@every_family
@both_times
@pytest.mark.parametrize("bias", [False, True], ids=["no bias", "bias"])
def test_forward_is_pefts(family: ModuleType, moved: bool, bias: bool) -> None:
    peft = PeftLayer(family, moved=moved, bias=bias)
    offset = peft.layer.get_base_layer().bias if bias else torch.zeros(8)
    seen = family.forward(peft.x, peft.W, peft.params(), config=peft.config)
    torch.testing.assert_close(seen, peft.layer(peft.x) - offset, rtol=1e-5, atol=1e-5)


@every_family
@both_times
def test_gradients_are_pefts(family: ModuleType, moved: bool) -> None:
    peft = PeftLayer(family, moved=moved)
    leaves = {name: value.requires_grad_(name in family.TRAINABLE) for name, value in peft.params().items()}
    weights = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(4))
    (family.forward(peft.x, peft.W, leaves, config=peft.config) * weights).sum().backward()
    (peft.layer(peft.x) * weights).sum().backward()
    seen = {name: leaves[name].grad for name in family.TRAINABLE}
    torch.testing.assert_close(seen, peft.gradients(), rtol=1e-4, atol=1e-4)


@every_family
def test_training_reaches_the_trainable_parameters_and_no_others(family: ModuleType) -> None:
    before = PeftLayer(family, moved=False)
    start = before.params()
    before.move(torch.Generator().manual_seed(5))
    after = before.params()
    assert {name for name in start if not torch.equal(start[name], after[name])} == set(family.TRAINABLE)


@every_family
def test_parameters_read_from_peft_match_the_start_in_kind(family: ModuleType) -> None:
    peft = PeftLayer(family, moved=False)
    start = family.init(peft.W, config=peft.config, generator=torch.Generator().manual_seed(0))
    read = peft.params()
    assert {name: value.shape for name, value in read.items()} == {n: v.shape for n, v in start.items()}
    same = set(read) - ({"A"} if family is not pissa else set())
    assert {n for n in same if not torch.allclose(read[n], start[n], atol=1e-6)} == set()


@pytest.mark.parametrize("family", [lora, dora, delora], ids=named)
def test_A_starts_in_pefts_range(family: ModuleType) -> None:
    from peft import inject_adapter_in_model

    A = family.init(
        torch.zeros(200, 100),
        config=layer_config(family, rank=100),
        generator=torch.Generator().manual_seed(0),
    )["A"]
    settings = family.peft_config(layer_config(family, rank=100), targets="0", feedforward="0")
    model = inject_adapter_in_model(settings, nn.Sequential(nn.Linear(100, 200)))
    theirs = dict(model.named_parameters())
    name = next(name for name in theirs if "_A." in name)
    assert A.abs().max().item() == pytest.approx(theirs[name].abs().max().item(), rel=1e-2)
    assert A.std().item() == pytest.approx(theirs[name].std().item(), rel=0.05)


@every_family
def test_only_the_target_is_adapted(family: ModuleType) -> None:
    assert all(".adapted." in name for name in PeftLayer(family, moved=False).trainable)


@every_family
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_a_half_precision_layer_is_read_in_float32(family: ModuleType, dtype: torch.dtype) -> None:
    peft = PeftLayer(family, moved=True, dtype=dtype)
    assert {value.dtype for value in peft.params().values()} == {torch.float32}


def test_pissa_in_half_precision_starts_from_zero() -> None:
    peft = PeftLayer(pissa, moved=False, dtype=torch.bfloat16)
    assert pissa.delta(peft.W.float(), peft.params(), config=peft.config).abs().max() < 1e-6


@every_family
def test_parameters_read_from_peft_are_copies_outside_the_graph(family: ModuleType) -> None:
    peft = PeftLayer(family, moved=True)
    read = peft.params()
    kept = {name: value.clone() for name, value in read.items()}
    peft.move(torch.Generator().manual_seed(6))
    assert not any(value.requires_grad for value in read.values())
    assert all(torch.equal(read[name], kept[name]) for name in read)


@every_family
def test_the_wrong_original_weight_is_refused(family: ModuleType) -> None:
    peft = PeftLayer(family, moved=True)
    peft.W[0, 0] += 0.1
    with pytest.raises(MismatchError, match="pass the original weight of this very layer"):
        peft.params()


@every_family
def test_a_weight_of_another_shape_is_refused(family: ModuleType) -> None:
    peft = PeftLayer(family, moved=True)
    peft.W = peft.W[:, :10]
    with pytest.raises(MismatchError, match=r"shape \(8, 11\), expected \(8, 10\)"):
        peft.params()


@every_family
def test_a_merged_layer_is_refused(family: ModuleType) -> None:
    peft = PeftLayer(family, moved=True)
    peft.layer.merge()
    with pytest.raises(MismatchError, match="unmerge the adapter"):
        peft.params()


@every_family
def test_a_layer_of_another_rank_is_refused(family: ModuleType) -> None:
    peft = PeftLayer(family, moved=True)
    # Twice the alpha at twice the rank: the same scale.
    peft.config = layer_config(family, rank=6, alpha=9.0)
    with pytest.raises(MismatchError, match=r"injected with|check the family and its scale"):
        peft.params()


@every_family
def test_a_rank_that_does_not_fit_the_peft_layer_is_refused(family: ModuleType) -> None:
    peft = PeftLayer(family, moved=False)
    peft.config = layer_config(family, rank=9)
    with pytest.raises(ShapeError, match="rank 9 does not fit"):
        peft.params()


@pytest.mark.parametrize(
    ("made", "read"),
    [(dora, lora), (lora, dora), (pissa, lora), (pissa, dora), (lora, pissa), (dora, pissa)],
    ids=lambda family: family.NAME,
)
def test_a_layer_of_another_family_is_refused(made: ModuleType, read: ModuleType) -> None:
    peft = PeftLayer(made, moved=True)
    with pytest.raises(MismatchError, match="family"):
        read.from_peft(peft.layer, W=peft.W, config=layer_config(read))


@pytest.mark.parametrize("family", [lora, dora, pissa], ids=named)
def test_a_layer_of_another_scale_is_refused(family: ModuleType) -> None:
    peft = PeftLayer(family, moved=True)
    peft.config = layer_config(family, alpha=9.0)
    with pytest.raises(MismatchError, match=r"'scale': 1\.5.*'scale': 3\.0"):
        peft.params()
