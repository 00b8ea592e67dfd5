"""The register of commands. A new one is a function with a docstring in a module of this folder, entered below.

Only its signature is read when `ws` starts: it imports what it runs in its body, so that `ws --help` takes a moment.
"""

from collections.abc import Callable
from typing import Any

from ws.cli import evidence, lenses, rows, search, store, trust, verdicts
from ws.falsify.command import falsify

COMMANDS: dict[str, Callable[..., Any]] = {
    "search": search.search,
    "table": verdicts.table,
    "claims": verdicts.claims,
    "falsify": falsify,
    "bench": trust.bench,
    "eval": rows.evaluate,
    "lenses": lenses.lenses,
    "calibrate": trust.calibrate,
    "evidence": evidence.overview,
    "store": store.overview,
}

GROUPS: dict[str, dict[str, Callable[..., Any]]] = {"evidence": evidence.EVIDENCE, "store": store.UPKEEP}
"""The commands that follow some of these."""
