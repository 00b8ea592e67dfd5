"""The mean of several directions as one intervention."""

from dataclasses import dataclass
from functools import reduce
from operator import add

from ws.delta.weight_delta import WeightDelta
from ws.errors import DataError
from ws.models.language import LanguageModel, Placed
from ws.steering.interventions import WeightIntervention
from ws.store import Store
from ws.training.direction import Direction, direction_delta


@dataclass(frozen=True)
class MeanWeights(WeightIntervention):
    """The mean of the dW of several directions of one model, tensor by tensor."""

    directions: tuple[Direction, ...]

    def __post_init__(self) -> None:
        models = {direction.on for direction in self.directions}
        if len(models) != 1:
            raise DataError(
                f"no mean of {len(self.directions)} directions of {len(models)} models; give one direction or more, "
                "all of one model"
            )

    @property
    def on(self) -> Placed:
        return self.directions[0].on

    def delta(self, lm: LanguageModel, store: Store) -> WeightDelta:
        deltas = [direction_delta(one, lm, store) for one in self.directions]
        return reduce(add, deltas) * (1 / len(deltas))

    def describe(self) -> str:
        return f"mean of {' and '.join(one.describe() for one in self.directions)}"
