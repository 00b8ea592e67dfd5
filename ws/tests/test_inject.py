"""A fresh adapter computes nothing, trains alone, trains as PEFT's does, and leaves no trace."""

import gc

import pytest
import torch
from torch import Tensor, nn

from ws.adapters import FAMILIES, RANKED, AdapterConfig, ia3
from ws.adapters.targets import is_feedforward_output
from ws.errors import ShapeError
from ws.models.anatomy import matrix
from ws.models.language import LanguageModel
from ws.tests.architectures import EXPERTS, tiny_decoder
from ws.tests.small import LAYERS, SHAPES, every_family, fingerprint
from ws.tests.told import Told
from ws.training.inject import AdaptedLinear, Engine, injected

every_engine = pytest.mark.parametrize("engine", ["native", "peft"])

IDS = torch.randint(10, 900, (2, 12), generator=torch.Generator().manual_seed(3))


def logits(lm: LanguageModel) -> Tensor:
    with torch.no_grad():
        return lm.model(IDS).logits


def trainable(lm: LanguageModel) -> dict[str, nn.Parameter]:
    return {name: p for name, p in lm.model.named_parameters() if p.requires_grad}


def move(lm: LanguageModel) -> None:
    """Push every trainable parameter away from where it is."""
    with torch.no_grad():
        for parameter in trainable(lm).values():
            parameter.add_(0.1)


