"""What a survey found, as a table for people and as a record."""

import json
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from ws.bench.survey.finding import OUTCOMES, Finding

ENOUGH = 110
"""Fewest architectures that have to be right: the decoders from ids to logits in every supported transformers."""

KNOWN = {"openai-gpt": "exception"}
"""Faults that are known and not mended. openai-gpt's blocks return a list, which states by depth cannot read."""
MEANINGS = {
    "packed": "right, by packed sequences",
    "plain": "right, by the model's own forward pass",
    "wrong": "other numbers than the model's own",
    "refused": "refused by name",
    "exception": "an error that is not ours",
    "not built": "not made or not run by transformers",
    "not stored": "not saved or not read back by transformers",
}
NAME, NUMBER = 26, 8
"""Widths of columns."""
WIDTH = 80


def text(findings: Sequence[Finding]) -> str:
    """The table, 80 columns wide, in the order of OUTCOMES, and how many there are of each."""
    ordered = sorted(findings, key=lambda found: (OUTCOMES.index(found.outcome), found.architecture))
    head = f"{'architecture':{NAME}} {'off':>{NUMBER}} {'dW moves':>{NUMBER}}  outcome"
    return "\n".join([head, *(line for found in ordered for line in _lines(found)), "", counts(findings)])


def markdown(findings: Sequence[Finding], versions: str) -> str:
    """The table as a Markdown page."""
    lines = [f"Architectures of {versions}", "", counts(findings), ""]
    lines += ["| architecture | outcome | off, nats | dW moves, nats | note |", "| --- | --- | --- | --- | --- |"]
    for found in sorted(findings, key=lambda found: found.architecture):
        numbers = f"{_number(found.off_nats)} | {_number(found.moved_nats)}"
        lines.append(f"| {found.architecture} | {found.outcome} | {numbers} | {found.note.replace('|', '/')} |")
    return "\n".join(lines) + "\n"


def record(findings: Sequence[Finding], versions: str) -> str:
    """The findings as JSON."""
    return json.dumps({"versions": versions, "findings": [asdict(found) for found in findings]}, indent=2) + "\n"


def counts(findings: Sequence[Finding]) -> str:
    """How many findings there are of each outcome, and how many of the right ones have a step refused."""
    found = Counter(finding.outcome for finding in findings)
    lines = [f"{found[outcome]:5} {MEANINGS[outcome]}" for outcome in OUTCOMES]
    partly = sum(finding.right and bool(finding.note) for finding in findings)
    return "\n".join([*lines, f"{partly:5} of the right ones refuse a step by name"])


def failures(findings: Sequence[Finding], *, enough: int) -> list[str]:
    """What a survey must not find, in words; empty if all is well."""
    wrong = {found.architecture: found.outcome for found in findings if found.outcome in ("wrong", "exception")}
    bad = [f"{name} is {outcome}" for name, outcome in wrong.items() if KNOWN.get(name) != outcome]
    bad += [f"{it.architecture} is mended: see KNOWN" for it in findings if it.right and it.architecture in KNOWN]
    right = sum(found.right for found in findings)
    return bad + ([f"{right} architectures are right, expected {enough} or more"] if right < enough else [])


def _lines(found: Finding) -> list[str]:
    row = f"{found.architecture:{NAME}} {_number(found.off_nats):>{NUMBER}} {_number(found.moved_nats):>{NUMBER}}"
    note = textwrap.wrap(found.note, WIDTH - 4, max_lines=3, placeholder=" ...")
    return [f"{row}  {found.outcome}", *(f"    {part}" for part in note)]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"
