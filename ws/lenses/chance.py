"""The share of energy that random directions would hold: exact mean and standard deviation.

For a random projection P of rank k in a space of width d, uniform over all of them, E[P_ij P_kl] is
x delta_ij delta_kl + y (delta_ik delta_jl + delta_il delta_jk), and tr P = k, P P = P fix x and y. So mean and variance
of the energy |P A Q|^2, for independent random projections P and Q, follow from the singular values of A alone.
"""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from ws.errors import ShapeError


class Chance(NamedTuple):
    """Mean and standard deviation of a share of energy over random directions."""

    mean: float
    sd: float


class Random(NamedTuple):
    """A random subspace of k directions among d; k = d is all of the space."""

    k: int
    d: int


ALL = Random(1, 1)
"""No projection: all of this side is kept."""


def chance(values: Float[Tensor, " rank"], *, left: Random, right: Random) -> Chance:
    """The share of |A|^2 in P A Q, for A of these singular values and random projections P and Q.

    The mean is (k / d) (k' / d'). Raises: ShapeError if a subspace does not fit its space or A is zero.
    """
    energies = values.double().square()
    total, squares = energies.sum().item(), energies.square().sum().item()
    if total == 0:
        raise ShapeError("the share of a zero update in random directions; expected a non-zero one, leave it out")
    concentration = squares / total**2
    (x_left, y_left), (x_right, y_right) = _moments(left), _moments(right)
    trace_squared = x_right + 2 * y_right * concentration
    squared_trace = (x_right + y_right) * concentration + y_right
    mean = left.k / left.d * right.k / right.d
    variance = x_left * trace_squared + 2 * y_left * squared_trace - mean**2
    return Chance(mean, max(variance, 0.0) ** 0.5)


def _moments(random: Random) -> tuple[float, float]:
    k, d = random
    if not 1 <= k <= d:
        raise ShapeError(f"{k} directions in a space of width {d}; choose from 1 to {d}")
    if k == d:
        return 1.0, 0.0
    y = k * (d - k) / (d * (d - 1) * (d + 2))
    return k**2 / d**2 - 2 * y / d, y
