"""A model of one's own (a folder, a file or a hub repository that no table lists): its name, and where it is kept.

Its contents are its identity: the same files under another path or from another commit are the same model, with the
same artifacts and verdicts, and one changed file makes another model. Layout inside a store:

    models/hub/OWNER--NAME@REVISION.json    the commit that a revision was resolved to, and the hashes of what came
    models/NAME@DIGEST/model.json           where a model was last seen
    models/NAME@DIGEST/files/               links to the files that are read, and nothing else
    models/NAME@DIGEST/searched/            what `ws search` chose on it
    models/NAME@DIGEST/snapshots/           its recorded verdicts by the claims of this project
    models/NAME@DIGEST/repositories/        those by other tests, each folder of them apart
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from ws.errors import ChatError, DownloadError, ModelError, UnknownNameError, WsError
from ws.files.folders import check_files
from ws.files.whole import check_numbers, check_whole
from ws.models import hub, model_files
from ws.models.chat import check_chat, prompt_ids
from ws.models.downloads import first_line, sha256_once, write_whole
from ws.models.marks import marks_of
from ws.models.table import MODELS, OWN_MODELS, KnownModel, ModelSource
from ws.models.template import SYSTEM, USER
from ws.models.weights import OWN_FOLDER, Pins, own_files
from ws.models.yesno import ANSWERS, answer_tokens
from ws.store import Store
from ws.store.called import call
from ws.store.progress import in_worker, say

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SEEDS = 3
"""Seeds that a claim trains on a model of one's own by default: as many as on the trained models of the table."""

FORMS = (
    "or give a folder (./NAME), a file (./NAME.gguf) or a repository of the hub (OWNER/NAME or hf:OWNER/NAME@REVISION)"
)
"""How a model that no table lists is named."""

Look = Callable[[Path], None]
"""Raises for a folder with the config and the tokenizer of a model that would be of no use."""

_REPOSITORY = re.compile(r"(?:hf:)?(?P<repo>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>\w[\w./-]*))?", re.ASCII)
_IN_HUB_CACHE = re.compile(r"/models--[^/]+?--(?P<name>[^/]+)/snapshots/[0-9a-f]{40}$")
_DIGITS = 8
_NAME = re.compile(rf"[\w.-]+@[0-9a-f]{{{_DIGITS}}}", re.ASCII)


def chosen_model(text: str, store: Store, *, device: str = "cpu", look: Look | None = None) -> KnownModel:
    """The model that a command line names, checked to be one that can be steered here.

    Raises: as `named_model` and `check_model`.
    """
    model = named_model(text, store, look=look)
    if model.home is None:
        return model
    tokenizer = check_model(model, store, device=device)
    OWN_MODELS[model.name] = replace(model, thinks=marks_of(tokenizer) is not None)
    return OWN_MODELS[model.name]


def named_model(text: str, store: Store, *, look: Look | None = None) -> KnownModel:
    """The model that a command line names; a model of one's own is from then on known by its name.

    look: called on a folder with a new repository's config and tokenizer, before its weights are fetched.
    Raises: UnknownNameError for what names no model; ModelError or DownloadError if its files cannot be had.
    """
    if listed := _of_table(text):
        return listed
    with store.usable():
        model = _own(text, store, look)
    if model.home is not None:
        OWN_MODELS[model.name] = model
        call(model.source.place, model.origin, model.name.partition("@")[0])
    return model


def _of_table(text: str) -> KnownModel | None:
    sources = {str(model.source): model for model in MODELS.values()}
    return MODELS.get(text) or sources.get(text)


def _own(text: str, store: Store, look: Look | None = None) -> KnownModel:
    seen = store.root / OWN_FOLDER / text / "model.json"
    if _NAME.fullmatch(text) and seen.is_file():
        return _as_named(text, json.loads(seen.read_text(encoding="utf-8"))["origin"], store)
    path = Path(os.path.expanduser(text)).absolute()
    repository = _REPOSITORY.fullmatch(text)
    if text and not text.startswith("hf:") and (path.exists() or text.startswith((".", "/", "~"))):
        if repository is not None:
            say(f"{text} is taken for the folder {path}; the repository of the hub would be hf:{text}")
        return _of_path(path, store)
    if repository is None or ".." in text:
        raise UnknownNameError("model", text, [*MODELS, *_seen(store)], others=FORMS)
    try:
        return _of_hub(repository["repo"], repository["revision"] or "main", store, look)
    except DownloadError as error:
        raise error if text.startswith("hf:") else DownloadError(f"{error}; no folder {path} is here") from error


def _as_named(name: str, origin: str, store: Store) -> KnownModel:
    """The model that this store knows by a name; its files must be unchanged."""
    found = _own(origin, store)
    if found.name != name:
        raise ModelError(
            f"{origin} is no longer {name} but {found.name}: its files changed; name the one that is meant"
        )
    return found


def _seen(store: Store) -> list[str]:
    """The names of the models of one's own that this store has been told of."""
    return sorted(path.parent.name for path in (store.root / OWN_FOLDER).glob("*@*/model.json"))


