"""Adapters as PEFT keeps them: a folder with adapter_config.json and adapter_model.safetensors.

`save_peft` writes one that `peft.PeftModel.from_pretrained` loads onto the original weights, `load_peft` reads one that
PEFT's `save_pretrained` wrote. Nothing in a folder is run, and no path or pattern in it is followed: layers are looked
up in the model by name, module patterns are not read at all, pickles are refused.

PiSSA: PEFT's own file holds A and B alone. They belong to W - s B0 A0, so PEFT does its SVD again when it loads them
and overwrites the base weights with the rest; a second adapter of the kind would start from that rest. `load_peft`
reads such a file and does the same SVD. `save_peft` writes what PEFT's own conversion to LoRA does, a LoRA of rank 2r,
s [B, -B0] [A; A0], which leaves the base weights alone, so that both signs fit into one model. A mark in the file
lets `load_peft` take it apart again.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ws.adapters import AdapterConfig, Params, boft, family, ia3, lora, pissa
from ws.adapters.peft_layers import Settings, peft_family, shape_of, to_peft
from ws.errors import MismatchError
from ws.models import LanguageModel

CONFIG, WEIGHTS, PICKLE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
PREFIX = "base_model.model."
"""What PEFT puts before a module's path."""

FREE = frozenset(
    {
        *("target_modules", "exclude_modules", "feedforward_modules", "layers_to_transform", "layers_pattern"),
        *("base_model_name_or_path", "revision", "auto_mapping", "task_type", "inference_mode", "peft_version"),
    }
)
"""Settings that do not change what an adapter computes in the layers that the weights name."""

STARTS = {
    "init_lora_weights": (True, False, "gaussian"),
    "init_weights": (True, False),
    "init_ia3_weights": (True, False),
}
"""Start values that the weights of the file replace. Others, such as "olora", also change the base weights."""


def save_peft(folder: Path, lm: LanguageModel, layers: Mapping[str, Params], shape: AdapterConfig) -> None:
    """Writes the adapter `layers`, parameters by module path, for use on the original weights of `lm`.

    Raises: MismatchError if a layer is not one of the model's or the family has no PEFT counterpart;
        ShapeError if parameters do not fit their layer.
    """
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    peft_family(shape.family)
    linears = _chosen(lm, layers)
    if shape.family == pissa.NAME:
        kept, kept_shape = {path: _as_lora(params) for path, params in layers.items()}, _lora_shape(shape)
    else:
        kept, kept_shape = layers, shape
    gates = [path for path, params in kept.items() if "l" in params and ia3.at_input(params["l"])]
    copy = _adapted(linears, kept_shape, feedforward=gates)
    for path, params in kept.items():
        to_peft(copy.get_submodule(path), params, config=kept_shape)
    tensors = {PREFIX + name: value for name, value in get_peft_model_state_dict(copy).items()}
    folder.mkdir(parents=True, exist_ok=True)
    copy.peft_config["default"].inference_mode = True
    copy.peft_config["default"].save_pretrained(str(folder))
    save_file(
        {name: value.detach().cpu().contiguous() for name, value in tensors.items()},
        folder / WEIGHTS,
        metadata={"format": "pt", "family": shape.family},
    )


def load_peft(folder: Path, lm: LanguageModel) -> tuple[dict[str, Params], AdapterConfig]:
    """The parameters of an adapter for `lm` by module path, float32 on the model's device, and its configuration.

    Raises: MismatchError if the folder holds something that this package does not compute exactly: another kind of
        adapter, a setting of its own, other layers or tensors than the model's;
        ShapeError if a rank or block does not fit.
    """
    from peft import set_peft_model_state_dict

    settings = _read_settings(folder)
    shape = shape_of(settings)
    _check_settings(settings, shape)
    tensors, family_name = _read_tensors(folder)
    linears = _chosen(lm, _paths(tensors, lm))
    for linear in linears.values():
        family(shape.family).check(linear.weight.detach(), config=shape)
    gates = [path for path in linears if _gates_input(tensors, path)]
    copy = _adapted(linears, shape, feedforward=gates)
    _check_tensors(tensors, copy)
    set_peft_model_state_dict(copy, tensors)
    layers = {
        path: family(shape.family).from_peft(copy.get_submodule(path), W=linear.weight.detach(), config=shape)
        for path, linear in linears.items()
    }
    if (family_name, shape.family) == (pissa.NAME, lora.NAME):
        _check_halves(shape)
        return {path: _from_lora(pair) for path, pair in layers.items()}, _pissa_shape(shape)
    return layers, shape


