"""The algebra that every adapter family guarantees, and what single families guarantee in addition."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
import torch
from einops import rearrange
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ws.adapters import FAMILIES, AdapterConfig, Params, boft, delora, dora, ia3, lora, oft, pissa
from ws.adapters.base import linear
from ws.errors import ShapeError

RANK, BOUND, SCALE = 3, 0.7, 1.5
"""The scale alpha / rank in these tests, for families that have one."""
PARTS = {
    "lora": {"low_rank"},
    "pissa": {"low_rank"},
    "dora": {"magnitude", "direction"},
    "delora": {"lambda", "direction"},
    "oft": {"rotation"},
    "boft": {"rotation", "scale"},
    "ia3": {"gate"},
}
COLUMNS = {"lora": 1, "pissa": 2, "delora": 1}
"""Of the families with factors: how many columns these have, in ranks."""

sizes = st.fixed_dictionaries({"d_out": st.integers(3, 9), "groups": st.integers(1, 3), "seed": st.integers(0, 2**31)})
quick = settings(max_examples=12, deadline=None)


@dataclass(frozen=True)
class Case:
    """One way of using a family."""

    name: str
    block: int = 4
    butterfly: int = 1
    feedforward: bool = False

    def __str__(self) -> str:
        return f"{self.name}-{self.block}-{self.butterfly}" + "-input" * self.feedforward

    @property
    def family(self) -> ModuleType:
        return FAMILIES[self.name]

    @property
    def config(self) -> AdapterConfig:
        return AdapterConfig(
            self.name, rank=RANK, alpha=SCALE * RANK, bound=BOUND, block=self.block, butterfly=self.butterfly
        )

    @property
    def group(self) -> int:
        """The number of inputs that the adapter mixes; d_in is a multiple of it."""
        return self.block * 2 ** (self.butterfly - 1)


class Adapted:
    """A random layer with an adapter at its start and the same adapter moved away from it."""

    def __init__(
        self,
        case: Case,
        *,
        d_out: int = 5,
        groups: int = 2,
        seed: int = 0,
        size: float = 0.5,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        self.family, self.config = case.family, case.config
        self.generator = torch.Generator().manual_seed(seed)
        d_in = groups * case.group
        self.W, self.x = self.normal(d_out, d_in).to(dtype), self.normal(2, 3, d_in).to(dtype)
        self.start = self.family.init(
            self.W, config=self.config, generator=self.generator, feedforward=case.feedforward
        )
        self.moved = {
            name: value + (size * self.normal(*value.shape)).to(value.dtype) * (name in self.family.TRAINABLE)
            for name, value in self.start.items()
        }

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64)

    def delta(self, params: Params) -> Tensor:
        return self.family.delta(self.W, params, config=self.config)

    def forward(self, params: Params, x: Tensor | None = None) -> Tensor:
        return self.family.forward(self.x if x is None else x, self.W, params, config=self.config)

    def parts(self, params: Params) -> dict[str, Tensor]:
        return self.family.parts(self.W, params, config=self.config)


OFT, ONE, TWO, THREE = Case("oft"), Case("boft"), Case("boft", butterfly=2), Case("boft", block=2, butterfly=3)
ROTATIONS = [OFT, Case("oft", block=3), ONE, TWO, THREE]
LOW_RANK = [Case(name) for name in ("lora", "dora", "pissa", "delora")]
CASES = [*LOW_RANK, *ROTATIONS, Case("ia3"), Case("ia3", feedforward=True)]


def each(cases: Sequence[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=str)


def close(seen: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(seen, expected, rtol=1e-9, atol=1e-9)


# Of all families


@each(CASES)
@given(size=sizes)
@quick
def test_the_start_adds_nothing_and_forward_is_the_layer_with_delta_added(case: Case, size: dict[str, int]) -> None:
    made = Adapted(case, **size)
    # LoRA's kinds take their start away again, which rounds; the others leave the very same numbers.
    slack = 1e-9 if case in LOW_RANK else 0.0
    torch.testing.assert_close(made.delta(made.start), torch.zeros_like(made.W), rtol=0, atol=slack)
    torch.testing.assert_close(made.forward(made.start), linear(made.x, made.W), rtol=0, atol=slack)
    close(made.forward(made.moved), linear(made.x, made.W + made.delta(made.moved)))
    close(made.forward(made.moved, made.x[0, 0]), made.forward(made.moved)[0, 0])


@each(CASES)
@given(size=sizes)
@quick
def test_parts_sum_to_delta_and_factors_multiply_to_it(case: Case, size: dict[str, int]) -> None:
    made = Adapted(case, **size)
    assert set(made.parts(made.moved)) == PARTS[case.name]
    close(sum(made.parts(made.moved).values()), made.delta(made.moved))
    factors = made.family.factors(made.W, made.moved, config=made.config)
    assert (factors is not None) == (case.name in COLUMNS)
    if factors is not None:
        left, right = factors
        assert left.shape[1] == right.shape[0] == COLUMNS[case.name] * RANK
        close(left @ right, made.delta(made.moved))


@each(CASES)
def test_what_trains_moves_every_output_and_starts_as_the_generator_says(case: Case) -> None:
    made, again = Adapted(case), Adapted(case)
    assert (made.delta(made.moved).norm(dim=1) > 0.01).all()
    assert set(made.family.TRAINABLE) <= set(made.start)
    assert all(torch.equal(again.start[name], value) for name, value in made.start.items())
    # What trains shares no memory with what it started from.
    assert len({value.data_ptr() for value in made.start.values()}) == len(made.start)


@pytest.mark.parametrize("family", [lora, dora, delora], ids=lambda it: it.NAME)
def test_another_seed_starts_another_A(family: ModuleType) -> None:
    made = Adapted(Case(family.NAME))
    other = family.init(made.W, config=made.config, generator=torch.Generator().manual_seed(1))
    assert not torch.equal(made.start["A"], other["A"])


@each(CASES)
def test_half_precision_weights_get_single_precision_parameters(case: Case) -> None:
    half = Adapted(case, dtype=torch.bfloat16)
    assert {value.dtype for value in half.start.values()} == {torch.float32}
    moved = {name: value.float() for name, value in half.moved.items()}
    results = [half.forward(moved), half.delta(moved), *half.parts(moved).values()]
    assert {result.dtype for result in results} == {torch.bfloat16}
    exact = linear(half.x.float(), half.W.float() + half.family.delta(half.W.float(), moved, config=half.config))
    torch.testing.assert_close(results[0].float(), exact, rtol=0.05, atol=0.05 * exact.abs().max().item())


@each(ROTATIONS)
def test_a_small_update_survives_single_precision(case: Case) -> None:
    made = Adapted(case, d_out=6, groups=3, dtype=torch.float32, size=2.0**-12)
    wide = {name: value.double() for name, value in made.moved.items()}
    exact = next(iter(made.family.parts(made.W.double(), wide, config=made.config).values()))
    seen = next(iter(made.parts(made.moved).values()))
    assert (seen.double() - exact).norm() < 1e-6 * exact.norm()


@each([case for case in CASES if case not in LOW_RANK])
def test_parameters_of_another_layer_are_refused(case: Case) -> None:
    with pytest.raises(ShapeError, match="shape"):
        Adapted(case, d_out=6, groups=3).delta(Adapted(case).moved)


def test_a_size_that_does_not_fit_is_refused() -> None:
    def refused(case: Case, W: Tensor, message: str, **changes: Any) -> None:
        config = AdapterConfig(case.name, **{"block": case.block, "butterfly": case.butterfly} | changes)
        for ask in (case.family.init, lambda W, config, generator: case.family.check(W, config=config)):
            with pytest.raises(ShapeError, match=message):
                ask(W, config=config, generator=torch.Generator())

    for case in LOW_RANK:
        for rank in (0, 6):
            refused(case, torch.zeros(5, 7), rf"rank {rank} does not fit a layer of shape \(5, 7\)", rank=rank)
        made = Adapted(case)
        with pytest.raises(ShapeError, match="not of rank 2; use the configuration"):
            case.family.delta(made.W, made.moved, config=AdapterConfig(case.name, rank=2))
    for case in (OFT, ONE):
        refused(case, torch.zeros(4, 12), r"side 5 do not divide d_in = 12; choose .* 1, 2, 3, 4, 6, 12", block=5)
    for block, factors in ((4, 3), (3, 2), (4, 0)):
        message = f"{factors} butterfly factors do not fit .* choose butterfly=1"
        refused(ONE, torch.zeros(4, 24), message, block=block, butterfly=factors)


# Of one family


def test_lora_delta_is_the_papers_sum_of_outer_products() -> None:
    made = Adapted(Case("lora"))
    pairs = zip(made.moved["B"].T, made.moved["A"], strict=True)
    close(made.delta(made.moved), SCALE * sum(torch.outer(b, a) for b, a in pairs))


@given(size=sizes)
@quick
def test_dora_magnitude_sets_row_lengths_and_direction_keeps_them(size: dict[str, int]) -> None:
    made = Adapted(Case("dora"), **size)
    close((made.W + made.delta(made.moved)).norm(dim=1), made.moved["m"].abs())
    parts = made.parts(made.moved)
    turned = made.W + parts["direction"]
    close(turned.norm(dim=1), made.W.norm(dim=1))
    along = torch.einsum("oi,oi->o", parts["magnitude"], turned).abs()
    close(along, parts["magnitude"].norm(dim=1) * turned.norm(dim=1))


def test_dora_treats_the_norm_as_a_constant_to_the_gradient() -> None:
    made = Adapted(Case("dora"))
    A = made.moved["A"].clone().requires_grad_()
    made.forward({**made.moved, "A": A}).sum().backward()
    V = made.W + lora.delta(made.W, made.moved, config=made.config)
    close(A.grad, SCALE * torch.einsum("o,or,bsi->ri", made.moved["m"] / V.norm(dim=1), made.moved["B"], made.x))


@given(size=sizes)
@quick
def test_pissa_takes_out_the_best_approximation_of_its_rank(size: dict[str, int]) -> None:
    made = Adapted(Case("pissa"), **size)
    rest = made.W - SCALE * made.start["B0"] @ made.start["A0"]
    values = torch.linalg.svdvals(made.W)
    close(torch.linalg.svdvals(rest)[: len(values) - RANK], values[RANK:])
    now, start = made.moved["B"] @ made.moved["A"], made.moved["B0"] @ made.moved["A0"]
    close(made.delta(made.moved), SCALE * (now - start))


def test_pissa_small_updates_lose_no_digits_to_the_large_product_they_start_from() -> None:
    made = Adapted(Case("pissa"), dtype=torch.float32)
    params = {**made.start, "B": made.start["B0"] + 2.0**-20}
    wide = {name: value.double() for name, value in params.items()}
    exact = pissa.delta(made.W.double(), wide, config=made.config)
    assert (made.delta(params).double() - exact).norm() < 1e-5 * exact.norm()


@given(size=sizes)
@quick
def test_delora_keeps_to_its_bound_whatever_the_length_of_its_factors(size: dict[str, int]) -> None:
    made = Adapted(Case("delora"), **size)
    bound = made.moved["lambda"].abs().item() * made.W.norm(dim=0).max()
    assert made.delta(made.moved).norm() <= bound * (1 + 1e-9)
    for name in ("A", "B"):
        close(made.delta({**made.moved, name: 3 * made.moved[name]}), made.delta(made.moved))
    parts = made.parts(made.moved)
    close(parts["lambda"] * BOUND, parts["direction"] * (made.moved["lambda"] - BOUND))


@each(ROTATIONS)
def test_a_rotation_is_orthogonal_and_mixes_all_inputs_of_a_group_and_no_others(case: Case) -> None:
    made = Adapted(case, groups=3)
    identity = torch.eye(3 * case.group, dtype=torch.float64)
    R = identity + case.family.parts(identity, {**made.moved, **ones(made)}, config=case.config)["rotation"]
    close(R @ R.T, identity)
    within = torch.block_diag(*[torch.ones(case.group, case.group)] * 3) > 0
    assert torch.equal(R.abs() > 1e-12, within)


def ones(made: Adapted) -> Params:
    """BOFT's scale for an identity weight, whose rows are as many as its columns."""
    d_in = made.W.shape[1]
    return {"s": torch.ones(d_in, 1, dtype=torch.float64)} if "s" in made.moved else {}


