"""The family that the documents write out in full meets the contract of families, trains, and agrees with PEFT's."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ws.adapters import FAMILIES, AdapterConfig, Params, family
from ws.adapters.base import Family
from ws.adapters.peft.layers import SIDES, peft_side
from ws.delta.folders.peft_files import load_peft, save_peft
from ws.errors import MismatchError, ShapeError
from ws.models.language import LanguageModel
from ws.report.figures import PALETTE, colour_of, write
from ws.report.joint import Asked
from ws.report.joint_text import markdown
from ws.study.cuts import Along, cut_of
from ws.study.search import grid
from ws.study.subject import Subject
from ws.tests.documents import blocks
from ws.tests.small import LAYERS, PAIRS, TRAINING, fingerprint
from ws.tests.test_figures import table as joint_table
from ws.tests.test_train import table
from ws.training.hyperparameters import hyperparameters_of
from ws.training.inject import Engine, injected
from ws.training.train import Adapter, Below, question_rows, trained

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-family.md"
CONFIG = AdapterConfig("road")
SUBJECT = Subject("smollm2-135m")
IDS = torch.randint(10, 900, (2, 12), generator=torch.Generator().manual_seed(3))

sizes = {"pairs": st.integers(1, 6), "d_in": st.integers(1, 9), "seed": st.integers(0, 2**31)}
quick = settings(max_examples=20, deadline=None)


FAMILY, PEFT = blocks(PAGE, "python")


def module(code: str) -> ModuleType:
    """A block as a module."""
    made = ModuleType("road")
    exec(compile(code, PAGE.name, "exec"), vars(made))
    return made


road, SIDE = module(FAMILY), module(PEFT).SIDE


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The family where the tuple in `ws.adapters` would put it, and what PEFT needs of it where `SIDES` would."""
    monkeypatch.setitem(FAMILIES, road.NAME, road)
    monkeypatch.setitem(SIDES, road.NAME, SIDE)


def layer(pairs: int, d_in: int, seed: int, *, size: float = 0.5) -> tuple[Tensor, Tensor, Params]:
    """A float64 weight, inputs, and parameters away from the start."""
    torch.manual_seed(seed)
    W, x = torch.randn(2 * pairs, d_in, dtype=torch.float64), torch.randn(2, 3, d_in, dtype=torch.float64)
    start = road.init(W, config=CONFIG, generator=torch.Generator())
    return W, x, {name: value + size * torch.randn_like(value) for name, value in start.items()}


def rotation(params: Params) -> Tensor:
    """R, written out as the paper has it."""
    blocks = [
        alpha * torch.stack([torch.stack([theta.cos(), -theta.sin()]), torch.stack([theta.sin(), theta.cos()])])
        for theta, alpha in zip(params["theta"], params["alpha"], strict=True)
    ]
    return torch.block_diag(*blocks)


def test_it_is_a_family_in_less_than_80_lines() -> None:
    assert isinstance(road, Family)
    assert len(FAMILY.splitlines()) < 80
    assert "arXiv:2409.00119" in road.__doc__


@given(**sizes)
@quick
def test_the_start_adds_exactly_nothing(pairs: int, d_in: int, seed: int) -> None:
    W, x, _ = layer(pairs, d_in, seed)
    start = road.init(W, config=CONFIG, generator=torch.Generator())
    assert tuple(start) == road.TRAINABLE
    assert torch.equal(road.delta(W, start, config=CONFIG), torch.zeros_like(W))
    assert torch.equal(road.forward(x, W, start, config=CONFIG), nn.functional.linear(x, W))


@given(**sizes)
@quick
def test_it_is_the_papers_rotation(pairs: int, d_in: int, seed: int) -> None:
    W, x, params = layer(pairs, d_in, seed)
    merged = rotation(params) @ W
    torch.testing.assert_close(road.delta(W, params, config=CONFIG), merged - W)
    torch.testing.assert_close(road.forward(x, W, params, config=CONFIG), x @ merged.T)
    assert road.factors(W, params, config=CONFIG) is None


@given(**sizes)
@quick
def test_parts_sum_to_delta_and_the_first_keeps_lengths(pairs: int, d_in: int, seed: int) -> None:
    W, _, params = layer(pairs, d_in, seed)
    split = road.parts(W, params, config=CONFIG)
    torch.testing.assert_close(split["rotation"] + split["scale"], road.delta(W, params, config=CONFIG))
    torch.testing.assert_close((W + split["rotation"]).norm(dim=0), W.norm(dim=0))


@pytest.mark.usefixtures("registered")
def test_an_odd_number_of_outputs_is_refused() -> None:
    with pytest.raises(ShapeError, match="pairs outputs, but the layer has 5; leave it out"):
        family("road").check(torch.zeros(5, 4), config=CONFIG)


