"""The artifacts that numbers were computed from, each with a number of its own on the page.

A key has 32 digits and is read by up to hundreds of cases, so cases name the number and one list has the keys.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ws.report.verdicts import Record


@dataclass(frozen=True)
class Artifacts:
    """Keys of the store in the order of first use."""

    places: Mapping[str, int]
    """For each key its number, counted from 1."""
    phrases: Mapping[str, str]
    """What the evidence says of a key, in words."""

    def of(self, record: Record) -> str:
        """The numbers of what a case was computed from, such as `1-4 9`."""
        return ranges(sorted(self.places[key] for key in record.keys))

    @property
    def listed(self) -> list[tuple[str, str]]:
        """Every key, and what it is in words if that is known."""
        return [(key, self.phrases.get(key, "")) for key in self.places]


def artifacts(records: Iterable[Record], phrases: Mapping[str, str]) -> Artifacts:
    """The artifacts of all records."""
    keys = dict.fromkeys(key for record in records for key in record.keys)
    return Artifacts({key: place for place, key in enumerate(keys, start=1)}, phrases)


def ranges(places: list[int]) -> str:
    """Ascending numbers in short: 1 2 3 7 is `1-3 7`."""
    runs: list[list[int]] = []
    for place in places:
        if runs and place == runs[-1][-1] + 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    return " ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
