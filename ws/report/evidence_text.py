"""What `ws evidence` prints, for people at 80 columns."""

from collections import defaultdict
from collections.abc import Sequence

from ws.adapters import FAMILIES
from ws.evidence.audit import Audit, Finding
from ws.evidence.compare import LARGEST, MEAN, OTHER_ANSWERS, Column
from ws.evidence.standing import Standing
from ws.report.store_text import bytes_text, cut, table, wrapped
from ws.store.progress import clock

SHOWN = 12
"""Number of missing or differing things that are named."""


def standing(found: Standing) -> str:
    """How much of a model's evidence is current, by class, and what its snapshots name and it lacks."""
    evidence = found.evidence
    size = sum(part.bytes for part in evidence.index.values())
    rows = [
        (kind, *(str(counts[state]) for state in ("current", "stale")))
        for kind, counts in sorted(found.by_class.items())
    ]
    total = [str(sum(counts[state] for counts in found.by_class.values())) for state in ("current", "stale")]
    lines = [f"{evidence.folder}, {bytes_text(size)}", ""]
    lines += table([("artifact", "current", "stale"), *rows, ("all", *total)])
    lines += ["", f"{found.named} keys are named by {found.snapshots} snapshots; {len(found.missing)} are missing here"]
    lines += [f"  {key[:12]}  {name}" for key, name in sorted(found.missing.items())[:SHOWN]]
    lines += [f"damaged: {fault}" for fault in evidence.faults]
    return "\n".join([cut(line) for line in lines] + [""])


def audited(found: Audit) -> str:
    """What an audit built again, and how closely it agrees, by class and family."""
    if not found.artifacts:
        return f"nothing to audit in {found.folder}: its {found.stale} artifacts are of other code or releases\n"
    strata = {one.candidate.stratum for one in found.findings}
    lines = [
        f"audit of {found.folder}",
        f"{len(found.findings)} of {found.artifacts} artifacts built again in {clock(found.seconds)}, "
        f"{len(strata)} of {found.strata} strata, seed {found.seed}",
    ]
    if found.stale:
        lines += [f"{found.stale} are of other code and were left alone"]
    groups: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for one in found.findings:
        groups[one.candidate.kept.kind, _family(one)].append(one)
    rows = [(*name, *_numbers(those)) for name, those in sorted(groups.items())]
    lines += ["", *table([("built again", "of", "number", "rows", "mean", "largest", ""), *rows])]
    lines += wrapped(
        "Differences of the worst column: of log-probabilities in nats, of others as a share of the value where that "
        f"is above 1. At most {MEAN:g} on average and {LARGEST:g} in a row agree, {OTHER_ANSWERS:g} times as much "
        "where answers were sampled otherwise here.",
        "",
    )
    for one in found.differing[:SHOWN]:
        lines += wrapped(f"{one.candidate.kept.phrase} ({one.candidate.kept.key[:12]})", "  ")
        for column in (column for column in one.columns if not column.agrees):
            lines += wrapped(why(column), "    ")
    return "\n".join([cut(line) for line in lines] + [""])


def why(column: Column) -> str:
    """In words, why a column does not agree."""
    if column.fault:
        return f"{column.name}: {column.fault}"
    mean, largest = MEAN * column.times, LARGEST * column.times
    return (
        f"{column.name}: off by {column.mean:.2g} on average (at most {mean:g}), {column.largest:.2g} at most "
        f"({largest:g}); its mean by {column.shift:.2g} ({column.allowed:.2g})"
    )


def _worst(found: Finding) -> Column:
    """The column that agrees least, one in nats if there is any."""
    nats = [one for one in found.columns if one.in_nats]
    odd = [one for one in found.columns if not one.agrees]
    return max(odd or nats or found.columns, key=lambda one: (bool(one.fault), one.largest, one.shift))


def _family(found: Finding) -> str:
    """The adapter family behind an artifact; empty if there is none, or several."""
    named = [word for word in found.candidate.stratum.about if word in FAMILIES]
    return named[0] if len(named) == 1 else ""


def _numbers(found: Sequence[Finding]) -> tuple[str, str, str, str, str]:
    """Of all artifacts of a group: their number, their rows, mean and largest difference, and what that means."""
    worst = [_worst(one) for one in found]
    rows = sum(one.rows for one in worst)
    mean = sum(one.mean * one.rows for one in worst) / max(1, rows)
    other = sum(max(column.other_text for column in one.columns) for one in found)
    differing = sum(not one.agrees for one in found)
    answers = sum(one.other_answers for one in found)
    notes = [f"{answers} on other answers"] * bool(answers) + [f"{other} rows of other text"] * bool(other)
    said = f"{differing} DIFFER" if differing else ", ".join(["agree", *notes])
    return str(len(found)), str(rows), f"{mean:.1e}", f"{max(one.largest for one in worst):.1e}", said
