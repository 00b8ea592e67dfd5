"""Numbers as text, in every table and message."""


def number(x: float | None) -> str:
    """A number as text, with as many digits as are useful."""
    if x is None:
        return "n/a"
    return f"{x:.2f}" if abs(x) >= 0.1 or x == 0 else f"{x:.3f}"


def told_apart(old: float | None, new: float | None) -> tuple[str, str]:
    """Two numbers as text, with the usual number of digits, or more if they would look equal otherwise."""
    short = number(old), number(new)
    return short if short[0] != short[1] else (f"{old:.6g}", f"{new:.6g}")
