"""Cases that do not turn: which they are, and which of them are declared, with a reason, in survivors.toml."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ws.errors import DataError
from ws.falsify.names import CORRUPTIONS
from ws.falsify.turning import How, Trial
from ws.files.opening import content
from ws.files.toml import parsed_toml

FILE = "survivors.toml"
"""Beside the claims: a table [[survivor]] for each test that need not turn, with test, corruptions and why."""


class Declared(NamedTuple):
    """A test that need not turn under some corruptions."""

    test: str
    corruptions: tuple[str, ...]
    why: str
    models: tuple[str, ...] = ()
    """Only of these models; of all if there is none."""
    unsteered: bool = False
    """Only of the unchanged model's numbers; of every arm's if not."""

    def covers(self, trial: Trial) -> bool:
        """Whether it is about this case, corruption and arm."""
        named = trial.test == self.test and trial.corruption in self.corruptions
        return named and (not self.models or trial.model in self.models) and (trial.unsteered or not self.unsteered)


@dataclass(frozen=True)
class Survivors:
    """The trials of a run, told apart by what they mean."""

    counted: tuple[Trial, ...]
    """All trials but those of arms that only a note beside the number is made of."""
    open: tuple[Trial, ...]
    """Those that did not turn and that nothing declares."""
    excused: tuple[Trial, ...]
    """Those that did not turn and are declared."""
    idle: tuple[Declared, ...]
    """Declarations whose test was tried and turned each time: they can go."""


def survivors(trials: Sequence[Trial], declared: Sequence[Declared]) -> Survivors:
    """The trials, with those left out whose arm is read for a note alone."""
    counted = tuple(without_notes(trials))
    still = [trial for trial in counted if not trial.has_turned]
    excused = tuple(trial for trial in still if any(one.covers(trial) for one in declared))
    idle = tuple(
        one for one in declared if any(map(one.covers, counted)) and not any(one.covers(trial) for trial in excused)
    )
    return Survivors(counted, tuple(trial for trial in still if trial not in set(excused)), excused, idle)


def without_notes(trials: Iterable[Trial]) -> list[Trial]:
    """The trials of arms that a number is made of; the others only ever change a note, or stop a case with an error."""
    of_arm: dict[tuple[str, ...], list[Trial]] = defaultdict(list)
    for trial in trials:
        of_arm[trial.model, trial.test, trial.case, trial.arm].append(trial)
    return [one for found in of_arm.values() if not _is_note(found) for one in found]


def _is_note(found: Sequence[Trial]) -> bool:
    hows = {trial.how for trial in found}
    return How.NOTE in hows and hows <= {How.NOTE, How.BLIND, How.ERROR}


def read_survivors(folder: Path) -> tuple[Declared, ...]:
    """The declarations of a folder of claims; none if it has no file of them.

    Raises: DataError for a file that is not as FILE says.
    """
    path = folder / FILE
    if not path.is_file():
        return ()
    text = content(path, most=1 << 20, what="TOML", refuse=DataError)
    try:
        return tuple(map(_declared, parsed_toml(text)["survivor"]))
    except (LookupError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read ({error}); expected tables [[survivor]] with test, corruptions (of "
            f"{', '.join(CORRUPTIONS)}) and why, and perhaps models and unsteered"
        ) from error


def _declared(entry: dict[str, object]) -> Declared:
    match entry:
        case {"test": str(test), "corruptions": [*corruptions], "why": str(why), **rest} if why.strip():
            models, unsteered = rest.pop("models", []), rest.pop("unsteered", False)
            known = set(corruptions) <= CORRUPTIONS.keys() and not rest
            if known and isinstance(models, list) and isinstance(unsteered, bool):
                return Declared(test, tuple(map(str, corruptions)), why, tuple(map(str, models)), unsteered)
    raise ValueError(f"this entry: {entry}")