def _chosen(lm: LanguageModel, paths: Iterable[str]) -> dict[str, nn.Linear]:
    """The model's linear layers of these paths. Raises: MismatchError if there are none, or one is unknown."""
    linears, paths = lm.linears(0, lm.n_layers), set(paths)
    if not paths or paths - linears.keys():
        raise MismatchError(
            f"the adapter has the layers {sorted(paths - linears.keys())[:3]} that {lm.name} lacks and "
            f"{len(paths & linears.keys())} that it has; expected linear layers such as {min(linears)}: "
            "use the adapter with the model it was trained for"
        )
    return {path: linear for path, linear in linears.items() if path in paths}


def _adapted(linears: Mapping[str, nn.Linear], shape: AdapterConfig, *, feedforward: Collection[str]) -> nn.Module:
    """A module tree of copies of these layers, under their paths, with fresh PEFT adapters in all of them."""
    import peft

    tree = nn.Module()
    for path, linear in linears.items():
        parent, _, name = path.rpartition(".")
        _grown(tree, parent).add_module(name, _copy(linear))
    config = peft_family(shape.family).peft_config(
        shape, targets=_matching(linears), feedforward=_matching(feedforward)
    )
    with torch.random.fork_rng(), boft.building(shape):
        return peft.inject_adapter_in_model(config, tree)


def _grown(tree: nn.Module, path: str) -> nn.Module:
    for name in path.split("."):
        if name not in dict(tree.named_children()):
            tree.add_module(name, nn.Module())
        tree = tree.get_submodule(name)
    return tree


def _copy(linear: nn.Linear) -> nn.Linear:
    """A copy that PEFT may change; PiSSA writes into the weights."""
    copy = nn.Linear(linear.in_features, linear.out_features, bias=linear.bias is not None, device="meta")
    copy.weight = nn.Parameter(linear.weight.detach().clone(), requires_grad=False)
    if linear.bias is not None:
        copy.bias = nn.Parameter(linear.bias.detach().clone(), requires_grad=False)
    return copy


def _matching(paths: Iterable[str]) -> str:
    """A regular expression that matches exactly these module paths."""
    return "|".join(map(re.escape, paths))


def _read_settings(folder: Path) -> Settings:
    if not (folder / CONFIG).is_file():
        raise MismatchError(f"{folder} has no {CONFIG}; give the folder that PEFT's save_pretrained wrote")
    try:
        settings = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except ValueError as broken:
        raise MismatchError(f"{folder / CONFIG} is no JSON ({broken}); save the adapter anew") from broken
    if not isinstance(settings, dict):
        raise MismatchError(f"{folder / CONFIG} holds a {type(settings).__name__}, expected an object of settings")
    return settings


def _check_settings(settings: Settings, shape: AdapterConfig) -> None:
    """Raises: MismatchError for a setting that makes another adapter than this package's of the same shape."""
    ours = peft_family(shape.family).peft_config(shape, targets="any", feedforward="any")
    expected, default = _plain(ours.to_dict()), _plain(type(ours)().to_dict())
    for name in sorted((expected.keys() | settings.keys()) - FREE):
        seen, wanted = settings.get(name, default.get(name)), expected.get(name)
        harmless = name not in expected and not seen
        if not harmless and seen != wanted and not (wanted is True and seen in STARTS.get(name, ())):
            raise MismatchError(
                f"{CONFIG} has {name}={seen!r}, expected {wanted!r} for a {shape.family} adapter; this package does "
                "not compute that setting: train the adapter without it, or merge it into the model with PEFT"
            )


