"""Regular expressions that somebody else wrote, which a library will look for in names of modules.

Python's `re` tries every way to match: a repeat inside a repeat, or of alternatives, takes twice as long with every
further letter. Such a pattern is never needed to name modules.
"""

import re
import warnings

MOST_LETTERS = 20_000
"""The longest pattern: a list of all modules of a large model."""

MOST_REPEATS = 4
"""Repeats without a bound: together they are tried in every division of a name."""

_PARTS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]?|\(\?[:=!]|\(\?<[=!]|\(|\)|\||\*|\+|\{\d*,?\d*\}|.", re.DOTALL)


def why_not(pattern: str) -> str | None:
    """Why a pattern is not looked for, in words; None if nothing speaks against it."""
    if len(pattern) > MOST_LETTERS:
        return f"it has {len(pattern):,} letters, {MOST_LETTERS:,} at most are read"
    try:
        with warnings.catch_warnings():
            # Python warns of what it will read otherwise one day, such as a set within a set.
            warnings.simplefilter("error", FutureWarning)
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError, FutureWarning) as error:
        return f"it is none ({str(error)[:80]})"
    return _why_slow(pattern)


def _why_slow(pattern: str) -> str | None:
    """Why looking for it could take without end."""
    repeats = 0
    groups = [False]
    """For each open group, whether something in it is repeated or an alternative."""
    closed = False
    for part in _PARTS.findall(pattern):
        if part in "*+" or part.startswith("{"):
            if closed:
                return "it repeats what is itself repeated or has alternatives"
            groups[-1] = True
            repeats += 1
        closed = False
        if part == "|":
            groups[-1] = True
        elif part.startswith("("):
            groups.append(False)
        elif part == ")" and len(groups) > 1:
            closed = groups.pop()
            groups[-1] |= closed
    return f"it has {repeats} repeats, {MOST_REPEATS} at most are looked for" if repeats > MOST_REPEATS else None