def test_oft_is_the_cayley_map_of_each_block_and_boft_with_one_factor_is_oft() -> None:
    made = Adapted(OFT)
    above = made.moved["Q"]
    upper = torch.zeros(2, 4, 4, dtype=torch.float64)
    upper[:, *torch.triu_indices(4, 4, 1)] = above
    Q, identity = torch.block_diag(*(upper - upper.mT)), torch.eye(8, dtype=torch.float64)
    R = (identity - Q) @ torch.linalg.inv(identity + Q)
    close(made.delta(made.moved), made.W @ R.T - made.W)
    generator = 2 * oft.skew(above, block=4).triu()
    twin = {"Q": rearrange(generator, "n i j -> 1 n i j"), "s": torch.ones(5, 1, dtype=torch.float64)}
    close(boft.delta(made.W, twin, config=ONE.config), made.delta(made.moved))


def test_ia3_multiplies_outputs_or_inputs_by_its_gains() -> None:
    for feedforward in (False, True):
        made = Adapted(Case("ia3", feedforward=feedforward))
        gains = made.moved["l"]
        assert ia3.at_input(gains) == feedforward
        close(made.W + made.delta(made.moved), gains * made.W)


def test_dora_fills_the_rank_of_the_layer() -> None:
    made = Adapted(Case("dora"), d_out=6)
    assert torch.linalg.matrix_rank(made.delta(made.moved)) == 6
