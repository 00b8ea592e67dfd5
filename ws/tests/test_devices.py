"""Everything is computed where the model is: on a CUDA device that torch makes believe, mixing devices is an error.

`FakeTensorMode` follows shapes, dtypes and devices through every operation, refuses a mix of devices, and computes
nothing; so no GPU is needed. What reads a number of a tensor is out of its reach. Copying to a device is checked by the
build of torch, so one for the CPU alone makes nobody believe in CUDA.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
import transformers
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ws.adapters import family as family_of
from ws.delta.steering import steered
from ws.delta.update import Dense, LowRank, Update
from ws.delta.weight_delta import WeightDelta
from ws.engine.endings import logits_at
from ws.engine.plain import plain_batch
from ws.models.language import LanguageModel
from ws.models.table import weights_of
from ws.models.yesno import AnswerTokens, scores
from ws.steering.interventions import shifted
from ws.tests.gguf_writing import SHAPE
from ws.tests.small import SHAPES, every_family
from ws.training.inject import AdaptedLinear

PROMPTS = ((5, 6, 7, 8), (5, 6, 9), (5, 6, 7, 8, 10))
CUDA = torch.device("cuda", 0)

pytestmark = pytest.mark.skipif(
    not torch.backends.cuda.is_built(), reason="this build of torch is for the CPU alone; PyPI's for Linux knows CUDA"
)


@pytest.fixture
def make_believe() -> Iterator[FakeTensorMode]:
    """Inside, tensors have a device and no numbers; those made before count as being on the CPU."""
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        yield mode


@pytest.fixture
def there(make_believe: FakeTensorMode) -> LanguageModel:
    """A tiny model on a GPU."""
    config = transformers.Qwen3Config(**{**SHAPE, "vocab_size": 284, "bos_token_id": None, "eos_token_id": 2})
    with torch.device("cuda"):
        model = transformers.Qwen3ForCausalLM(config).eval().requires_grad_(False)
    return LanguageModel("there", model, None, weights_of("tiny-random-qwen3"), passes="plain")  # type: ignore[arg-type]


def test_a_mix_of_devices_would_be_seen(make_believe: FakeTensorMode) -> None:
    with pytest.raises(RuntimeError, match="same device"):
        torch.ones(2, device="cuda") + torch.ones(2)


@every_family
def test_an_adapter_is_where_its_weight_is(make_believe: FakeTensorMode, family: str) -> None:
    module, shape = family_of(family), SHAPES[family]
    W, x = torch.randn(32, 32, device="cuda"), torch.randn(2, 3, 32, device="cuda")
    params = module.init(W, config=shape, generator=torch.Generator().manual_seed(0))
    made = [*params.values(), module.delta(W, params, config=shape), module.forward(x, W, params, config=shape)]
    assert {value.device for value in made} == {CUDA}
    assert {value.dtype for value in made} == {torch.float32}


@every_family
def test_an_adapted_layer_computes_where_the_layer_is(make_believe: FakeTensorMode, family: str) -> None:
    with torch.device("cuda"):
        linear, x = nn.Linear(32, 32), torch.randn(2, 3, 32)
    params = family_of(family).init(linear.weight, config=SHAPES[family], generator=torch.Generator().manual_seed(0))
    assert AdaptedLinear(linear, params, SHAPES[family])(x).device == CUDA


Passes = Callable[[LanguageModel], Iterator[Tensor]]


def plain(lm: LanguageModel) -> Iterator[Tensor]:
    yield from (logits for _, logits in plain_batch(PROMPTS, start=0, together=True).ends(lm))


def at_each(lm: LanguageModel) -> Iterator[Tensor]:
    batch = plain_batch(PROMPTS, start=0, together=True)
    yield from (logits for _, logits in logits_at(lm, batch, [slice(-2, None)] * len(PROMPTS)))


@pytest.mark.parametrize("passes", [plain, at_each])
def test_prompts_are_read_where_the_model_is(there: LanguageModel, passes: Passes) -> None:
    found = list(passes(there))
    assert {logits.device for logits in found} == {CUDA}
    assert all(logits.shape[-1] == 284 for logits in found)


def low_rank(W: Tensor) -> Update:
    return LowRank(torch.randn(len(W), 2, device="cuda"), torch.randn(2, W.shape[1], device="cuda"))


def dense(W: Tensor) -> Update:
    return Dense(torch.randn(tuple(W.shape), device="cuda"))


@pytest.mark.parametrize("update", [low_rank, dense])
@pytest.mark.parametrize("tokens", [None, 1])
def test_dw_is_added_where_the_model_is(
    there: LanguageModel, update: Callable[[Tensor], Update], tokens: int | None
) -> None:
    delta = WeightDelta({path: update(linear.weight) for path, linear in there.linears(0, 1).items()})  # type: ignore[arg-type]
    with steered(there, delta, coeff=2.0, tokens=tokens):
        assert {logits.device for logits in plain(there)} == {CUDA}


def test_a_vector_of_the_cpu_is_added_where_the_model_is(there: LanguageModel) -> None:
    with shifted(there, {0: torch.randn(32)}, coeff=1.0):
        assert {logits.device for logits in plain(there)} == {CUDA}


def test_answers_are_read_where_the_logits_are(make_believe: FakeTensorMode) -> None:
    found = scores(torch.randn(3, 10, device="cuda"), AnswerTokens((1, 2), (3,)))
    assert {found.log_yes.device, found.log_no.device} == {CUDA}


# bfloat16


def test_dw_stays_in_fp32_beside_weights_in_bf16(lm: LanguageModel) -> None:
    half = replace(lm, model=deepcopy(lm.model).bfloat16(), passes="plain")
    path, linear = next(iter(half.linears(0, 1).items()))
    before, x = linear.weight.detach().clone(), torch.randn(1, 4, linear.in_features).bfloat16()  # type: ignore[operator, arg-type]
    # A thousandth of the weights, of which bf16 keeps two or three digits.
    step = 1e-3 * torch.randn(tuple(before.shape), generator=torch.Generator().manual_seed(0)) * before.float().std()
    added: list[AbstractContextManager[object]] = [
        steered(half, WeightDelta({path: Dense(step)}), coeff=3.0, tokens=tokens) for tokens in (None, 1)
    ]
    expected = (nn.functional.linear(x, before).float() + 3 * nn.functional.linear(x.float(), step)).bfloat16()
    for context in added:
        with context:
            assert torch.equal(linear.weight, before)  # type: ignore[arg-type]
            assert torch.equal(linear(x), expected)
    assert step.dtype == torch.float32
    # The control: rounded into the weights, most of dW would be gone.
    assert ((before.float() + step).bfloat16() == before).float().mean() > 0.5
