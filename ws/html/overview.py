"""How many cases of each claim came out how, measure by measure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ws.html.cards import Card
from ws.html.cases import MEASURES
from ws.stats.verdict import Outcome


@dataclass(frozen=True)
class Overview:
    """A table with a line per claim and a column per measure."""

    measures: tuple[str, ...]
    counts: Mapping[str, Mapping[str, Counter[Outcome]]]
    """By claim and measure."""
    totals: Counter[Outcome]


def overview(cards: Sequence[Card]) -> Overview:
    """The counts of all cards."""
    cases = [(card.id, case) for card in cards for case in card.cases]
    counts: dict[str, dict[str, Counter[Outcome]]] = {card.id: {} for card in cards}
    for id, case in cases:
        counts[id].setdefault(case.measure, Counter())[Outcome(case.record.outcome)] += 1
    measures = in_order({case.measure for _, case in cases}, MEASURES)
    return Overview(measures, counts, Counter(Outcome(case.record.outcome) for _, case in cases))


@dataclass(frozen=True)
class Choices:
    """What can be chosen among in each filter; one with fewer than two choices is left out."""

    model: tuple[str, ...]
    claim: tuple[str, ...]
    family: tuple[str, ...]
    measure: tuple[str, ...]
    footing: tuple[str, ...]
    verdict: tuple[str, ...]

    @property
    def shown(self) -> dict[str, tuple[str, ...]]:
        return {name: some for name, some in vars(self).items() if len(some) > 1}


def choices(cards: Sequence[Card], families: Sequence[str]) -> Choices:
    """What the cases of these cards differ in."""
    cases = [case for card in cards for case in card.cases]
    return Choices(
        model=tuple(dict.fromkeys(case.record.model for case in cases)),
        claim=tuple(card.id for card in cards),
        family=in_order({family for case in cases for family in case.families}, families),
        measure=in_order({case.measure for case in cases}, MEASURES),
        footing=tuple(sorted({case.footing for case in cases} - {""})),
        verdict=in_order({case.record.outcome for case in cases}, [str(one) for one in Outcome]),
    )


def in_order(found: Iterable[str], order: Sequence[str]) -> tuple[str, ...]:
    """Names in a given order; those that it does not have come last."""
    return tuple(sorted(found, key=lambda name: (order.index(name) if name in order else len(order), name)))
