"""The register of commands. A new one is a function with a docstring in a module of this folder, entered below.

Only its signature is read when `ws` starts: it imports what it runs in its body, so that `ws --help` takes a moment.
Its docstring is its help: the first line goes into the list of commands, and lines that are indented stay as they are.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ws.cli import build, changes, chat, evidence, export, lenses, report, results, rows, search, store, trust, verdicts
from ws.falsify.command import falsify

COMMANDS: dict[str, Callable[..., Any]] = {
    "plan": build.plan,
    "build": build.build,
    "search": search.search,
    "table": verdicts.table,
    "claims": verdicts.claims,
    "report": report.report,
    "diff": changes.diff,
    "why": changes.why,
    "results": results.results,
    "falsify": falsify,
    "bench": trust.bench,
    "eval": rows.evaluate,
    "chat": chat.chat,
    "lenses": lenses.lenses,
    "calibrate": trust.calibrate,
    "export dw": export.dw,
    "export inspect": export.inspect,
    "export lm-eval": export.lm_eval,
    "evidence": evidence.overview,
    "evidence check": evidence.check,
    "evidence audit": evidence.audit,
    "store": store.overview,
    "store check": store.check,
    "store why": store.why,
    "store gc": store.gc,
    "store carry": store.carry,
    "store copy": store.copy,
}
"""Every command by its words. A command of one word may stand before others that begin with it, or be missing there."""


def below(group: str) -> Mapping[str, Callable[..., Any]]:
    """The commands that begin with a word and go on."""
    return {name: function for name, function in COMMANDS.items() if name.startswith(f"{group} ")}
