"""The claims that are simulated: as many kinds as the suite has, and some that try the rules harder than any claim."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ws.calibration.worlds import (
    Claim,
    World,
    a_tenth_more,
    above,
    all_of,
    in_a_circle,
    known_facts,
    ratio,
    ratio_near_0,
    within,
    within_estimated,
    within_little,
)


@dataclass(frozen=True)
class Scenario:
    """A simulated claim, and what its rates are held against."""

    name: str
    claim: Claim
    world: World
    quick: bool = False
    """Whether the quick form includes it."""
    conservative: bool = False
    """Whether intervals may hold the truth more than 97% of the time: where seeds know only their own variance, where
    families differ in it, with heavy tails, and where several looks share the 5%. The table marks these."""
    may_hold: bool = False
    """Whether HOLDS is right, so that only REFUTED is false: of two numbers the larger is a tenth larger."""
    until_decided: bool = False
    """Whether the claim is looked at with more and more of the world's seeds until it is decided."""


def scenarios() -> Iterator[Scenario]:
    """All of them, by what they vary."""
    yield from _seeds_and_cases()
    yield from _harder()
    yield from _other_hypotheses()
    yield from _conjunctions()
    yield from _until_decided()


def _seeds_and_cases() -> Iterator[Scenario]:
    for cases in (1, 2, 3, 7, 14):
        for variance in (0.3, 3.0):
            yield Scenario(
                f"{_cases(cases)}, seeds {variance:g}",
                above,
                World(cases=cases, seed_variance=variance),
                quick=(cases, variance) in ((1, 0.3), (7, 3.0)),
                conservative=cases < 3,
            )
    for seeds in (5, 8, 20):
        yield Scenario(f"7 cases, {seeds} seeds", above, World(cases=7, seeds=seeds), quick=seeds == 5)
    for clusters in (12, 56):
        yield Scenario(f"7 cases, {clusters} clusters", above, World(cases=7, clusters=clusters))
    for seeds in (3, 8):
        yield Scenario(f"7 cases of all of dW, {seeds} seeds", above, World(cases=7, clusters=1, seeds=seeds))
    yield Scenario("2 cases of all of dW, 8 seeds", above, World(cases=2, clusters=1, seeds=8), quick=True)
    yield Scenario("7 cases of what is known of facts", known_facts, World(cases=7, clusters=40, seeds=8))
    yield Scenario("7 cases, nothing varies between seeds", above, World(cases=7, seed_variance=0.0), quick=True)
    yield Scenario("7 cases, one seed", above, World(cases=7, seeds=1, seed_variance=0.0))


def _harder() -> Iterator[Scenario]:
    for cases in (3, 7, 14):
        yield Scenario(f"{cases} cases, half the seeds' variance shared", above, World(cases=cases, shared=0.5))
        yield Scenario(
            f"{cases} cases, one shared arm dominates",
            above,
            World(cases=cases, seed_variance=3.0, shared=0.9),
            quick=cases == 7,
        )
        yield Scenario(f"{cases} cases, one wild", above, World(cases=cases, wild=5.0), quick=cases == 7)
        yield Scenario(
            f"{cases} cases that differ", above, World(cases=cases, differ=0.7), quick=cases == 7, conservative=True
        )
        yield Scenario(f"{cases} cases in a circle", in_a_circle, World(cases=cases), quick=cases == 3)
    yield Scenario("7 cases, heavy tails", above, World(cases=7, heavy=True), quick=True, conservative=True)
    yield Scenario("1 case, heavy tails", above, World(heavy=True), conservative=True)


def _other_hypotheses() -> Iterator[Scenario]:
    for cases in (1, 7):
        world = World(cases=cases)
        yield Scenario(f"{_cases(cases)} at a margin", within, world, quick=cases == 7, conservative=cases < 3)
        yield Scenario(
            f"{_cases(cases)} at a narrow margin", within_little, world, quick=cases == 1, conservative=cases < 3
        )
        yield Scenario(f"{_cases(cases)} at an estimated margin", within_estimated, world, conservative=cases < 3)
        yield Scenario(
            f"{_cases(cases)} of a tenth more", a_tenth_more, world, quick=cases == 7, conservative=True, may_hold=True
        )
        yield Scenario(f"{_cases(cases)} of a ratio at a gate", ratio, world, quick=cases == 7, conservative=cases < 3)
        yield Scenario(f"{_cases(cases)} of a ratio, denominator near 0", ratio_near_0, world, conservative=cases < 3)


def _conjunctions() -> Iterator[Scenario]:
    for parts in (2, 6, 10, 24):
        yield Scenario(f"{parts} parts, all at 0", all_of(parts), World(), quick=parts == 6)
        yield Scenario(f"{parts} parts, one at 0", all_of(parts, at_boundary=1), World())
    yield Scenario("7 cases of 4 parts, all at 0", all_of(4), World(cases=7), quick=True)
    yield Scenario("4 parts alike, all at 0", all_of(4, common=0.8), World())


def _until_decided() -> Iterator[Scenario]:
    def scenario(name: str, claim: Claim, world: World, *, quick: bool = False) -> Scenario:
        name = f"{name}, up to {world.seeds} seeds"
        return Scenario(name, claim, world, quick=quick, conservative=True, until_decided=True)

    for cases in (1, 7):
        yield scenario(_cases(cases), above, World(cases=cases, seeds=13, seed_variance=3.0), quick=True)
    yield scenario("1 case", above, World(seeds=34, seed_variance=3.0))
    yield scenario("1 case, seeds 0.3", above, World(seeds=13, seed_variance=0.3))
    dominated = World(cases=7, seeds=13, seed_variance=3.0, shared=0.9)
    yield scenario("7 cases, one shared arm dominates", above, dominated)
    yield scenario("7 cases that differ", above, World(cases=7, seeds=13, differ=0.7))
    yield scenario("7 cases at a margin", within, World(cases=7, seeds=13))
    yield scenario("6 parts, all at 0", all_of(6), World(seeds=13))


def _cases(n: int) -> str:
    return "1 case" if n == 1 else f"{n} cases"
