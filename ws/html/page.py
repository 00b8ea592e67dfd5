"""The whole page, from recorded verdicts to text.

All words that come from files are escaped. The page's own style and script are the only ones that a browser runs: its
policy names their hashes and forbids everything else, also every connection.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ws.adapters import FAMILIES
from ws.errors import DataError
from ws.html.artifacts import artifacts
from ws.html.cards import Card, cards
from ws.html.cases import COLUMNS, VERDICTS
from ws.html.overview import choices, overview
from ws.html.strip import axis, strip
from ws.report.register import Entry, Register
from ws.report.verdicts import RANDOM_WEIGHTS, Record, flips, sentence, title


@dataclass(frozen=True)
class Section:
    """A part of the page below the claims."""

    id: str
    name: str
    body: Markup


@dataclass(frozen=True, kw_only=True)
class Content:
    """Everything that a page shows."""

    records: Sequence[Record]
    register: Register
    controls: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    phrases: Mapping[str, str] = field(default_factory=dict)
    """What is known of the store's keys, in words."""
    recipes: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    """By model and claim, lines that say how its adapters were trained."""
    more: Sequence[Section] = ()
    all_claims: bool = True
    """Whether claims of the register without a case are listed too."""

    def __post_init__(self) -> None:
        if not self.records:
            raise DataError("a report of no verdict; record some with `pytest claims/ --snapshot-update`")


def page(content: Content) -> str:
    """The page. The same content makes the same page."""
    shown = cards(content.records, content.register, content.controls)
    templates = environment()
    style, script = (templates.get_template(name).render() for name in ("style.css", "script.js"))
    without = _without(shown, content.register) if content.all_claims else []
    fixed = ("overview", "Overview"), ("claims", "Claims"), *([("without", "Claims without a case")] if without else [])
    more = [(section.id, section.name) for section in content.more]
    return templates.get_template("page.html.j2").render(
        title=_title(content.records),
        about=about(content.records),
        sections=[*fixed, *more, ("artifacts", "Artifacts")],
        policy=policy(style, script),
        style=Markup(style),
        script=Markup(script),
        cards=shown,
        without=without,
        overview=overview(shown),
        choices=choices(shown, tuple(FAMILIES)),
        artifacts=artifacts((case.record for card in shown for case in card.cases), content.phrases),
        recipes=content.recipes,
        more=content.more,
    )


def write(content: Content, out: Path) -> str:
    """Write the page; returns its file, how many cases it has, and its size, in words."""
    text = page(content)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    n = len(content.records)
    return f"{out}, {n} case{'' if n == 1 else 's'}, {len(text.encode()) / 1e6:.2f} MB"


def environment() -> Environment:
    """The templates, which escape whatever they show."""
    made = Environment(
        loader=PackageLoader("ws.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"strip": strip, "axis": axis, "verdicts": VERDICTS, "columns": COLUMNS}
    made.filters["words"] = sentence
    return made


def policy(style: str, script: str) -> str:
    """What a browser may run and load for this page: one style, one script, and nothing from anywhere."""
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _without(shown: Sequence[Card], register: Register) -> list[Entry]:
    """The claims of the register that have no card."""
    known = {card.id for card in shown}
    return [entry for entry in register.values() if entry.id not in known]


def _title(records: Sequence[Record]) -> str:
    claims = len({record.claim for record in records})
    models = ", ".join(sorted({record.model for record in records}))
    return f"{claims} claim{'' if claims == 1 else 's'} on weight steering, judged on {models}"


def about(records: Iterable[Record]) -> list[str]:
    """A line for each model: where and with how many seeds, and what turns from one footing to the other."""
    by_model = groupby(sorted(records, key=lambda record: record.model), key=lambda record: record.model)
    return [_about(list(group)) for _, group in by_model]


def _about(records: list[Record]) -> str:
    said = [f"{title(records)}: {len(records)} case{'' if len(records) == 1 else 's'}"]
    if turned := flips(records):
        said.append(f"verdicts that flip from coefficient 1 to equal KL: {turned}")
    if any(record.random_weights for record in records):
        said.append(RANDOM_WEIGHTS)
    return "; ".join(said) + "."
