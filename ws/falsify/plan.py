"""Which arms are spoilt together, so that every case meets one spoilt arm at a time and few runs are needed."""

from collections import defaultdict
from collections.abc import Mapping

from ws.falsify.arms import Arm

Reads = Mapping[str, tuple[Arm, ...]]
"""The arms that each case reads."""


def rounds(cases: Reads) -> list[tuple[Arm, ...]]:
    """The arms in as few groups as a simple rule finds, such that no case reads two of a group.

    The arm that is read beside most others is placed first, each in the first group that has room for it.
    """
    beside: dict[Arm, set[Arm]] = defaultdict(set)
    for arms in cases.values():
        for arm in arms:
            beside[arm].update(arms)
    groups: list[list[Arm]] = []
    for arm in sorted(beside, key=lambda one: (-len(beside[one]), one.name, one.keys)):
        place = next((group for group in groups if beside[arm].isdisjoint(group)), None)
        if place is None:
            groups.append([arm])
        else:
            place.append(arm)
    return [tuple(group) for group in groups]
