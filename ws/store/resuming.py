"""What a run says that goes on after one that was killed: what it found, took over and cleared away."""

from collections.abc import Iterable
from pathlib import Path

from ws.store import progress, scratch
from ws.store.scratch import KEY, Cleared


def go_on(root: Path) -> None:
    """Clear away what killed builds have left in a store, and say so if there was any."""
    cleared = scratch.clear_away(root)
    if cleared.taken_over or cleared.removed:
        progress.say(in_words(cleared, there=_artifacts(root)))


def in_words(cleared: Cleared, *, there: int) -> str:
    """One line for what was found; `there` is how many artifacts a store has now."""
    taken, halves = len(cleared.taken_over), len(cleared.removed)
    parts = [f"going on after a build that was killed: artifacts there: {there}"]
    if taken:
        parts.append(f"of these finished but not yet in place: {taken}, taken over ({_named(cleared.taken_over)})")
    if halves:
        size = f"{cleared.bytes / 1e6:.1f} MB"
        parts.append(f"half built: {halves}, cleared away ({_named(cleared.removed)}; {size})")
    return ", ".join(parts)


def _artifacts(root: Path) -> int:
    return sum(1 for home in root.glob("*/*") if KEY.fullmatch(home.name))


def _named(names: Iterable[str]) -> str:
    """The first digits of some keys."""
    shown = [name[:6] for name in names]
    return " ".join([*shown[:3], *([f"and {len(shown) - 3} more"] if len(shown) > 3 else [])])