def _plain(settings: Mapping[str, object]) -> dict[str, object]:
    """Settings as JSON has them."""
    return json.loads(json.dumps(settings, default=list))


def _read_tensors(folder: Path) -> tuple[dict[str, Tensor], str | None]:
    """The tensors by PEFT's names, and the family that `save_peft` marked them with."""
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    if not (folder / WEIGHTS).is_file():
        found = f"{PICKLE}, a pickle, which can run code when it is loaded" if (folder / PICKLE).exists() else "none"
        raise MismatchError(
            f"{folder} has no {WEIGHTS} (found: {found}); save the adapter anew with PEFT's save_pretrained, "
            "which writes safetensors, where you trust it"
        )
    try:
        tensors = load_file(folder / WEIGHTS)
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            mark = (file.metadata() or {}).get("family")
    except SafetensorError as broken:
        raise MismatchError(f"{folder / WEIGHTS} is damaged ({broken}); copy or save the adapter anew") from broken
    if bad := sorted(name for name, value in tensors.items() if not _usable(value)):
        raise MismatchError(f"{folder / WEIGHTS} holds values in {bad[0]} that are no finite numbers; train it anew")
    return tensors, mark


def _usable(value: Tensor) -> bool:
    return value.is_floating_point() and bool(value.isfinite().all())


def _paths(tensors: Collection[str], lm: LanguageModel) -> set[str]:
    """The model's layers that the tensors are for; a tensor that is for none of them stands for itself."""
    linears = lm.linears(0, lm.n_layers)
    names = [name.removeprefix(PREFIX) for name in tensors]
    return {next((path for path in linears if name.startswith(f"{path}.")), name) for name in names}


def _gates_input(tensors: Mapping[str, Tensor], path: str) -> bool:
    gate = tensors.get(f"{PREFIX}{path}.ia3_l")
    return gate is not None and gate.ndim == 2 and ia3.at_input(gate)


def _check_tensors(tensors: Mapping[str, Tensor], copy: nn.Module) -> None:
    """Raises: MismatchError if the file lacks a tensor of the adapter, has another one, or one of another shape."""
    from peft import get_peft_model_state_dict

    expected = {PREFIX + name: tuple(value.shape) for name, value in get_peft_model_state_dict(copy).items()}
    seen = {name: tuple(value.shape) for name, value in tensors.items()}
    for name in sorted(expected.keys() | seen.keys()):
        if seen.get(name) != expected.get(name):
            raise MismatchError(
                f"{WEIGHTS} has {name} of shape {seen.get(name)}, expected {expected.get(name)} (None: no such "
                "tensor); use the adapter with the model it was trained for, and all of its files"
            )


def _lora_shape(shape: AdapterConfig) -> AdapterConfig:
    return AdapterConfig(lora.NAME, rank=2 * shape.rank, alpha=2 * shape.alpha)


def _pissa_shape(shape: AdapterConfig) -> AdapterConfig:
    return AdapterConfig(pissa.NAME, rank=shape.rank // 2, alpha=shape.alpha / 2)


def _as_lora(params: Params) -> Params:
    """A LoRA of rank 2r with the PiSSA's update: [A; A0] and [B, -B0]."""
    A, B = torch.cat([params["A"], params["A0"]]), torch.cat([params["B"], -params["B0"]], dim=1)
    return {"A": A, "B": B}


def _from_lora(pair: Params) -> Params:
    """The inverse of `_as_lora`."""
    (A, A0), (B, minus_B0) = pair["A"].chunk(2), pair["B"].chunk(2, dim=1)
    return {"A": A.clone(), "B": B.contiguous(), "A0": A0.clone(), "B0": -minus_B0}


def _check_halves(shape: AdapterConfig) -> None:
    if shape.rank % 2:
        raise MismatchError(
            f"{WEIGHTS} is marked as a PiSSA kept as a LoRA of rank {shape.rank}, expected an even rank; "
            "remove the mark, or save it anew with save_peft"
        )
