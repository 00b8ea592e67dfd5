"""The recipes of the tiny model: weights, pairs, adapters, directions, rows, what lenses read."""

from ws.engine.loading import SelfCheck, loaded
from ws.lenses.cosine import InnerProducts
from ws.lenses.cuts import SharedBasis
from ws.scoring.rows import Rows
from ws.steering.interventions import Weights
from ws.store import Recipe, Store
from ws.tests.small import ON, SYCOPHANCY, adapter
from ws.training.direction import Direction

QUESTIONS = SYCOPHANCY.questions("validation")[:4]


def tiny() -> list[Recipe]:
    """What is asked for; the weights, pairs, four adapters and two directions are built for it."""
    lora, delora = (Direction(adapter(name), adapter(name, sign="minus")) for name in ("lora", "delora"))
    return [
        SelfCheck(ON.weights, ON.device),
        Rows(ON, QUESTIONS, SYCOPHANCY.prefill, Weights(lora), (-1.0, 1.0)),
        InnerProducts(lora, delora),
        SharedBasis((lora, delora)),
    ]


def warm(store: Store) -> None:
    """Load the model, so that processes that fork from this one need not."""
    loaded(ON, store)
