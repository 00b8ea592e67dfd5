"""What `ws store`, gc and carry print, for people at 80 columns; `ws.report.store_why` has the rest."""

import math
import textwrap
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import count
from math import fsum

from ws.store.manifests import Manifest
from ws.store.progress import clock
from ws.upkeep.carry import Finding, Plan
from ws.upkeep.check import Checked
from ws.upkeep.garbage import Garbage, freed

WIDTH = 80
SHOWN = 12
"""Number of lines of one kind that are printed; the rest is only counted."""


def bytes_text(size: int | float) -> str:
    """A size in the unit that a reader would choose."""
    for unit in ("B", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def overview(root: object, manifests: Sequence[Manifest], others: int) -> str:
    """The kinds of artifacts of a store, how many, how large, and how long they took."""
    kinds: dict[str, list[Manifest]] = defaultdict(list)
    for manifest in manifests:
        kinds[manifest.kind].append(manifest)
    rows = [
        (kind, str(len(made)), bytes_text(sum(one.bytes for one in made)), clock(fsum(one.seconds for one in made)))
        for kind, made in sorted(kinds.items())
    ]
    total = bytes_text(sum(one.bytes for one in manifests)), clock(fsum(one.seconds for one in manifests))
    lines = table([("artifact", "number", "size", "built in"), *rows, ("all", str(len(manifests)), *total)])
    return "\n".join([str(root), "", *lines, "", f"code, locks and leftovers: {bytes_text(others)}", ""])


def checked(root: object, found: Sequence[Checked]) -> str:
    """What is damaged, what was read, and how many manifests nothing can be said of."""
    damaged = [one for one in found if one.damage is not None]
    lines = [f"{one.home.parent.name}/{one.home.name[:12]}: {one.damage}" for one in damaged]
    whole, size = len(found) - len(damaged), bytes_text(sum(one.bytes for one in found))
    lines.append(f"{root}: {whole} of {len(found)} artifacts are whole, {size} read")
    if plain := sum(not one.is_sealed for one in found if one.damage is None):
        lines.append(f"manifests of older versions, which have no hash of their own: {plain}")
    return "\n".join([*lines, ""])


def garbage(found: Garbage, *, dry: bool) -> str:
    """What would be removed, or was, by group and reason, with sizes."""
    groups: dict[tuple[str, str], list[object]] = defaultdict(list)
    for one in found.waste:
        groups[one.group, "its key is another today" if one.why.startswith("its key is") else one.why].append(one.path)
    rows = [
        (group, str(len(paths)), bytes_text(freed(paths)), why)  # type: ignore[arg-type]
        for (group, why), paths in sorted(groups.items())
    ]
    kept = bytes_text(sum(one.manifest.bytes for one in found.kept))
    lines = table([("what", "number", "size", "why"), *rows]) if rows else ["nothing to remove"]
    verb = "would free" if dry else "to free"
    lines += ["", f"{len(found.waste)} {verb} {bytes_text(found.bytes)}; {len(found.kept)} artifacts stay ({kept})"]
    if found.foreign:
        lines.append(f"{len(found.foreign)} of other packages, whose recipes are not known here, stay with them")
    return "\n".join([cut(line) for line in lines] + [""])


def carried_plan(plan: Plan) -> str:
    """What would be carried, and the cost of the audit."""
    strata = Counter(move.stratum.kind for move in plan.moves)
    sampled = Counter(move.stratum.kind for move in plan.sample)
    numbers = {move.stratum for move in plan.moves if not move.follows}
    seconds: dict[str, float] = defaultdict(float)
    for move in plan.sample:
        seconds[move.stratum.kind] += move.manifest.seconds
    groups = Counter(stratum.kind for stratum in numbers)
    rows = [
        (kind, str(moved), str(groups[kind]), str(sampled[kind]), clock(seconds[kind]))
        for kind, moved in sorted(strata.items())
    ]
    whole = fsum(move.manifest.seconds for move in plan.moves)
    lines = table([("artifact", "moved", "strata", "sample", "to build"), *rows]) if rows else []
    lines += ["", f"{len(plan.moves)} artifacts have another key today, {len(plan.pending)} of them not yet carried"]
    if follow := sum(move.follows for move in plan.moves):
        why = "their own code is as it was, so none is built"
        lines += wrapped(f"{follow} of them only follow their inputs: {why}", "")
    if proven := numbers & plan.proven.keys():
        why = f"of {len(proven)} strata this code has built one anew in an earlier audit, so none of these is built"
        lines += wrapped(why, "")
    lines.append(f"{plan.reached} have the key that they had, {len(plan.gone)} no recipe any more")
    lines += [f"{len(plan.damaged)} are damaged and stay where they are"] * bool(plan.damaged)
    if plan.lost:
        what = f"{len(plan.lost)} are of models whose files are gone, such as {plan.lost[0].recipe.describe()}"
        lines += wrapped(f"{what}, and stay where they are; name such a model again to carry them", "")
    lines += wrapped(
        f"audit {plan.id}: builds {_sampled(plan, len(numbers))} anew in about "
        f"{clock(fsum(seconds.values()))}, where building all would take {clock(whole)}; tolerance {plan.tolerance:g}",
        "",
    )
    return "\n".join([*lines, ""])


def _sampled(plan: Plan, strata: int) -> str:
    if plan.cover == "combinations":
        return f"{len(plan.sample)} of {strata} strata"
    return f"{len(plan.sample)} artifacts, one of each model and family and one of each lens, in {strata} strata,"


def findings(plan: Plan, found: Sequence[Finding]) -> str:
    """How the sample compares with what is stored, worst first."""
    apart = sorted((one for one in found if one.largest > plan.tolerance), key=lambda one: -one.largest)
    largest = max((one.largest for one in found), default=0.0)
    lines = [f"{len(found) - len(apart)} of {len(found)} agree within {plan.tolerance:g}; largest {gap_text(largest)}"]
    for one in apart[:SHOWN]:
        lines += wrapped(f"{one.move.recipe.describe()} ({one.move.manifest.key[:12]})", "  ")
        worst = sorted((gap for gap in one.gaps if gap.size > plan.tolerance), key=lambda gap: -gap.size)
        for gap in worst[:3]:
            lines += wrapped(f"{gap.file} {gap.where}: {gap_text(gap.size)}, {gap.old} -> {gap.new}", "    ")
        lines += more(worst, "    ", shown=3)
    return "\n".join([*lines, *more(apart, "  "), ""])


def gap_text(size: float) -> str:
    return "no comparison" if math.isinf(size) else f"{size:.2g}"


def cut(line: str) -> str:
    """A line, cut to the width of the terminal."""
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."


def more(items: Sequence[object], indent: str, *, shown: int = SHOWN) -> list[str]:
    return [f"{indent}... and {len(items) - shown} more"] if len(items) > shown else []


def wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ")


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows under a header, with numbers aligned to the right and the last column not wrapped."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    words = {place for place in range(len(rows[0])) if not any(row[place][:1].isdigit() for row in rows[1:])}
    aligned = [
        [cell.ljust(width) if place in words else cell.rjust(width) for place, cell, width in zip(count(), row, widths)]
        for row in rows
    ]
    return ["  ".join(row).rstrip() for row in aligned]
