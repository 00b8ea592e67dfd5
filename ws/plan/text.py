"""A plan in words, at most 80 columns wide."""

import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterator

from ws.live.builds import clock
from ws.plan.building import Build
from ws.plan.needs import Nodes
from ws.plan.plan import Plan

WIDTH = 80
NAMED = 3
"""How many of the cases that unfold later, or links of the longest chain, are named."""


def in_words(plan: Plan, nodes: Nodes, *, verbose: bool = False) -> str:
    """What is missing, kind by kind, how long it takes on these machines, and what shows only later.

    If `verbose`, also why cases ended in an error on made-up numbers.
    """
    return "\n".join([*_lines(plan, nodes), *(_ended(plan) if verbose else ())])


def _lines(plan: Plan, nodes: Nodes) -> Iterator[str]:
    of = f"{plan.cases} {'case' if plan.cases == 1 else 'cases'}"
    if not plan.graph and not plan.unfolding and not plan.failing:
        yield f"nothing to build: all that {of} {'reads' if plan.cases == 1 else 'read'} is there"
        return
    yield f"{len(plan.graph)} {'artifact' if len(plan.graph) == 1 else 'artifacts'} to build for {of}"
    yield ""
    yield f"  {'artifact':<20}{'number':>8}{'each':>10}{'together':>12}"
    yield from _by_kind(plan)
    yield ""
    yield from _times(plan, nodes)
    later = [*plan.unfolding, *plan.failing]
    if later:
        named = list(dict.fromkeys(name.partition("[")[0] for name in later))
        yield _wrapped(
            f"{len(later)} {'case' if len(later) == 1 else 'cases'} may ask for more when some of it is there: "
            f"{', '.join(named[:NAMED])}{', ...' if len(named) > NAMED else ''}"
        )


def _ended(plan: Plan) -> Iterator[str]:
    """Why cases ended before all was asked for: a line for each reason, with the first case and how many more."""
    cases: dict[str, list[str]] = defaultdict(list)
    for name, reason in plan.failing.items():
        cases[reason].append(name)
    for reason, (first, *others) in cases.items():
        more = f" and {len(others)} more" if others else ""
        yield _wrapped(f"on made-up numbers {first}{more} ended in: {reason}")


def result_in_words(made: Build, *, seconds: float, workers: int) -> str:
    """What became of a build that took so many seconds with that many workers."""
    busy = sum(made.seconds.values(), 0.0)
    said = f"{len(made.seconds)} artifacts built in {clock(seconds)}, {clock(busy)} of work"
    if seconds and workers > 1:
        said += f"; {workers} workers were busy {100 * busy / (seconds * workers):.0f}% of the time"
    said += f"; at most {made.peak / 2**30:.1f} GiB in a process" if made.peak else ""
    if made.failures:
        said += f"; {len(made.failures)} cannot be built, and {len(made.lost)} need one of these"
    return _wrapped(said)


def _by_kind(plan: Plan) -> Iterator[str]:
    keys: dict[str, list[str]] = defaultdict(list)
    for key, node in plan.graph.items():
        keys[type(node.recipe).__name__].append(key)
    times = {kind: [plan.known[key] for key in of if key in plan.known] for kind, of in keys.items()}
    for kind, of in sorted(keys.items(), key=lambda item: (-sum(times[item[0]]), item[0])):
        known = times[kind]
        each, together = (f"{sum(known) / len(known):.1f} s", clock(sum(known))) if known else ("?", "?")
        yield f"  {kind:<20}{len(of):>8}{each:>10}{together:>12}"


def _times(plan: Plan, nodes: Nodes) -> Iterator[str]:
    if not plan.known:
        yield _wrapped("How long that takes shows once some of each kind were built in this store.")
        return
    schedule = plan.schedule
    chain = schedule.critical
    least = sum(schedule.seconds[key] for key in chain)
    kinds = " > ".join(type(plan.graph[key].recipe).__name__ for key in chain)
    yield f"one worker: {clock(schedule.total)}"
    workers = sum(node.cores for node in nodes.values())
    if workers > 1:
        on = f" on {len(nodes)} machines" if len(nodes) > 1 else ""
        yield f"{workers} workers{on}: {clock(plan.seconds(nodes))}"
    yield _wrapped(f"any number of workers: {clock(least)}, the longest chain ({kinds})")
    if plan.binds_from > 2:
        n = plan.binds_from - 1
        yield _wrapped(f"up to {n} workers share the work within a tenth; from then on the longest chain binds")
    for model, scaled in sorted(Counter(plan.scaled[key] for key in plan.graph if key in plan.scaled).items()):
        yield _wrapped(f"{scaled} are expected by those of {model}, times the size of the model, till some were built")
    if unknown := sum(key not in plan.known for key in plan.graph):
        yield _wrapped(f"{unknown} of kinds that this store has no times of are taken to last as long as others")


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent="  ")
