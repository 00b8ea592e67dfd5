"""How far the arithmetic of another machine may move a number.

Sums in another order change what is scored in the last digits of float32. An adapter that is trained anew on another
processor differs by more, as rounding grows over its steps; two seeds differ by far more than that. So each table has
a noise of its own: a share of its size, and a share of how far its rows differ between seeds. Numbers computed from
tables are computed from shaken tables too, so that the noise passes through every formula.
"""

from __future__ import annotations

import zlib

import numpy as np

from ws.stats.tables import Floats

Leaf = tuple[float, float]
"""The mean of a table, and how far another machine may move it."""

OF_SIZE = 1e-4
"""The share of the size (root mean square) of a table's values. Scored anew from the same weights, with AVX2 in place
of AVX-512, tables of the tiny model moved by at most 4e-5 of it, with their adapters trained anew."""
OF_SEEDS = 0.1
"""The share of how far rows differ between seeds (root mean square): another processor is a tenth of another seed."""
OF_ONE_SEED = 1e-2
"""In place of it the share of the size, where one seed does not show how far training moves."""
FLOOR = 5e-5
"""Nats: what sums of float32 logits may differ by, even if they should be equal."""
SHAKES = 64


def leaf(values: Floats, n_seeds: int) -> Leaf:
    """The mean of a table, whose lines are sorted by seed and row, with its noise."""
    with np.errstate(invalid="ignore", over="ignore"):
        by_seed = values.reshape(n_seeds, -1)
        size = float(np.sqrt(np.mean(values**2)))
        if n_seeds == 1:
            return float(values.mean()), FLOOR + (OF_SIZE + OF_ONE_SEED) * size
        apart = float(np.sqrt(by_seed.var(axis=0, ddof=1).mean()))
    return float(values.mean()), FLOOR + OF_SIZE * size + OF_SEEDS * apart


def shaken(values: Floats, mean: float, noise: float) -> Floats:
    """The mean of a table under SHAKES noises, whose root mean square is half of `noise`.

    The same table is always shaken alike, so that it cancels from itself.
    """
    drawn = np.random.default_rng(zlib.crc32(values.tobytes())).standard_normal(SHAKES)
    return mean + 0.5 * noise * drawn / np.sqrt(np.mean(drawn**2))


def noise_of(value: float, numbers: Floats) -> float:
    """How far another machine may move a number, from what it is when tables are shaken; 0 if none was."""
    if not len(numbers):
        return 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        return 2 * float(np.sqrt(np.mean((numbers - value) ** 2)))
