"""Repositories of the Hugging Face hub: a revision is resolved to a commit once, and its files are pinned by hash.

Commit and hashes are recorded in a file of the store. So a model stays the same when its branch moves on, and a model
that was fetched once needs no network any more.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ws.errors import DownloadError
from ws.models import downloads
from ws.models.model_files import index_text, small_files, weight_files
from ws.store.progress import in_worker, say

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

REMEDY = (
    "run once where huggingface.co is reachable (for a gated or private model after `hf auth login`), or bring the "
    "model's folder here and name that: ./NAME"
)
PATIENCE, GLANCE = 30.0, 3.0
"""Seconds to wait for the hub: for an answer that is needed, and for one that is merely good to know."""


@dataclass(frozen=True)
class Revision:
    """A revision of a repository as it was when it was first asked for."""

    repo: str
    asked: str
    """A branch, a tag or a commit."""
    commit: str
    when: str
    """The day of asking."""
    files: Mapping[str, str]
    """Name and sha256 of every file that is read."""


def fetched(repo: str, asked: str, records: Path, *, look: Callable[[Path], None]) -> tuple[Revision, Path]:
    """A revision and the folder of the hub's cache that holds its files, checked; downloaded if need be.

    `records` is the folder that keeps what revisions were resolved to. `look` is called on a new revision's folder
    before its weights are downloaded, and raises for a model that would be of no use.
    Raises: DownloadError if a file cannot be had or has changed; ModelError if there are no safetensors.
    """
    known = _recorded(records, repo, asked)
    if known is None:
        known = _resolve(repo, asked, look)
        downloads.write_whole(_file(records, repo, asked), json.dumps(asdict(known), indent=1) + "\n")
    else:
        _tell_if_moved(known, _file(records, repo, asked))
    return known, downloads.pinned_files(repo, known.commit, known.files)


def _file(records: Path, repo: str, asked: str) -> Path:
    return records / f"{repo.replace('/', '--')}@{quote(asked, safe='')}.json"


def _recorded(records: Path, repo: str, asked: str) -> Revision | None:
    """What a revision was resolved to; a commit is also found if a branch or tag was resolved to it."""
    file = _file(records, repo, asked)
    found = [Revision(**json.loads(path.read_text())) for path in sorted(records.glob(f"{file.name.split('@')[0]}@*"))]
    return next((one for one in found if asked in (one.asked, one.commit)), None)


def _tell_if_moved(known: Revision, file: Path) -> None:
    """Print that a branch has moved on, if the hub answers at once that it has."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError

    if known.asked == known.commit or in_worker():
        return
    with contextlib.suppress(OSError, HTTPError):
        now = HfApi().model_info(known.repo, revision=known.asked, timeout=GLANCE).sha
        if now != known.commit:
            say(
                f"{known.asked} of {known.repo} is at {now} by now; this run keeps {known.commit}, as resolved on "
                f"{known.when}. For the new one name hf:{known.repo}@{now}, or delete {file}"
            )


def _resolve(repo: str, asked: str, look: Callable[[Path], None]) -> Revision:
    """What a revision is now; its files are downloaded into the hub's cache and checked against the hub's hashes."""
    info = _listing(repo, asked)
    said = {file.rfilename: file for file in info.siblings or ()}
    of = f"hf:{repo}@{asked}"
    small = small_files(list(said), of=of)
    folder = downloads.hub_files(repo, info.sha, small)
    look(folder)
    weights = weight_files(list(said), lambda: index_text(folder), of=of)
    downloads.hub_files(repo, info.sha, (*small, *weights))
    names = sorted((*small, *weights))
    for name in names:
        _check(folder / name, said[name])
    today = datetime.now(UTC).date().isoformat()
    return Revision(repo, asked, info.sha, today, {name: downloads.sha256_once(folder / name) for name in names})


def _listing(repo: str, asked: str) -> "ModelInfo":
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HTTPError, RepositoryNotFoundError, RevisionNotFoundError

    say(f"asking the Hugging Face hub for {asked} of {repo}")
    try:
        return HfApi().model_info(repo, revision=asked, files_metadata=True, timeout=PATIENCE)
    except GatedRepoError:
        reason = "its owners ask you to accept their terms first"
    except RepositoryNotFoundError:
        reason = "there is no such repository, or it is private"
    except RevisionNotFoundError:
        reason = f"it has no branch, tag or commit {asked!r}"
    except (OSError, HTTPError) as error:
        reason = downloads.first_line(error)
    raise DownloadError(f"could not look up hf:{repo}@{asked}: {reason}; {REMEDY}")


def _check(path: Path, said: "RepoSibling") -> None:
    """Raises: DownloadError if a file does not have the hash that the hub's listing gives."""
    if said.lfs is not None:
        downloads.check(path, pinned=said.lfs.sha256, remedy="delete it and run again to fetch it anew")
    elif said.blob_id is not None:
        content = path.read_bytes()
        seen = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        if seen != said.blob_id:
            raise DownloadError(f"{path} has git hash {seen}, the hub says {said.blob_id}; delete it and run again")
