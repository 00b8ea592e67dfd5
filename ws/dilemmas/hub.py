"""The published sets on the Hugging Face hub, at a pinned commit."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ws.dilemmas.published import HUB, LABELLED, Layout, Published, Row, check_columns, published
from ws.errors import DataError, DownloadError, UnknownNameError

HUB_REMEDY = (
    "run once where huggingface.co is reachable, set HF_HOME to a copy of a cache that holds this revision, "
    "or read a CSV of the set with read_csv"
)


@dataclass(frozen=True)
class HubSet:
    """A published set on the hub."""

    config: str
    layout: Layout
    dilemmas: int
    """How many it holds."""


HUB_SETS = {
    "kellycyy/daily_dilemmas": HubSet("Dilemmas_with_values_aggregated", HUB, 1360),
    "wassname/daily_dilemmas-self-honesty": HubSet("honesty_eval", LABELLED, 219),
}


def read_hub(repo: str, *, revision: str, load: Callable[..., Iterable[Row]] | None = None) -> Published:
    """The dilemmas of a set on the hub at a pinned commit; `load` stands in for `datasets.load_dataset`.

    Raises: UnknownNameError if the set is not one of HUB_SETS; DataError if the library is missing, the revision is no
        commit, or the rows are not as published; DownloadError if the set cannot be fetched.
    """
    if repo not in HUB_SETS:
        raise UnknownNameError("set of dilemmas", repo, HUB_SETS)
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise DataError(
            f"{repo} is asked for at revision {revision!r}; expected the 40 hex digits of a commit, since a branch can "
            "move; copy it from the set's list of commits on the hub"
        )
    known = HUB_SETS[repo]
    rows = fetched(repo, known.config, revision, load or load_dataset())
    check_columns(rows[0][1] if rows else (), known.layout, place=f"{repo} row 1")
    read = published(rows, known.layout, name=repo)
    count = len(read.dilemmas) + len(read.unlabelled)
    if count != known.dilemmas:
        raise DataError(
            f"{repo} at {revision} holds {count} dilemmas; expected {known.dilemmas}; pin a commit that has them all"
        )
    return read


def fetched(repo: str, config: str, revision: str, load: Callable[..., Iterable[Row]]) -> list[tuple[str, Row]]:
    """(place, row) of every row of the test split, fetched without a token.

    Raises: DownloadError if the library cannot reach the set and has no copy of it.
    """
    try:
        rows = list(load(repo, name=config, split="test", revision=revision, token=False))
    except (OSError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DownloadError(f"could not load {repo} ({config}) at {revision}: {reason}; {HUB_REMEDY}") from error
    return [(f"{repo} row {number}", row) for number, row in enumerate(rows, start=1)]


def load_dataset() -> Callable[..., Iterable[Row]]:
    """`datasets.load_dataset`, from a library that is an optional dependency.

    Raises: DataError if the library is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            "the library datasets is not installed; expected it for sets on the hub; "
            "run `pip install 'weight-steering-claims[hub]'`, or read a CSV of the set with read_csv"
        ) from error
    return datasets.load_dataset
