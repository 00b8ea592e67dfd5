"""What people call things that keys know by their contents. It is for lines that are printed, and part of no key."""

_CALLED: dict[str, tuple[str, ...]] = {}


def call(digest: str, *names: str) -> None:
    """Remember what something is called, instead of what it was called before."""
    _CALLED[digest] = names


def called(digest: str) -> tuple[str, ...]:
    """What something is called; nothing if nobody said."""
    return _CALLED.get(digest, ())
