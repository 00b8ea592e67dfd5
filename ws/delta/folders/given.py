"""A stranger's folder with an adapter or a model, looked at before anything of it is loaded.

Nothing in it is run, no path in it is followed and no link out of it. What this lets pass, the readers of each kind of
folder still hold against the model.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ws.delta.folders import checkpoints, mlx, peft_files
from ws.delta.folders.delta import Kind, check_folder, folder_delta, folders_delta, kind_of
from ws.delta.weight_delta import WeightDelta
from ws.errors import MismatchError, ShapeError
from ws.files.names import check_in_folder, is_name
from ws.files.notation import read_json
from ws.files.patterns import why_not
from ws.files.safetensors_header import stored
from ws.files.showing import brief
from ws.models.language import LanguageModel
from ws.store.memory import available_bytes

SETTINGS = (peft_files.CONFIG, checkpoints.CONFIG, checkpoints.INDEX)
WEIGHTS = (peft_files.WEIGHTS, mlx.WEIGHTS, checkpoints.WEIGHTS)

MOST_BYTES = 16 << 20
"""The largest file of settings: the index of 92,000 tensors has 9 MB."""

MOST_FILES = 1_000
"""The most files of weights that an index may list."""

PATTERNS = ("target_modules", "exclude_modules", "feedforward_modules", "layers_pattern")
"""Settings of PEFT that may be a regular expression; in others, named *_pattern, each key is one."""

COMPLEX = frozenset({"C64"})
AT_ONCE: frozenset[Kind] = frozenset({"PEFT adapter", "mlx-lm adapter"})
"""Kinds of folders whose tensors are all read at once."""


def check_given(folder: Path) -> None:
    """Raises: MismatchError if a folder can be seen to hold no dW, or holds a file that must not be loaded.

    Such a file is no plain one, a link out of the folder, never written for the most part, larger than the memory, or
    none of what its name says.
    """
    for name in SETTINGS:
        if _is_there(folder / name):
            _check_settings(folder / name)
    kind = kind_of(folder)
    for file in _weights(folder):
        check_in_folder(file, what="a safetensors file", refuse=MismatchError)
        _check_tensors(file, at_once=kind in AT_ONCE)
    check_folder(folder)


def check_two(plus: Path, minus: Path, contents: tuple[str, str]) -> None:
    """Raises: MismatchError if two folders, whose `folder_sha256` these are, hold the same."""
    if contents[0] == contents[1]:
        raise MismatchError(
            f"dW is zero: {plus} and {minus} hold the same files; expected two that differ, trained on answers of "
            "opposite signs: name another one"
        )


@contextmanager
def naming(*folders: Path | None, lm: Callable[[], LanguageModel]) -> Iterator[None]:
    """An error about one or two folders that dW is read from, raised again with the path of the one that is at fault.

    What reads a folder's tensors knows its settings and not its name. Reading each folder alone tells which one it is;
    where each can be read, the two do not fit each other, and both are named.
    """
    try:
        yield
    except (MismatchError, ShapeError) as error:
        given = [folder.absolute() for folder in folders if folder is not None]
        named = [folder for folder in given if str(folder) in str(error)]
        at_fault = [] if named else _at_fault(given, lm(), str(error))
        if not at_fault:
            raise
        raise type(error)(f"{' minus '.join(map(str, at_fault))}: {error}") from error


def _at_fault(folders: Sequence[Path], lm: LanguageModel, said: str) -> Sequence[Path]:
    """Those of some folders that cannot be read, as was said; all, if only their difference cannot be made; or none."""
    if alone := [folder for folder in folders if _refusal(partial(folder_delta, folder, lm)) == said]:
        return alone
    if len(folders) != 2:
        return ()
    plus, minus = folders
    return folders if _refusal(partial(folders_delta, plus, minus, lm)) == said else ()


def _refusal(read: Callable[[], WeightDelta]) -> str | None:
    """What is said of folders that cannot be read; None if they can be."""
    try:
        read()
    except (MismatchError, ShapeError) as error:
        return str(error)
    return None


def check_adds_numbers(delta: WeightDelta, folder: Path) -> None:
    """Raises: MismatchError if what a folder adds to a weight is too large to be written as a number."""
    for path, update in delta.tensors.items():
        if not update.dense().isfinite().all():
            raise MismatchError(
                f"{folder} adds values to {path} that are no finite numbers; expected an update; train it anew"
            )


def _check_settings(file: Path) -> None:
    check_in_folder(file, what="a JSON file of settings", refuse=MismatchError)
    said = read_json(file, what="settings", refuse=MismatchError, most=MOST_BYTES, finite=False)
    if not isinstance(said, dict):
        raise MismatchError(f"{file} holds {brief(said)}, expected an object of settings; save it anew")
    for name, pattern in _patterns(said):
        if why := why_not(pattern):
            raise MismatchError(
                f"{file} has the pattern {brief(pattern)} in {name}, which is not looked for: {why}; expected names of "
                "modules; write these there"
            )


def _patterns(said: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Every text in settings of PEFT that is used as a regular expression, with its place."""
    for name, value in said.items():
        if name in PATTERNS and isinstance(value, str):
            yield name, value
        if name.endswith("_pattern") and isinstance(value, dict):
            yield from ((name, key) for key in value)


def _weights(folder: Path) -> Iterator[Path]:
    """The files of tensors in a folder. Raises: MismatchError if an index lists something else."""
    yield from (folder / name for name in WEIGHTS if _is_there(folder / name))
    if not _is_there(folder / checkpoints.INDEX):
        return
    found = read_json(folder / checkpoints.INDEX, what="an index", refuse=MismatchError, most=MOST_BYTES)
    listed = found.get("weight_map")
    names = set(map(str, listed.values())) if isinstance(listed, dict) else set()
    counted = 0 < len(names) <= MOST_FILES
    odd = [brief(name) for name in sorted(names) if not is_name(name)] if counted else [f"{len(names):,} files"]
    if odd:
        raise MismatchError(
            f"{folder / checkpoints.INDEX} lists {odd[0]}, expected names of files beside it, {MOST_FILES:,} at most; "
            "save it anew"
        )
    yield from (folder / name for name in sorted(names) if _is_there(folder / name))


def _check_tensors(file: Path, *, at_once: bool) -> None:
    found = stored(file, refuse=MismatchError)
    if odd := [name for name, one in found.items() if one.kind in COMPLEX]:
        raise MismatchError(
            f"{file} holds complex numbers ({found[odd[0]].kind}) in {brief(odd[0])}, expected floating-point numbers; "
            "save it anew in float32, bfloat16 or float16"
        )
    needed, free = max((one.end for one in found.values()), default=0), available_bytes()
    if at_once and free is not None and needed > free:
        raise MismatchError(
            f"{file} holds {needed:,} bytes of tensors, and {free:,} bytes of memory are free; expected an adapter "
            "that fits in it; free some, or use a larger machine"
        )


def _is_there(path: Path) -> bool:
    """Whether there is anything of this name, a link that leads nowhere too."""
    return path.exists() or path.is_symlink()
