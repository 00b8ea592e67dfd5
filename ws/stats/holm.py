"""Several cases of one claim under one error rate.

Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
"""

from collections.abc import Sequence


def adjusted(own: float, others: Sequence[float]) -> float:
    """The p-value of one of several cases by Holm's rule: at or below the error rate that they share, it is decided.

    The k-th smallest of n p-values is multiplied by n - k + 1, and a case is never decided before a smaller p-value is.
    """
    ordered = sorted([own, *others])
    place = ordered.index(own)
    steps = (p * (len(ordered) - k) for k, p in enumerate(ordered[: place + 1]))
    return min(1.0, max(steps))


def share(own: float, others: Sequence[float]) -> int:
    """What divides the error rate for this case, if all cases with smaller p-values are decided."""
    return 1 + sum(p >= own for p in others)
