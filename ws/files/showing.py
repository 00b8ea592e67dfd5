"""What somebody else wrote, shown in a message: known again by its author, and never long."""

import reprlib

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 4
_SHORT.maxlevel = 3


def brief(value: object) -> str:
    """A value as Python writes it, with the middle of what is long left out."""
    return _SHORT.repr(value)


def brief_line(error: BaseException) -> str:
    """What an error says, in one line that is not too long."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def brief_names(names: list[str]) -> list[str]:
    """Names to show in a message: not too many, none too long."""
    return [name[:40] for name in names[:20]]
