"""A card for each claim: what it says, what was published, and what its cases showed on each model."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from ws.html.cases import NO_MEASURE, Case, by_measure, case_of
from ws.html.provenance import Origin, origins
from ws.html.scale import Scale
from ws.html.strip import scale_of
from ws.report.register import Entry, Register
from ws.report.verdicts import Record, ordered, outcomes, sentence
from ws.stats.verdict import Outcome


@dataclass(frozen=True)
class Panel:
    """The forest plot of one test on one model under one measure."""

    measure: str
    cases: tuple[Case, ...]
    scale: Scale | None


@dataclass(frozen=True)
class Block:
    """One test on one model."""

    model: str
    panels: tuple[Panel, ...]

    @property
    def has_measures(self) -> bool:
        """Whether the test is asked by measures, and not by one number of its own."""
        return any(panel.measure != NO_MEASURE for panel in self.panels)

    @property
    def cases(self) -> tuple[Case, ...]:
        """In the order of the panels."""
        return tuple(case for panel in self.panels for case in panel.cases)


@dataclass(frozen=True)
class Asked:
    """One test of a claim."""

    test: str
    module: str
    """The file of the test; empty if the register does not name it."""
    published: str
    blocks: tuple[Block, ...]

    @property
    def words(self) -> str:
        behaviors = {case.record.behavior for block in self.blocks for case in block.cases}
        return sentence(self.test, behaviors.pop() if len(behaviors) == 1 else "")


@dataclass(frozen=True)
class Card:
    """A claim."""

    id: str
    sentence: str
    source: str
    tests: tuple[Asked, ...]
    controls: Mapping[str, tuple[str, ...]]
    """By module, the tests that must not hold and are run beside the claim's own."""
    origins: Mapping[str, list[Origin]]
    """By model."""
    seeds: Mapping[str, str]
    """By model, how many seeds the cases rest on."""

    @property
    def cases(self) -> tuple[Case, ...]:
        return tuple(case for asked in self.tests for block in asked.blocks for case in block.cases)

    @property
    def counts(self) -> Counter[Outcome]:
        """How many cases had each verdict."""
        return Counter(Outcome(case.record.outcome) for case in self.cases)


def cards(records: Iterable[Record], register: Register, controls: Mapping[str, tuple[str, ...]]) -> list[Card]:
    """The cards of all claims with a case, in the register's order, then of those that it does not list."""
    found = ordered(records)
    twins = outcomes(found)
    by_claim: dict[str, list[Record]] = {}
    for record in found:
        by_claim.setdefault(record.claim, []).append(record)
    places = {id: place for place, id in enumerate(register)}
    ids = sorted(by_claim, key=lambda id: (places.get(id, len(places)), id))
    cases = {id: [case_of(record, twins) for record in by_claim[id]] for id in ids}
    return [_card(id, cases[id], register.get(id), controls) for id in ids]


def _card(id: str, cases: Sequence[Case], entry: Entry | None, controls: Mapping[str, tuple[str, ...]]) -> Card:
    modules = {place.partition("::")[2]: place.partition("::")[0] for place in (entry.tests if entry else ())}
    figures = {place.partition("::")[2]: said for place, said in (entry.tests if entry else {}).items()}
    tests = dict.fromkeys([*modules, *(case.record.test for case in cases)])
    asked = [
        _asked(test, modules.get(test, ""), figures.get(test), [case for case in cases if case.record.test == test])
        for test in tests
    ]
    by_model = {
        model: [case.record for case in group] for model, group in groupby(cases, key=lambda case: case.record.model)
    }
    return Card(
        id=id,
        sentence=entry.sentence if entry else "",
        source=entry.source if entry else "",
        tests=tuple(asked),
        controls={module: controls[module] for module in sorted(set(modules.values())) if controls.get(module)},
        origins={model: origins(group) for model, group in by_model.items()},
        seeds={model: _seeds(group) for model, group in by_model.items()},
    )


def _asked(test: str, module: str, published: str | None, cases: Sequence[Case]) -> Asked:
    blocks = [_block(model, list(group)) for model, group in groupby(cases, key=lambda case: case.record.model)]
    said = published if published is not None else next((case.record.published for case in cases), "")
    return Asked(test, module, said, tuple(blocks))


def _block(model: str, cases: Sequence[Case]) -> Block:
    panels = [Panel(measure, tuple(some), scale_of(some)) for measure, some in by_measure(cases).items()]
    return Block(model, tuple(panels))


def _seeds(records: Iterable[Record]) -> str:
    return " or ".join(str(n) for n in sorted({record.n_seeds for record in records}))