def test_a_bias_that_peft_would_turn_is_refused() -> None:
    layer = peft_layer(nn.Linear(6, 4, bias=True))
    with pytest.raises(MismatchError, match="turns the bias too"):
        SIDE.from_peft(layer, W=layer.get_base_layer().weight, config=CONFIG)


def peft_layer(linear: nn.Linear) -> nn.Module:
    """PEFT's RoAd around a layer."""
    from peft import inject_adapter_in_model

    return inject_adapter_in_model(
        SIDE.peft_config(CONFIG, targets="here", feedforward=""), nn.ModuleDict({"here": linear})
    )["here"]


@given(**sizes)
@quick
def test_forward_and_update_are_pefts(pairs: int, d_in: int, seed: int) -> None:
    W, x, _ = layer(pairs, d_in, seed)
    linear = nn.Linear(d_in, 2 * pairs, bias=False)
    linear.weight.data = W.float()
    theirs = peft_layer(linear)
    for value in (theirs.road_theta["default"], theirs.road_alpha["default"]):
        value.data += 0.5 * torch.randn_like(value)
    params = SIDE.from_peft(theirs, W=W.float(), config=CONFIG)
    ours = road.forward(x.float(), W.float(), params, config=CONFIG)
    torch.testing.assert_close(ours, theirs(x.float()).detach(), rtol=0, atol=1e-5)
    theirs.merge()
    merged = W.float() + road.delta(W.float(), params, config=CONFIG)
    torch.testing.assert_close(merged, theirs.get_base_layer().weight.detach(), rtol=0, atol=1e-5)


def four_steps(lm: LanguageModel, engine: Engine) -> list[float]:
    losses = []
    with injected(lm, CONFIG, layers=LAYERS, seed=0, engine=engine):
        trainable = [p for p in lm.model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trainable, lr=1e-2)
        for _ in range(5):
            loss = nn.functional.cross_entropy(lm.model(IDS).logits[:, :-1].flatten(0, 1), IDS[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


@pytest.mark.usefixtures("registered")
def test_it_trains_as_pefts_does_and_leaves_no_trace(lm: LanguageModel) -> None:
    before = fingerprint(lm)
    native, reference = four_steps(lm, "native"), four_steps(lm, "peft")
    assert native[-1] < native[0] - 0.02
    assert native == pytest.approx(reference, abs=1e-4)
    assert fingerprint(lm) == before


@pytest.mark.usefixtures("registered")
def test_training_lowers_the_loss_and_its_result_goes_through_pefts_files(lm: LanguageModel, tmp_path: Path) -> None:
    rows = question_rows(lm.tokenizer, table(12), sign="plus")
    below = Below.of(lm, [text for row in rows for text in row.texts], start=LAYERS.start)
    recipe = Adapter(PAIRS, "plus", CONFIG, replace(TRAINING, lr=2e-2, epochs=3), seed=0)
    params, curves = trained(lm, rows, below, recipe)
    assert curves["loss"][-1] < curves["loss"][0] - 0.05
    assert all(params[path]["theta"].abs().max() > 0.01 for path in params)
    save_peft(tmp_path, lm, params, CONFIG)
    back, shape = load_peft(tmp_path, lm)
    assert shape == CONFIG
    assert all(torch.equal(back[path][n], value) for path, kept in params.items() for n, value in kept.items())


def test_without_its_words_for_peft_it_has_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, road.NAME, road)
    with pytest.raises(MismatchError, match="'road' has no PEFT counterpart"):
        peft_side("road")


def test_a_family_that_peft_lacks_says_so_to_the_engine(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, road.NAME, road)
    before = fingerprint(lm)
    with (
        pytest.raises(MismatchError, match=r"'road' has no PEFT counterpart.*engine 'native'"),
        injected(lm, CONFIG, layers=LAYERS, seed=0, engine="peft"),
    ):
        pass
    assert fingerprint(lm) == before


@pytest.mark.usefixtures("registered")
def test_a_search_has_candidates_for_it() -> None:
    assert {one.shape for one in grid("road")} == {CONFIG}
    assert len({one.training.lr for one in grid("road")}) == len(grid("road")) > 1


@pytest.mark.usefixtures("registered")
def test_tables_and_figures_show_it_beside_the_others(tmp_path: Path) -> None:
    made = joint_table(("lora", "road"))
    assert {view.name for view in Asked(SUBJECT, ("road",), (0,)).views("road")} == {
        line.view.name for line in made.of(family="road")
    }
    assert "road" in markdown(made)
    assert colour_of("road") in PALETTE
    assert {path.stem for path in write(made, tmp_path, write_png=None)} >= {"index", "spectrum", "modules"}


@pytest.mark.usefixtures("registered")
def test_it_trains_and_steers_under_the_hyper_parameters_of_any_model() -> None:
    direction = SUBJECT.direction("road", seed=0)
    assert direction.plus.shape == hyperparameters_of(SUBJECT.model, "road").shape
    shared = cut_of(SUBJECT, "lora", Along(8, of="shared"), seed=0)
    assert direction in shared.basis
