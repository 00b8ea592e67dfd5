"""dW of folders of any kind: adapters of PEFT, adapters of mlx-lm, whole models."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ws.adapters import boft, family
from ws.adapters.base import AdapterConfig, Params
from ws.adapters.peft.side import Settings
from ws.delta.folders import checkpoints, mlx, peft_files
from ws.delta.folders.bases import named_base, say_other_base
from ws.delta.folders.checkpoints import checkpoint_delta
from ws.delta.folders.mlx import mlx_delta
from ws.delta.folders.moving import check_moves, moves
from ws.delta.folders.peft_files import load_layers, why_not_ours
from ws.delta.folders.reading import read_settings, say_unchanged, shown, tensor_shapes
from ws.delta.folders.refused import check_settings
from ws.delta.folders.through_peft import check_known, delta_through_peft
from ws.delta.update import Dense, LowRank, Update
from ws.delta.weight_delta import WeightDelta, difference
from ws.errors import MismatchError
from ws.models.anatomy import matrix
from ws.models.language import LanguageModel
from ws.store.progress import say

Kind = Literal["PEFT adapter", "mlx-lm adapter", "model"]

LARGE = 1 << 30
"""Bytes from which on hashing takes seconds and is announced."""


def folders_delta(plus: Path, minus: Path, lm: LanguageModel) -> WeightDelta:
    """The weights with `plus` minus the weights with `minus`; a layer missing in one folder counts as unchanged there.

    Raises: MismatchError if a folder holds something that is no dW of this model, or both hold the same.
    """
    if kind_of(plus) == kind_of(minus) == "model":
        return _moving(checkpoint_delta(plus, minus, lm), plus, minus)
    _say_bases(plus, minus)
    upper, lower = folder_delta(plus, lm), folder_delta(minus, lm)
    for folder, one, other in ((plus, upper, lower), (minus, lower, upper)):
        if alone := other.tensors.keys() - one.tensors.keys():
            say(f"{folder} leaves {len(alone)} layers as they were that the other changes: {shown(alone)}")
    _check_trained(upper, lower, plus, minus, lm)
    return difference(_moving(_filled(upper, lower), plus, minus), _filled(lower, upper))


def folder_delta(folder: Path, lm: LanguageModel) -> WeightDelta:
    """What a folder adds to the original weights, exactly; in factors if it is a family of ours that has factors.

    Raises: MismatchError or ShapeError if it holds something that is no dW of this model.
    """
    say_other_base(folder, lm.recipe)
    match kind_of(folder):
        case "model":
            return checkpoint_delta(folder, None, lm)
        case "mlx-lm adapter":
            delta = mlx_delta(folder, lm)
        case _:
            delta = _peft_delta(folder, lm)
    check_moves(folder, delta, lm)
    return delta


def why_through_peft(folder: Path, lm: LanguageModel) -> str | None:
    """The feature of a PEFT adapter that our families have no formula for; None if they have one."""
    return why_not_ours(read_settings(folder / peft_files.CONFIG)) or _why_outranked(folder, lm)


def check_folder(folder: Path) -> None:
    """Raises: MismatchError if the folder can be seen to hold no dW, even without a model."""
    if kind_of(folder) == "PEFT adapter":
        settings = read_settings(folder / peft_files.CONFIG)
        check_settings(folder, settings)
        if why_not_ours(settings) is not None:
            check_known(folder, settings)


def folder_sha256(folder: Path) -> str:
    """One hash of all files that dW is computed from. Raises: MismatchError if one is missing."""
    files = _files(folder)
    if sum(file.stat().st_size for file in files) > LARGE:
        say(f"hash {folder}, a few seconds for each gigabyte")
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def kind_of(folder: Path) -> Kind:
    """The kind of folder. Raises: MismatchError if it is of no known kind."""
    if (folder / peft_files.CONFIG).is_file():
        of_peft = "peft_type" in read_settings(folder / peft_files.CONFIG)
        return "PEFT adapter" if of_peft or not (folder / mlx.WEIGHTS).is_file() else "mlx-lm adapter"
    if (folder / checkpoints.CONFIG).is_file():
        return "model"
    raise MismatchError(
        f"{folder} has no {peft_files.CONFIG} and no {checkpoints.CONFIG}; give a folder that PEFT's save_pretrained "
        f"wrote, with {peft_files.CONFIG} and {peft_files.WEIGHTS} directly in it, one of mlx-lm, or a whole model's"
    )


def _files(folder: Path) -> Iterable[Path]:
    match kind_of(folder):
        case "model":
            return checkpoints.files_of(folder)
        case "mlx-lm adapter":
            return folder / peft_files.CONFIG, folder / mlx.WEIGHTS
        case _:
            return peft_files.config_file(folder), peft_files.weights_file(folder)


def _peft_delta(folder: Path, lm: LanguageModel) -> WeightDelta:
    settings = read_settings(folder / peft_files.CONFIG)
    check_settings(folder, settings)
    _say_missing(folder, lm, settings)
    why = why_through_peft(folder, lm)
    if why is not None:
        say(f"{folder} has {why}: dW through PEFT, which takes longer")
        delta = delta_through_peft(folder, lm, settings)
    else:
        layers, linears = load_layers(folder, lm, settings), lm.linears(0, lm.n_layers)
        _say_factors(folder, settings, layers)
        delta = WeightDelta({path: _update(matrix(linears[path]).detach(), *layer) for path, layer in layers.items()})
    _say_overlapping(folder, settings, delta.tensors)
    return delta


def _why_outranked(folder: Path, lm: LanguageModel) -> str | None:
    """Names layers whose LoRA has a rank above their number of inputs or outputs, which our families do not allow."""
    shapes = tensor_shapes(peft_files.weights_file(folder))
    wide = [
        path
        for path, linear in lm.linears(0, lm.n_layers).items()
        if (shapes.get(f"{peft_files.PREFIX}{path}.lora_A.weight") or (0,))[0] > min(matrix(linear).shape)
    ]
    return f"a rank above the width of {shown(wide)}" if wide else None


def _update(W: Float[Tensor, "d_out d_in"], params: Params, shape: AdapterConfig) -> Update:
    module = family(shape.family)
    factors = module.factors(W, params, config=shape)
    return Dense(module.delta(W.float(), params, config=shape)) if factors is None else LowRank(*factors)


def _moving(delta: WeightDelta, plus: Path, minus: Path) -> WeightDelta:
    """The update itself. Raises: MismatchError if it changes no layer."""
    if not delta.tensors:
        raise MismatchError(f"dW is zero: no linear layer of {plus} differs from {minus}; give two that do")
    return delta


def _check_trained(upper: WeightDelta, lower: WeightDelta, plus: Path, minus: Path, lm: LanguageModel) -> None:
    """Raises: MismatchError if neither of two folders adds anything to a layer."""
    linears = lm.linears(0, lm.n_layers)
    updates = (pair for delta in (upper, lower) for pair in delta.tensors.items())
    if not any(moves(update, matrix(linears[path])) for path, update in updates):
        raise MismatchError(
            f"dW is zero: neither {plus} nor {minus} adds anything to a layer; expected two trained ones: train them "
            "on answers of opposite signs"
        )


def _filled(one: WeightDelta, other: WeightDelta) -> WeightDelta:
    """`one` with nothing added to the layers that only `other` has."""
    alone = {path: value for path, value in other.tensors.items() if path not in one.tensors}
    nothing = {
        path: LowRank(torch.zeros(value.shape[0], 0).to(value.device), torch.zeros(0, value.shape[1]).to(value.device))
        for path, value in alone.items()
    }
    return WeightDelta({**one.tensors, **nothing})


def _say_bases(plus: Path, minus: Path) -> None:
    """Print a line if two adapters name different base models: no error, since two paths may hold the same model."""
    names = [named_base(folder) for folder in (plus, minus)]
    if all(names) and names[0] != names[1]:
        say(f"{plus} names {names[0]} as its base model, {minus} names {names[1]}: is dW one model's?")


def _say_missing(folder: Path, lm: LanguageModel, settings: Settings) -> None:
    """Print a line if settings name layers, other than by a pattern, that have no tensors, or if others have some.

    Patterns are not run.
    """
    aims, blocks = settings.get("target_modules"), settings.get("layers_to_transform")
    if settings.get("exclude_modules") or settings.get("layers_pattern"):
        return
    linears = lm.linears(0, lm.n_layers)
    present = peft_files.paths_of(tensor_shapes(folder / peft_files.WEIGHTS), lm) & linears.keys()
    if not present:
        return
    within = set(linears)
    if blocks is not None:
        listed = blocks if isinstance(blocks, list) else [blocks]
        known = [block for block in listed if type(block) is int and 0 <= block < lm.n_layers]
        within = {path for block in known for path in lm.linears(block, block + 1)}
    if isinstance(aims, list):
        ends = tuple(f".{aim}" for aim in aims if isinstance(aim, str))
        within = {path for path in within if path in aims or path.endswith(ends)}
    elif aims != "all-linear":
        return
    say_unchanged(folder.name, within - present)
    if extra := present - within:
        say(
            f"{folder} has tensors of {len(extra)} layers that its settings do not name, which dW has and PEFT "
            f"would not load: {shown(extra)}"
        )


def _say_overlapping(folder: Path, settings: Settings, layers: Iterable[str]) -> None:
    """Print a line if alpha_pattern has two numbers for a layer: PEFT takes the first, and sorts them as it saves."""
    from peft.utils.other import get_pattern_key

    pattern = settings.get("alpha_pattern")
    if not isinstance(pattern, Mapping):
        return
    for path in layers:
        keys = [key for key in pattern if get_pattern_key([key], path) == key]
        if len({pattern[key] for key in keys}) > 1:
            say(
                f"{folder}: {' and '.join(keys)} in alpha_pattern are both for {path}; the first counts, as where "
                "PEFT loads it, but PEFT sorts them as it saves, so training may have had another"
            )
            return


def _say_factors(folder: Path, settings: Settings, layers: Mapping[str, tuple[Params, AdapterConfig]]) -> None:
    """Print a line if a BOFT adapter was computed with fewer factors than its settings say."""
    said = settings.get("boft_n_butterfly_factor")
    held = {shape.butterfly for _, shape in layers.values() if shape.family == boft.NAME}
    if held and held != {said}:
        say(
            f"{folder} says {said} butterfly factors and holds {max(held)}: it was made with {max(held)}, as PEFT "
            "does where its CUDA code is missing"
        )