def _of_hub(repo: str, revision: str, store: Store, look: Look | None) -> KnownModel:
    def check(folder: Path) -> None:
        model_files.read_config(folder)
        checked_tokenizer(folder)
        if look is not None:
            look(folder)

    found, folder = hub.fetched(repo, revision, store.root / OWN_FOLDER / "hub", look=check)
    origin = f"hf:{repo}@{found.commit}"
    places = {name: folder / name for name in found.files}
    files = dict(found.files)
    return _of_table(origin) or _told("files", files, places, store, called=repo.partition("/")[2], origin=origin)


def _of_path(path: Path, store: Store) -> KnownModel:
    try:
        kind, called, places = _in_path(path)
        files = {name: sha256_once(place) for name, place in places.items()}
    except OSError as error:
        raise ModelError(f"cannot read {error.filename or path}: {error.strerror}; expected a model's files") from error
    return _told(kind, files, places, store, called=called, origin=str(path))


def _in_path(path: Path) -> tuple[str, str, dict[str, Path]]:
    """The kind of model in a folder or file, what people call it, and its files by the names that loaders expect."""
    called = path.resolve().name
    if path.is_dir():
        places = {name: path / name for name in model_files.model_files(path)}
        check_files(places.values(), refuse=ModelError)
        cached = _IN_HUB_CACHE.search(path.as_posix())
        return "files", cached["name"] if cached else called, places
    if path.suffix == ".gguf" and path.exists():
        check_files([path], refuse=ModelError)
        return "gguf", called.removesuffix(".gguf"), {"model.gguf": path}
    raise ModelError(f"{path} is no folder and no .gguf file; expected the folder of a model, or such a file")


def _told(
    kind: str, files: Mapping[str, str], places: Mapping[str, Path], store: Store, *, called: str, origin: str
) -> KnownModel:
    """The model made of these files. Its folder in the store is made now, or found under the name it got before."""
    pins: Pins = tuple(sorted(files.items()))
    digest = hashlib.sha256(json.dumps(pins).encode()).hexdigest()[:_DIGITS]
    folder = store.root / OWN_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{digest}.lock"):
        homes = sorted(folder.glob(f"*@{digest}"))
        home = homes[0] if homes else folder / f"{_safe(called)}@{digest}"
        (home / "files").mkdir(parents=True, exist_ok=True)
        for name in files:
            _link(places[name], home / "files" / name)
        record = json.dumps({"name": home.name, "origin": origin, "files": dict(pins)}, indent=1)
        write_whole(home / "model.json", f"{record}\n")
    if not in_worker():
        say(f"{home.name} is {origin}")
    return KnownModel(home.name, ModelSource(kind, digest), SEEDS, pins, home=home, origin=origin)


def _safe(name: str) -> str:
    """A name without the characters that file systems and test ids refuse."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-.")[:40] or "model"


def _link(place: Path, link: Path) -> None:
    scratch = link.parent.with_name(f"{link.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    scratch.symlink_to(place.resolve())
    os.replace(scratch, link)


def check_model(model: KnownModel, store: Store, *, device: str) -> "PreTrainedTokenizerBase":
    """The tokenizer of a model of one's own, after checking all that claims need and that takes no forward pass.

    Raises: ModelError or ChatError for a model that cannot be steered here, saying why.
    """
    folder = own_files(model.weights, store)
    if model.source.kind == "files":
        model_files.read_config(folder)
    needed = model_files.fp32_bytes(folder.iterdir())
    model_files.check_memory(needed, name=model.name, device=device)
    # A .gguf file is converted now.
    read = _converted(model, store) if model.source.kind == "gguf" else folder
    tokenizer = checked_tokenizer(read)
    answers = answer_tokens(tokenizer)
    used = {*prompt_ids(tokenizer, user=USER, system=SYSTEM), *answers.yes, *answers.no}
    check_whole(read, used, tokenizer.convert_ids_to_tokens, name=model.name, refuse=ModelError)
    return tokenizer


def _converted(model: KnownModel, store: Store) -> Path:
    """The folder made of a .gguf file. Raises: ModelError if what the file says of its model makes no sense."""
    try:
        return store.get(model.weights)
    except (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        if isinstance(error, WsError):
            raise
        raise ModelError(
            f"no model can be made of what {model.origin} says ({type(error).__name__}: {first_line(error)}); expected "
            "a GGUF file of a whole model; take the model's original folder"
        ) from error


def checked_tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    """The tokenizer in a folder, checked to be able to write prompts and answers.

    Raises: ChatError if it has no chat template, or no token for Yes or No; ModelError if it cannot be read.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        # Files that anybody wrote make it raise whatever comes up.
        raise ModelError(f"transformers cannot read the tokenizer in {folder}: {first_line(error)}") from error
    check_chat(tokenizer)
    check_numbers(tokenizer, [word.lower() for answers in ANSWERS.values() for word in answers.reads], refuse=ChatError)
    return tokenizer
