"""What differs between two sides: cases that came and went, cases that moved, and artifacts under other keys."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import ws
from ws.changes.cases import Case, Cause, Extent, Moved
from ws.changes.causes import Causes
from ws.changes.commits import root_of
from ws.changes.known import Known
from ws.changes.recordings import Recordings
from ws.changes.shelves import Shelves, of_shelves
from ws.changes.sides import Place, Side
from ws.errors import DataError
from ws.evidence.folder import Evidence

LIBRARY = Path(ws.__file__).parents[1]


@dataclass(frozen=True)
class Models:
    """What differs on one model, or between two."""

    name: str
    appeared: tuple[Case, ...]
    gone: tuple[Case, ...]
    moved: tuple[Moved, ...]
    """Every case of both sides that is not the same word for word, what moved most first."""
    same: int
    """How many cases are as before, apart from when and where they were recorded."""

    @property
    def counts(self) -> Counter[Extent]:
        return Counter(one.extent for one in self.moved)


@dataclass(frozen=True)
class Diff:
    """What differs between two sides."""

    old: Side
    new: Side
    models: tuple[Models, ...]
    only: tuple[str, ...]
    """Models of which one side alone has verdicts, or all that a run did not select, with a sign in front: - for the
    old side."""
    shelves: Shelves | None = None
    """Artifacts, where both sides have some and one of them is no folder of verdicts."""

    @property
    def moved(self) -> list[Moved]:
        """Every case of which something moved, what moved most first."""
        return sorted((one for model in self.models for one in model.moved), key=severity)

    @property
    def by_causes(self) -> list[tuple[tuple[Cause, ...], list[Moved]]]:
        """The moved cases by the kinds of inputs that they moved through, those of turned verdicts first."""
        groups: dict[tuple[str, ...], list[Moved]] = {}
        for one in self.moved:
            groups.setdefault(tuple(dict.fromkeys(cause.what for cause in one.causes)), []).append(one)
        ordered = sorted(groups.values(), key=lambda cases: (severity(cases[0])[0], -len(cases)))
        return [(tuple(dict.fromkeys(cause for one in cases for cause in one.causes)), cases) for cases in ordered]


def diff(old: Side, new: Side, place: Place, *, stores: Sequence[Path] = (), evidence: Sequence[Evidence] = ()) -> Diff:
    """Compare two sides; `stores` and `evidence` are asked for recipes behind keys that no evidence of theirs has.

    Raises: DataError if the sides have nothing in common to compare.
    """
    pairs = _pairs_of_models(old, new)
    wanted = _has_shelves(old) and _has_shelves(new) and not (old.cases and new.cases)
    artifacts = of_shelves(old, new) if wanted else None
    if not pairs and artifacts is None:
        raise DataError(_nothing(old, new))
    roots = [root for root in (old.store, new.store, *stores) if root is not None]
    known = Known((*old.evidence.values(), *new.evidence.values(), *evidence), tuple(dict.fromkeys(roots)))
    recordings = Recordings(place.repository, clone_of_library(), place.inside or ".")
    models = tuple(_models(old, new, pair, known, recordings) for pair in pairs)
    pairs_of_runs = pairs if old.is_run or new.is_run else []
    only = (
        *_only("-", old, {a for a, _ in pairs}),
        *_only("+", new, {b for _, b in pairs}),
        *_unasked("-", old, new, pairs_of_runs),
        *_unasked("+", new, old, [(b, a) for a, b in pairs_of_runs]),
    )
    return Diff(old, new, models, only, artifacts)


def severity(moved: Moved) -> tuple[int, float, str, str]:
    """A place in an order by how much a case moved."""
    step = moved.step
    size = -(float("inf") if step is None else step)
    return list(Extent).index(moved.extent), size, moved.new.claim, moved.new.name


def _has_shelves(side: Side) -> bool:
    """Whether a side is a collection of artifacts."""
    return bool(side.store or side.evidence)


def _pairs_of_models(old: Side, new: Side) -> list[tuple[str, str]]:
    """The models that are compared: one with itself, or if each side has a single one, these two."""
    if len(old.models) == 1 and len(new.models) == 1:
        return [(old.models[0], new.models[0])]
    return [(model, model) for model in old.models if model in new.models]


def _only(sign: str, side: Side, compared: set[str]) -> Iterator[str]:
    counts = Counter(model for model, _ in side.cases if model not in compared)
    yield from (f"{sign} {model}: {n} cases" for model, n in sorted(counts.items()))


def _unasked(sign: str, side: Side, other: Side, pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    """How many cases of each model one of two sides alone has, of which a run may have selected some."""
    for model, of_other in pairs:
        if n := len(_of_model(side, model).keys() - _of_model(other, of_other).keys()):
            yield f"{sign} {model}: {n} case{'' if n == 1 else 's'}"


def _models(old: Side, new: Side, pair: tuple[str, str], known: Known, recordings: Recordings) -> Models:
    before, now = _of_model(old, pair[0]), _of_model(new, pair[1])
    both = [name for name in before if name in now]
    is_partial = old.is_run or new.is_run
    appeared = [] if is_partial else [now[it] for it in now if it not in before]
    gone = [] if is_partial else [before[it] for it in before if it not in now]
    others = [Moved(before[name], now[name]) for name in both if before[name].raw != now[name].raw]
    moved = [one for one in others if one.extent != Extent.SAME]
    changed = [*(one.new for one in moved if not one.has_same_number), *appeared, *gone]
    causes = Causes(known, recordings, Counter(case.group for case in changed))
    told = [replace(one, causes=causes.of(one)) for one in moved]
    return Models(
        " -> ".join(dict.fromkeys(pair)),
        tuple(appeared),
        tuple(gone),
        tuple(sorted(told, key=severity)),
        len(both) - len(moved),
    )


def _of_model(side: Side, model: str) -> Mapping[str, Case]:
    return {name: case for (of, name), case in side.cases.items() if of == model}


def clone_of_library() -> Path | None:
    """The clone that this code runs from; None for an installed package."""
    root = root_of(LIBRARY)
    return root if root is not None and root.resolve() == LIBRARY.resolve() else None


def _nothing(old: Side, new: Side) -> str:
    has = "; ".join(f"{side.asked} has {_held(side)}" for side in (old, new))
    return f"nothing to compare: {has}; name two sides with verdicts of one model, or two with artifacts"


def _held(side: Side) -> str:
    verdicts = [f"verdicts of {', '.join(side.models)}"] if side.models else []
    return " and ".join([*verdicts, *(["artifacts"] if _has_shelves(side) else [])]) or "nothing"
