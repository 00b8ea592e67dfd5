"""The sections below the claims: figures from evidence, answers, and the log."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from markupsafe import Markup

from ws.contest.contest import Contest
from ws.evidence.folder import INDEX, Evidence
from ws.evidence.supply import EvidenceSupply
from ws.html.answers import answers
from ws.html.figures import Group, Missing, lacking, run
from ws.html.log import log_beside
from ws.html.page import Section, environment
from ws.html.parts import parts
from ws.html.recorded import RecordedStore
from ws.html.remembered import remembered
from ws.html.rivals import READS, rivals
from ws.html.sweeps import sweeps
from ws.models.table import known_model
from ws.store.progress import say
from ws.study.replicates import Replicates
from ws.study.subject import Subject

BEHAVIORS = ("sycophancy", "honesty")

NAMES = {
    "sweeps": "Sweeps of the coefficient",
    "rivals": "dW, prompts and activation directions",
    "parts": "Parts of dW",
    "answers": "Answers at -1, 0 and +1",
}
"""The sections with figures, by id."""


@dataclass(frozen=True)
class Sources:
    """Where the figures of a model are drawn from."""

    model: str
    device: str
    evidence: Evidence | None
    """None if the model has none."""
    root: Path
    """The store that what is taken from the evidence goes into."""


def figures_of(models: Iterable[Sources]) -> list[Section]:
    """The figures of all models, section by section."""
    drawn = [_of_model(one) for one in models]
    return [
        Section(id, name, Markup("\n").join(Markup(each[id]) for each in drawn)) for id, name in NAMES.items() if drawn
    ]


def log_section(tests: Path, ids: Collection[str]) -> list[Section]:
    """The log of a folder of claim tests, if it has one."""
    found = log_beside(tests, ids)
    if found is None:
        return []
    return [Section("log", "What did not replicate", Markup('<div class="log">{}</div>').format(found))]


def _of_model(of: Sources) -> Mapping[str, str]:
    if of.evidence is None:
        return dict.fromkeys(NAMES, _without(of.model))
    index, evidence = of.evidence.folder / INDEX, of.evidence

    def draw() -> Mapping[str, str]:
        say(f"drawing figures of {of.model} from its evidence, once")
        return drawn(RecordedStore(of.root, supplies=[EvidenceSupply(evidence)]), of.model, of.device)

    return remembered(of.root, of.model, index, draw)


def drawn(store: RecordedStore, model: str, device: str) -> dict[str, str]:
    """The figures of a model, by section."""
    replicates = Replicates(Subject(model, device), store, tuple(range(known_model(model).seeds)))
    of_rivals = (
        rivals(store, Contest(replace(replicates.subject, behavior_name=behavior)), replicates.seeds, read, claims)
        for (behavior, read), claims in READS.items()
    )
    groups = {"sweeps": sweeps(replicates), "rivals": of_rivals, "parts": parts(replicates)}
    return {id: _rendered(found) for id, found in groups.items()} | {"answers": _answers(store, replicates.subject)}


def _rendered(groups: Iterable[Group]) -> str:
    return environment().get_template("groups.html.j2").render(groups=groups)


def _without(model: str) -> str:
    command = f"{run(model, [])} --snapshot-update --record-evidence"
    return _rendered([Group(model, "", missing=(Missing("There is no evidence of it here.", command),))])


def _answers(store: RecordedStore, subject: Subject) -> str:
    by_behavior = {name: list(answers(store, replace(subject, behavior_name=name))) for name in BEHAVIORS}
    missing = [f"dW for {name}" for name, found in by_behavior.items() if not found]
    return (
        environment()
        .get_template("answers.html.j2")
        .render(
            model=subject.model,
            answers=[one for found in by_behavior.values() for one in found],
            missing=lacking("what is written", missing, subject.model, ["C40"]),
        )
    )
