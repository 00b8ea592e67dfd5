"""Reading the two kinds of file in a folder, JSON objects and safetensors, with errors that name the fault."""

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ws.errors import MismatchError
from ws.store.progress import say

Settings = Mapping[str, object]
"""A configuration as its JSON file has it."""


def read_settings(file: Path) -> dict[str, object]:
    """The JSON object in a file. Raises: MismatchError if there is none."""
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as broken:
        raise MismatchError(f"{file} is no JSON that can be read ({brief(broken)}); save it anew") from broken
    if not isinstance(settings, dict):
        raise MismatchError(f"{file} holds a {type(settings).__name__}, expected an object of settings; save it anew")
    return settings


def read_tensors(file: Path) -> tuple[dict[str, Tensor], str | None]:
    """The tensors by name, on the CPU, and the family that `save_peft` marked them with.

    Raises: MismatchError if the file is damaged or a tensor holds something that is no finite number.
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    try:
        tensors = load_file(file)
        with safe_open(file, framework="pt") as opened:
            mark = (opened.metadata() or {}).get("family")
    except (SafetensorError, KeyError, AttributeError) as broken:
        raise MismatchError(f"{file} is damaged ({brief(broken)}); copy or save it anew") from broken
    for name, value in tensors.items():
        check_finite(value, f"{file} holds values in {name}")
    return tensors, mark


def tensor_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors in a file, by name. Raises: MismatchError if it is damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            names = list(opened.keys())
            return {name: tuple(opened.get_slice(name).get_shape()) for name in names}
    except SafetensorError as broken:
        raise MismatchError(f"{file} is damaged ({brief(broken)}); copy or save it anew") from broken


def check_finite(value: Tensor, what: str) -> None:
    """Raises: MismatchError for complex, infinite or NaN entries. Integer tensors pass, since they may be indices."""
    if value.is_complex() or (value.is_floating_point() and not value.float().isfinite().all()):
        raise MismatchError(f"{what} that are no finite numbers; train it anew")


def check_floating(tensors: Mapping[str, Tensor], file: Path) -> None:
    """Raises: MismatchError for integers where weights are expected, which are a sign of a quantised file."""
    whole = sorted(name for name, value in tensors.items() if not value.is_floating_point())
    if whole:
        raise MismatchError(
            f"{file} holds {tensors[whole[0]].dtype} in {whole[0]}, expected floating-point numbers; "
            "save it anew in float32, bfloat16 or float16"
        )


def say_rounded(dtypes: Iterable[torch.dtype], name: str) -> None:
    """Print a line if weights were rounded to less than fp32 before dW was made of them."""
    coarse = sorted({str(dtype).removeprefix("torch.") for dtype in dtypes if torch.finfo(dtype).bits < 32})
    if coarse:
        say(f"{name} is stored in {' and '.join(coarse)}: changes finer than its rounding are lost from dW")


def say_unchanged(name: str, layers: Collection[str]) -> None:
    """Print a line if an adapter has no tensors for layers that its settings name."""
    if layers:
        say(f"{name} has no tensors for {len(layers)} layers that it aims at, which stay as they were: {shown(layers)}")


def shown(names: Iterable[str], most: int = 3) -> str:
    """The first few of many names, and how many more there are."""
    listed = sorted(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def brief(error: BaseException) -> str:
    """The first line of an error."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
