"""The files of somebody else's model, each held against what its ending says before anything loads them."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ws.files import gguf_header, safetensors_header
from ws.files.notation import Unreadable, check_bounds, decoded, read_json
from ws.files.opening import Refuse, content

MOST_BYTES = 64 << 20
"""The largest file that holds no weights: a tokenizer of 256,000 tokens has 34 MB."""

MOST_MARKS = 8_000_000
"""Of a tokenizer: of each merge it says two words, of each token a number."""

SMALL = 8 << 20
"""Up to here JSON is read; what is larger is read by a library in another language, and only its bounds are checked."""

LAYERS = re.compile(r"(?:num|n)_(?:\w+_)?layers?", re.ASCII)
"""Settings that say how many layers a model has."""


def check_files(paths: Iterable[Path], *, refuse: Refuse) -> None:
    """Look at every file of a model without loading any.

    Raises: `refuse` naming the first that is no plain file, is not what its ending says, was never written for the most
        part, or says something of its size that is not so.
    """
    tensors, configs = 0, []
    for path in paths:
        match path.suffix:
            case ".safetensors":
                tensors += len(safetensors_header.stored(path, refuse=refuse))
            case ".gguf":
                gguf_header.placed(path, refuse=refuse)
            case ".json":
                configs.append((path, _read(path, refuse=refuse)))
            case _:
                content(path, most=MOST_BYTES, what="a file of a model", refuse=refuse)
    for path, said in configs:
        for name, layers in _layers(said) if path.name == "config.json" else ():
            if layers > tensors:
                raise refuse(
                    f"{path} says {name} = {layers:,}, and the files of weights beside it have {tensors:,} tensors; "
                    "expected the config of these weights; fetch it anew"
                )


def _read(path: Path, *, refuse: Refuse) -> Any:
    """The value in a JSON file; None if it is a large one, in which only bounds are checked."""
    found = content(path, most=MOST_BYTES, what="a JSON file of a model", refuse=refuse)
    if len(found) <= SMALL:
        return read_json(path, what="JSON", refuse=refuse, marks=MOST_MARKS, finite=False, advice="fetch it anew")
    try:
        check_bounds(found, marks=MOST_MARKS)
        decoded(found)
    except Unreadable as error:
        raise refuse(f"{path} is no JSON that can be read: {error.said}; expected JSON; fetch it anew") from error


def _layers(said: Any) -> Iterator[tuple[str, int]]:
    """The numbers of layers that a config names, in the configs inside it too."""
    waiting = [said]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.values()
            yield from ((name, value) for name, value in one.items() if LAYERS.fullmatch(name) and type(value) is int)
