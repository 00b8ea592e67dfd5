"""Every error this package raises on purpose.

A message says what was seen, what was expected and what to do about it.
"""

import difflib
import re
from collections.abc import Iterable


class WsError(Exception):
    """The root: catch this to catch everything below."""


class UnknownNameError(WsError, KeyError):
    """A family, behavior, model or lens that no table lists."""

    def __init__(self, what: str, name: object, known: Iterable[str], *, others: str = "") -> None:
        """`others` says in words what else a name may be."""
        names = sorted(known)
        close = " or ".join(map(repr, near(str(name), names)))
        meant = [f"did you mean {close}?"] if close else []
        said = [f"unknown {what} {name!r}", f"known: {_listed(names)}", *filter(None, [others]), *meant]
        super().__init__("; ".join(said))

    def __str__(self) -> str:
        return str(self.args[0])


MOST_SHOWN = 24
"""So many names are shown of a table; of a longer one the first and the last."""


def near(name: str, known: Iterable[str], *, most: int = 3) -> list[str]:
    """The names that somebody may have meant who wrote `name`: much like it, or with it as a part; best first."""
    folded = {one.casefold(): one for one in known}
    wanted = name.casefold()
    same = [one for one in folded if _without_zeros(one) == _without_zeros(wanted)]
    longer = sorted((one for one in folded if wanted and wanted in one), key=len)
    meant = same or [*_alike(wanted, folded), *longer]
    return [folded[one] for one in dict.fromkeys(meant)][:most]


def _alike(wanted: str, known: Iterable[str]) -> list[str]:
    """Names much like another one, best first; none that is clearly less like it than the best."""
    scores = {one: difflib.SequenceMatcher(None, one, wanted).ratio() for one in known}
    least = max([0.6, *(score - 0.1 for score in scores.values())])
    return sorted((one for one, score in scores.items() if score >= least), key=lambda one: (-scores[one], one))


def _without_zeros(name: str) -> str:
    """C05 as C5."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", name)


def _listed(names: list[str]) -> str:
    if len(names) <= MOST_SHOWN:
        return ", ".join(names)
    return f"{', '.join(names[:3])}, ..., {names[-1]} ({len(names)} in all)"


class ShapeError(WsError, ValueError):
    """Tensors, ranks or blocks that do not fit each other."""


class DataError(WsError, ValueError):
    """Rows, pairs or answers that are missing, wrong or too few for what is to be computed from them."""


class ChatError(WsError, ValueError):
    """A tokenizer or chat template that lacks something the prompts need."""


class TrainingError(WsError, ArithmeticError):
    """A training run whose numbers are broken."""


class CommandError(WsError, ValueError):
    """Words on a command line that are no command, or none of its arguments."""


class MismatchError(WsError, ValueError):
    """Two things that do not belong together, such as parts made for different models or from different recipes."""


class ModelError(WsError, TypeError):
    """A model that cannot be steered or scored here: of another kind, too large, or with a part missing."""


class DeviceError(WsError, RuntimeError):
    """A device or number format that this machine does not have."""


class StoreError(WsError, OSError):
    """The artifact store cannot be read or written."""


class DownloadError(WsError, OSError):
    """A file that could not be fetched, or is not the file that was pinned."""


class ModelFileError(WsError, ValueError):
    """A model file with contents that this package cannot read correctly."""


class EstimateError(WsError, ValueError):
    """Estimates that cannot be combined or compared."""
