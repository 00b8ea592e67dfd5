"""Every error this package raises on purpose.

A message says what was seen, what was expected and what to do about it.
"""

import difflib
from collections.abc import Iterable


class WsError(Exception):
    """The root: catch this to catch everything below."""


class UnknownNameError(WsError, KeyError):
    """A family, behavior, model or lens that no table lists."""

    def __init__(self, what: str, name: object, known: Iterable[str], *, others: str = "") -> None:
        """`others` says in words what else a name may be."""
        names = sorted(known)
        meant = [f"did you mean {close!r}?" for close in difflib.get_close_matches(str(name), names, n=1)]
        said = [f"unknown {what} {name!r}", f"known: {', '.join(names)}", *filter(None, [others]), *meant]
        super().__init__("; ".join(said))

    def __str__(self) -> str:
        return str(self.args[0])


class ShapeError(WsError, ValueError):
    """Tensors, ranks or blocks that do not fit each other."""


class DataError(WsError, ValueError):
    """Rows, pairs or answers that are missing, wrong or too few for what is to be computed from them."""


class ChatError(WsError, ValueError):
    """A tokenizer or chat template that lacks something the prompts need."""


class TrainingError(WsError, ArithmeticError):
    """A training run whose numbers are broken."""


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
