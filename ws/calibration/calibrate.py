"""What `ws calibrate` prints: the rates of every simulated claim as a table, and which of them are out of bounds."""

from __future__ import annotations

import math
from pathlib import Path

from ws.calibration.rates import Counts, all_counts, failures
from ws.calibration.scenarios import Scenario, scenarios
from ws.report.markdown import row, with_table
from ws.store import progress

QUICK, FULL = 200, 2000
"""Trials of a scenario: a rate of 5% is known to within 1.5 and 0.5 points (one standard error)."""
HEAD = [row(["simulated claim", "false HOLDS", "false REFUTED", "coverage"]), row(["---", *["---:"] * 3])]


def calibrate(*, quick: bool, trials: int | None = None, write: Path | None = None) -> list[str]:
    """What is out of bounds, and not by chance. Prints each line of the table once it is found.

    write: a page that gets the table between its markers.
    """
    chosen = [scenario for scenario in scenarios() if scenario.quick or not quick]
    each = trials or (QUICK if quick else FULL)
    print(f"{len(chosen)} simulated claims, {each} times each", *HEAD, sep="\n", flush=True)
    lines, broken = list(HEAD), list[str]()
    found = all_counts(chosen, trials=each)
    for scenario, counts in progress.track(found, "simulated claims", total=len(chosen)):
        lines.append(row(_cells(scenario, counts)))
        print(lines[-1], flush=True)
        broken += [f"{scenario.name}: {said}" for said in failures(scenario, counts)]
    if write is not None:
        text = "\n".join([f"Each claim {each} times; * may be above 97%.", "", *lines, ""])
        write.write_text(with_table(write.read_text(encoding="utf-8"), text), encoding="utf-8")
    return broken


def _cells(scenario: Scenario, found: Counts) -> list[str]:
    mark = " *" if scenario.conservative else ""
    covered = "" if math.isnan(found.coverage) else f"{found.coverage:.1%}{mark}"
    held = "" if scenario.may_hold else f"{found.held / found.trials:.1%}"
    return [scenario.name, held, f"{found.refuted / found.trials:.1%}", covered]
