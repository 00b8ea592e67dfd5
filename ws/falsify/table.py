"""The table of claims and corruptions, and the list of what survived, for a terminal and as Markdown."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from ws.falsify.names import CORRUPTIONS
from ws.falsify.survivors import Survivors
from ws.falsify.turning import Trial

NOT_APPLICABLE = "-"


def cells(found: Survivors, corruptions: Sequence[str]) -> list[list[str]]:
    """A header, a line per claim, and one of all: of how many trials how many turned, by corruption."""
    turned, tried = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for trial in found.counted:
        for claim in (trial.claim, "all"):
            tried[claim, trial.corruption] += 1
            turned[claim, trial.corruption] += trial.has_turned
    claims = [*sorted({trial.claim for trial in found.counted}, key=_place), "all"]
    lines = [[claim, *(_share(turned[claim, name], tried[claim, name]) for name in corruptions)] for claim in claims]
    return [["claim", *corruptions], *lines]


def _share(turned: int, tried: int) -> str:
    return f"{turned}/{tried}" if tried else NOT_APPLICABLE


def _place(claim: str) -> tuple[str, int]:
    return claim.rstrip("0123456789"), int("0" + "".join(filter(str.isdigit, claim)))


def terminal(found: Survivors, corruptions: Sequence[str]) -> str:
    """The table in columns, and below it the survivors."""
    table = cells(found, corruptions)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in table]
    return "\n".join([*lines, "", *summary(found)])


def markdown(found: Survivors, corruptions: Sequence[str]) -> str:
    """The same as Markdown, with what each corruption is."""
    header, *lines = cells(found, corruptions)
    rows = [header, ["---", *("--:" for _ in corruptions)], *lines]
    said = [
        f"* `{name}`: {does}{f'; not for {but}' if but else ''}"
        for name in corruptions
        for does, but in [CORRUPTIONS[name]]
    ]
    table = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*table, "", *said, "", *(f"* {line}" for line in summary(found))]) + "\n"


def summary(found: Survivors) -> list[str]:
    """How many trials turned, what survived, and what is declared."""
    turned = sum(trial.has_turned for trial in found.counted)
    lines = [
        f"{turned} of {len(found.counted)} trials turned: a trial is a case with one of its arms spoilt in one way"
    ]
    lines += [f"survives: {line}" for line in grouped(found.open)]
    lines += [f"declared: {line}" for line in grouped(found.excused)]
    return lines + [f"declared for nothing: {one.test} turns under {', '.join(one.corruptions)}" for one in found.idle]


def grouped(trials: Iterable[Trial]) -> list[str]:
    """A line per test, corruption and kind of table, with how many trials it stands for and one as an example."""
    groups: dict[tuple[str, ...], list[Trial]] = defaultdict(list)
    for trial in trials:
        kind = trial.arm.partition(":")[0]
        groups[trial.model, trial.claim, trial.test, trial.corruption, kind, trial.how].append(trial)
    return [
        f"{claim} {test}, {corruption} of {kind}: {how} in {len(some)} ({some[0].case or 'one case'}; {some[0].arm}"
        f"{'; ' + some[0].said if some[0].said else ''}) on {model}"
        for (model, claim, test, corruption, kind, how), some in sorted(groups.items())
    ]