def four_steps(lm: LanguageModel) -> list[float]:
    """The loss before each of four steps of AdamW, and after the last."""
    optimizer = torch.optim.AdamW(trainable(lm).values(), lr=2e-3, weight_decay=0.01)
    losses = []
    for _ in range(5):
        loss = nn.functional.cross_entropy(lm.model(IDS).logits[:, :-1].flatten(0, 1), IDS[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@every_engine
@every_family
def test_it_changes_nothing_until_its_parameters_move_and_only_while_inside(
    lm: LanguageModel, family: str, engine: Engine
) -> None:
    before, everything = logits(lm), fingerprint(lm)
    with injected(lm, SHAPES[family], layers=LAYERS, seed=0, engine=engine):
        torch.testing.assert_close(logits(lm), before, atol=1e-5, rtol=1e-5)
        move(lm)
        assert (logits(lm) - before).abs().max() > 1e-2
    assert torch.equal(logits(lm), before)
    assert fingerprint(lm) == everything


@every_family
def test_only_the_trainable_parameters_of_the_family_train(lm: LanguageModel, family: str) -> None:
    linears = lm.linears(LAYERS.start, LAYERS.stop)
    with injected(lm, SHAPES[family], layers=LAYERS, seed=0):
        assert trainable(lm).keys() == {
            f"{path}.adapter_{name}" for path in linears for name in FAMILIES[family].TRAINABLE
        }


@every_engine
@every_family
def test_an_exception_leaves_no_trace(lm: LanguageModel, family: str, engine: Engine) -> None:
    def interrupted() -> None:
        with injected(lm, SHAPES[family], layers=LAYERS, seed=0, engine=engine):
            move(lm)
            raise KeyboardInterrupt

    before = fingerprint(lm)
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert fingerprint(lm) == before


def test_weights_that_peft_writes_into_are_put_back(lm: LanguageModel) -> None:
    before = logits(lm)
    with injected(lm, SHAPES["lora"], layers=LAYERS, seed=0, engine="peft"), torch.no_grad():
        for parameter in lm.model.get_decoder().layers[LAYERS.start].self_attn.parameters():
            if parameter.ndim == 2:
                parameter.mul_(2)
        assert not torch.equal(logits(lm), before)
    assert torch.equal(logits(lm), before)


@pytest.mark.parametrize("family", ["lora", "pissa"])
def test_native_neither_copies_a_weight_nor_writes_into_one(lm: LanguageModel, family: str) -> None:
    weight = lm.linears(LAYERS.start, LAYERS.stop).popitem()[1].weight

    def places() -> set[int]:
        gc.collect()
        like = (one for one in gc.get_objects() if isinstance(one, Tensor) and one.shape == weight.shape)
        return {one.untyped_storage().data_ptr() for one in like if not one.requires_grad and torch.equal(one, weight)}

    before, version = places(), weight._version
    with injected(lm, SHAPES[family], layers=LAYERS, seed=0):
        assert places() == before == {weight.untyped_storage().data_ptr()}
        four_steps(lm)
    assert weight._version == version


@every_engine
def test_parameters_are_read_as_they_are_now(lm: LanguageModel, engine: Engine) -> None:
    with injected(lm, SHAPES["lora"], layers=LAYERS, seed=0, engine=engine) as parameters:
        first = parameters()
        move(lm)
        second = parameters()
    assert first.keys() == lm.linears(LAYERS.start, LAYERS.stop).keys()
    path = min(first)
    torch.testing.assert_close(second[path]["B"] - first[path]["B"], torch.full_like(first[path]["B"], 0.1))


@every_engine
def test_a_seed_fixes_the_start(lm: LanguageModel, engine: Engine) -> None:
    def start(seed: int) -> Tensor:
        with injected(lm, SHAPES["lora"], layers=LAYERS, seed=seed, engine=engine) as parameters:
            return torch.cat([params["A"].flatten() for params in parameters().values()])

    first = start(0)
    assert torch.equal(start(0), first)
    assert not torch.equal(start(1), first)


@every_engine
def test_ia3_gates_the_input_of_the_feedforward_output_alone(lm: LanguageModel, engine: Engine) -> None:
    with injected(lm, SHAPES["ia3"], layers=LAYERS, seed=0, engine=engine) as parameters:
        at_input = {path for path, params in parameters().items() if ia3.at_input(params["l"])}
    assert at_input == {path for path in lm.linears(LAYERS.start, LAYERS.stop) if is_feedforward_output(path)}
    assert len(at_input) == len(LAYERS)


@every_family
def test_peft_and_native_start_alike_and_follow_the_same_loss(lm: LanguageModel, family: str) -> None:
    with injected(lm, SHAPES[family], layers=LAYERS, seed=0, engine="peft") as parameters:
        start, reference = parameters(), four_steps(lm)
    with injected(lm, SHAPES[family], layers=LAYERS, seed=0, engine="native") as parameters:
        for path, params in parameters().items():
            torch.testing.assert_close(start[path], params)
        native = four_steps(lm)
    assert reference[-1] < reference[0] - 0.02
    assert native == pytest.approx(reference, abs=1e-4)


def test_a_bias_stays_beside_the_adapter() -> None:
    generator = torch.Generator().manual_seed(0)
    linear = nn.Linear(8, 6)
    params = FAMILIES["ia3"].init(linear.weight.detach(), config=SHAPES["ia3"], generator=generator)
    doubled = AdaptedLinear(linear, {"l": 2 * params["l"]}, SHAPES["ia3"])
    x = torch.randn(3, 8, generator=generator)
    torch.testing.assert_close(doubled(x), 2 * x @ linear.weight.T + linear.bias)


@every_engine
@pytest.mark.parametrize("family", sorted(RANKED))
def test_a_layer_narrower_than_the_rank_stays_as_it_is_and_a_line_says_so(
    family: str, engine: Engine, told: Told
) -> None:
    moe = tiny_decoder(
        "Qwen2Moe", shared_expert_intermediate_size=24, num_hidden_layers=2, decoder_sparse_step=1, **EXPERTS
    )
    everything = set(moe.linears(0, 2))
    gates = {name for name in everything if name.endswith("shared_expert_gate")}
    with injected(moe, AdapterConfig(family, rank=8), layers=range(2), seed=0, engine=engine) as parameters:
        assert set(parameters()) == everything - gates
    assert any(f"2 of {len(everything)} layers are narrower than rank 8" in line for line in told)


def test_a_layer_as_narrow_as_the_rank_is_adapted(lm: LanguageModel) -> None:
    linears = lm.linears(LAYERS.start, LAYERS.stop)
    narrowest = min(min(matrix(linear).shape) for linear in linears.values())
    with injected(lm, AdapterConfig("lora", rank=narrowest), layers=LAYERS, seed=0) as parameters:
        assert set(parameters()) == set(linears)


def test_a_family_without_a_rank_leaves_no_narrow_layer_out(lm: LanguageModel) -> None:
    everything = set(lm.linears(LAYERS.start, LAYERS.stop))
    with injected(lm, AdapterConfig("oft", rank=33, block=8), layers=LAYERS, seed=0) as parameters:
        assert set(parameters()) == everything


@every_engine
def test_a_size_that_does_not_fit_is_refused(lm: LanguageModel, engine: Engine) -> None:
    refused = {AdapterConfig(name, rank=129): "rank 129 does not fit" for name in ("lora", "dora", "pissa", "delora")}
    refused[AdapterConfig("lora", rank=0)] = "rank 0 "
    refused |= {AdapterConfig(name, block=7): "side 7 do not divide d_in = 64" for name in ("oft", "boft")}
    refused[AdapterConfig("boft", block=4, butterfly=6)] = "6 butterfly factors do not fit 16 blocks"
    for shape, message in refused.items():
        with pytest.raises(ShapeError, match=message), injected(lm, shape, layers=LAYERS, seed=0, engine=engine):
            pass


def test_layers_that_do_not_exist_are_refused(lm: LanguageModel) -> None:
    with (
        pytest.raises(ShapeError, match="layers 0 to 5, but layers 4 to 8 are asked for"),
        injected(lm, SHAPES["lora"], layers=range(4, 9), seed=0),
    ):
        pass
