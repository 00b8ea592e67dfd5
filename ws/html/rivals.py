"""dW against system prompts and activation directions, on one axis, with how far each is from the unchanged model."""

from collections.abc import Iterator

from ws.behaviors.prompts import prompts_for
from ws.contest.choosing import By
from ws.contest.contest import RANKED, Contest
from ws.contest.footing import BEST_ACTIVATION, Footing, arm_at
from ws.contest.readings import Read, effect_of
from ws.contest.vectors import METHODS
from ws.html.cases import FOOTINGS
from ws.html.figures import Group, Line, Plot, interval, lacking, mark
from ws.html.recorded import NotRecorded
from ws.stats.estimate import Estimate
from ws.stats.sweep import OF_TEXT
from ws.store import Store

READS: dict[tuple[str, Read], tuple[str, ...]] = {
    ("honesty", "dilemmas"): ("C08", "C09", "C10"),
    ("honesty", "text"): ("C08", "C10", "C39"),
    ("honesty", "written"): ("C08", "C10", "C40"),
    ("sycophancy", "text"): ("C39",),
}
"""For each behavior and what arms are read by, claims whose tests build it."""

BEST = "best on validation"


def rivals(store: Store, contest: Contest, seeds: tuple[int, ...], read: Read, claims: tuple[str, ...]) -> Group:
    """Every arm that is recorded, the furthest first."""
    subject = contest.subject
    found: list[tuple[Estimate, str, str]] = []
    missing: list[str] = []
    for name, footing in _arms(subject.behavior_name):
        by: By = "text" if read in OF_TEXT else "dilemmas"
        try:
            arm = arm_at(store, contest, seeds, name, footing, by=by)
            found.append((effect_of(store, contest, arm, read=read), name, footing))
        except NotRecorded:
            missing.append(name)
    found.sort(key=lambda one: -one[0].value)
    lines = tuple(_line(effect, name, footing) for effect, name, footing in found)
    title = f"{subject.model}, {subject.behavior_name}, {read}"
    unit = "nats per token" if read in OF_TEXT else "nats per row"
    plots = (Plot("", lines, compared=(0.0,), model=subject.model, measure=read),) if lines else ()
    return Group(
        title,
        f"Effect in {unit}, dW as a disc, prompts as rings, activation directions as diamonds. A line below says how "
        "strong an arm is, and its KL from the unchanged model.",
        plots=plots,
        missing=tuple(lacking("arms", [*dict.fromkeys(missing)], subject.model, claims)),
    )


def _arms(behavior: str) -> Iterator[tuple[str, Footing]]:
    """All that compete, at every footing that they have."""
    for name in (*RANKED, *METHODS):
        yield name, "one"
        yield name, "iso-kl"
    yield BEST_ACTIVATION, "best"
    for prompt in prompts_for(behavior):
        if prompt.text is not None:
            yield prompt.name, "one"


def _line(effect: Estimate, name: str, footing: str) -> Line:
    kind = "dw" if name in RANKED else "direction" if name in (*METHODS, BEST_ACTIVATION) else "prompt"
    shape = {"dw": "h", "direction": "x", "prompt": "o"}[kind]
    detail = "system prompt" if kind == "prompt" else FOOTINGS.get(footing, BEST)
    note = "; ".join([*effect.gates, *effect.notes])
    return Line(name, detail, (mark(effect, shape, f"of-{kind}"),), interval(effect), note)
