"""A benchmark record as Markdown."""

from collections.abc import Iterable
from statistics import median

from ws.bench.compare import TASKS, WAYS
from ws.bench.record import Record
from ws.bench.settings import SEED
from ws.errors import DataError

START, END = "<!-- bench -->", "<!-- end of bench -->"

NOTE = """\
Each measurement is a process of its own; the ways take turns in rounds. A speed counts real tokens, rows or crops a
second; its ratio is divided by the speed of matrix products timed beside each step or measurement. Shares count the
operations of real tokens by formula (`ws/bench/work.py`). Training counts whole steps, and for ours the states below
the adapter, once per question; what is spent once, before the first step, is in a line of its own."""

HEAD = ("what", "ours", "plain", "value [range]", "target", "")
CLAIMS_HEAD = ("what", "cold", "warm", "tests failed")
PARITY_HEAD = (
    "family",
    "losses apart, nats per token",
    "dW apart, share",
    "log-ratios apart, nats",
    "raw effect: ours, PEFT",
    "corrected effect: ours, PEFT",
)


def markdown(sections: Record) -> str:
    """For each section a line about the machine and a table, all under a heading that names the device."""
    parts = [f"### Speed on {_device(sections)}", ""]
    for name in (*TASKS, "claims", "parity"):
        if name in sections:
            parts += [*_lines(name, sections[name]), ""]
    return "\n".join([*parts, NOTE, ""])


def with_benchmark(page: str, tables: str) -> str:
    """A page with `tables` between its markers, in place of what stood there.

    Raises: DataError if the page does not have both markers, in order.
    """
    head, start, rest = page.partition(START)
    _, end, tail = rest.partition(END)
    if not start or not end:
        raise DataError(f"the page lacks {START} or, after it, {END}; add both where the benchmark belongs")
    return f"{head}{start}\n{tables}{end}{tail}"


def _device(sections: Record) -> str:
    machines = [section["machine"] for section in sections.values()]
    devices = {section["settings"]["device"] for section in sections.values()}
    return ", ".join(sorted({str(m["cuda"] if "cuda" in devices else m["cpu"]) for m in machines}))


def _lines(name: str, section: Record) -> list[str]:
    if name == "claims":
        rows = [
            (f"`pytest {run['args']}`", f"{run['cold']:.0f} s", f"{run['warm']:.1f} s", str(run["failed"]))
            for run in section["runs"]
        ]
        return [f"**claims**: {_how(section)}", "", *_table(CLAIMS_HEAD, rows)]
    if name == "parity":
        rows = [_agreement(family) for family in section["families"]]
        return [f"**ours and PEFT, seed {SEED}**: {_how(section)}", "", *_table(PARITY_HEAD, rows)]
    rows = [_cells(line) for line in section["comparisons"]]
    return [f"**{TASKS[name]}**: {_how(section)}", "", *_table(HEAD, rows)]


def _agreement(family: Record) -> tuple[str, ...]:
    apart = (f"{family[name]:.1e}" for name in ("loss", "update", "log_ratio"))
    sides = (", ".join(f"{value:+.4f}" for value in family[name]) for name in ("raw", "corrected"))
    return (family["family"], *apart, *sides)


def _how(section: Record) -> str:
    machine, settings = section["machine"], section["settings"]
    speeds = [speed["model"] for m in section.get("measurements", ()) for speed in m["speeds"]]
    peak = f", matrix products at {median(speeds):.0f} GFLOP/s" if speeds else ""
    rounds = f"{settings['repeats']} round{'' if settings['repeats'] == 1 else 's'}"
    return (
        f"{settings['model']}, fp32, {machine['threads']} of {machine['cores']} cores{peak}, "
        f"torch {machine['torch']}, {rounds}, commit {section['commit']}, {section['when'][:10]}."
    )


def _cells(line: Record) -> tuple[str, ...]:
    family = f"{line['family']}: " if line["section"] == "train" else ""
    over = f", against {WAYS[line['way']]}"
    met = {True: "met", False: "**missed**", None: ""}[line["met"]]
    low, high = min(line["rounds"]), max(line["rounds"])
    spread = "" if low == high else f" [{_value(line, low)}, {_value(line, high)}]"
    return (
        f"{family}{line['what']}{over}",
        *(_amount(line[side], line["unit"]) for side in ("ours", "plain")),
        f"{_value(line, line['value'])}{spread}",
        "" if line["target"] is None else _target(line),
        met,
    )


def _value(line: Record, value: float) -> str:
    match line["kind"]:
        case "ratio":
            return f"{value:.1f}x" if value >= 10 else f"{value:.2f}x"
        case "share":
            return f"{value:.0%}"
        case "seconds":
            return f"{value:.1f} s"
    return f"{value:.2g}"


def _target(line: Record) -> str:
    sign = "<=" if line["kind"] == "difference" else ">="
    return f"{sign} {_value(line, line['target'])}"


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    digits = f"{value:.0f}" if value >= 100 else f"{value:.2g}" if unit == "%" else f"{value:.3g}"
    return f"{digits}%" if unit == "%" else f"{digits} {unit}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
