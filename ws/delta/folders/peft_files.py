"""Adapters of our own families as PEFT keeps them: a folder with adapter_config.json and adapter_model.safetensors.

`save_peft` writes a folder that `peft.PeftModel.from_pretrained` loads onto the original weights; `load_peft` reads one
that PEFT's `save_pretrained` wrote; `ws.delta.folders.delta` takes folders of every kind. Nothing in a folder is run,
no path in it is followed and pickles are refused. Layers are looked up in the model by the names of tensors, never by a
pattern of the folder, with one exception: patterns of ranks and alphas, which scale the file's own update.

PiSSA: PEFT's own file holds A and B only. They belong to a base of W - s B0 A0, so PEFT repeats its SVD when it loads
them and overwrites the base weights with what remains; a second PiSSA would start from that remainder. `load_peft`
reads such a file and does the same SVD. `save_peft` writes a LoRA of rank 2r, s [B, -B0] [A; A0], as PEFT's own
conversion to LoRA does. It leaves the base weights alone, so adapters of both signs fit into one model. A mark in the
file lets `load_peft` split it into A, B, A0 and B0 again.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ws.adapters import AdapterConfig, Params, family, ia3, lora, pissa
from ws.adapters.peft.layers import SIDES, family_of, peft_side, shape_of, to_peft
from ws.adapters.peft.side import Kept, Settings
from ws.delta.folders.reading import check_floating, read_settings, read_tensors
from ws.delta.folders.refused import check_names, check_settings
from ws.errors import MismatchError
from ws.models.anatomy import matrix
from ws.models.language import LanguageModel

CONFIG, WEIGHTS, PICKLE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
PREFIX = "base_model.model."
"""What PEFT puts before a module's path."""

FREE = frozenset(
    {
        *("target_modules", "exclude_modules", "feedforward_modules", "layers_to_transform", "layers_pattern"),
        # Biases that were trained with it are tensors of their own in the file.
        *("bias", "base_model_name_or_path", "revision", "auto_mapping", "task_type", "inference_mode", "peft_version"),
    }
)
"""Settings that do not change what an adapter computes in the layers that the weights name."""

STARTS = {
    "init_lora_weights": (True, False, "gaussian", "orthogonal", "eva", "mica"),
    "init_weights": (True, False),
    "init_ia3_weights": (True, False),
}
"""Start values that do not matter, since the file's weights replace them. Others, as "olora", change the base too."""


def save_peft(folder: Path, lm: LanguageModel, layers: Mapping[str, Params], shape: AdapterConfig) -> None:
    """Writes the adapter `layers`, parameters by module path, for use on the original weights of `lm`.

    Raises: MismatchError if a layer is not one of the model's or the family has no PEFT counterpart;
        ShapeError if parameters do not fit their layer.
    """
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    peft_side(shape.family)
    linears = known(lm, layers)
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

    Raises: MismatchError if the folder holds something that this package does not compute itself: another kind of
        adapter, a setting that our families lack, a configuration that varies between layers, or layers and tensors
        that the model does not have; ShapeError if a rank or block does not fit.
    """
    settings = read_settings(config_file(folder))
    check_settings(folder, settings)
    why = why_not_ours(settings)
    if why is not None:
        raise MismatchError(
            f"{folder / CONFIG} has {why}, which this package has no formula for; "
            "use ws.delta.folders.delta.folder_delta"
        )
    layers = load_layers(folder, lm, settings)
    shapes = {shape for _, shape in layers.values()}
    if len(shapes) > 1:
        raise MismatchError(
            f"{folder} has layers of {len(shapes)} configurations, such as {', '.join(map(repr, list(shapes)[:2]))}; "
            "expected one: use ws.delta.folders.delta.folder_delta"
        )
    return {path: params for path, (params, _) in layers.items()}, shapes.pop()


def load_layers(folder: Path, lm: LanguageModel, settings: Settings) -> dict[str, tuple[Params, AdapterConfig]]:
    """`load_peft` for settings of our families, with a configuration for each layer. Raises: as `load_peft`."""
    from peft import set_peft_model_state_dict

    tensors, mark = read_tensors(weights_file(folder))
    check_floating(tensors, folder / WEIGHTS)
    groups = defaultdict(dict)
    for path, linear in chosen(folder, lm, tensors).items():
        shape = shape_of(settings, _kept(tensors, path, linear))
        family(shape.family).check(matrix(linear).detach(), config=shape)
        groups[shape][path] = linear
    layers = {}
    for shape, linears in groups.items():
        copy = _adapted(linears, shape, feedforward=[path for path in linears if gates_input(tensors, path)])
        own = {name: value for name, value in tensors.items() if _owner(name, linears) is not None}
        _check_tensors(own, copy)
        set_peft_model_state_dict(copy, own)
        for path, linear in linears.items():
            params = peft_side(shape.family).from_peft(
                copy.get_submodule(path), W=matrix(linear).detach(), config=shape
            )
            layers[path] = params, shape
    return _taken_apart(layers) if mark == pissa.NAME else layers


def why_not_ours(settings: Settings) -> str | None:
    """The setting by which an adapter differs from all of our families; None if it is of one of them."""
    name = family_of(settings)
    if name is None:
        return f"peft_type={settings.get('peft_type')!r}" + " with use_dora and PiSSA" * bool(settings.get("use_dora"))
    side = SIDES[name]
    # If each layer has its own sizes, sizes are not compared, so the default ones serve to compare all other settings.
    shape = side.shape(settings) if side.layer is None else AdapterConfig(name)
    ours = peft_side(shape.family).peft_config(shape, targets="any", feedforward="any")
    expected, default = _plain(ours.to_dict()), _plain(type(ours)().to_dict())
    for name in sorted((expected.keys() | settings.keys()) - FREE - side.free):
        seen, wanted = settings.get(name, default.get(name)), expected.get(name)
        harmless = name not in expected and not seen
        if not harmless and seen != wanted and not (wanted is True and seen in STARTS.get(name, ())):
            return f"{name}={seen!r} where a {shape.family} adapter has {wanted!r}"
    return None


def config_file(folder: Path) -> Path:
    """The file of settings. Raises: MismatchError if the folder has none."""
    if not (folder / CONFIG).is_file():
        raise MismatchError(f"{folder} has no {CONFIG}; give the folder that PEFT's save_pretrained wrote")
    return folder / CONFIG


def weights_file(folder: Path) -> Path:
    """The file of tensors. Raises: MismatchError if the folder has none, or a pickle in its place."""
    if not (folder / WEIGHTS).is_file():
        found = f"{PICKLE}, a pickle, which can run code when it is loaded" if (folder / PICKLE).exists() else "none"
        raise MismatchError(
            f"{folder} has no {WEIGHTS} (found: {found}); save the adapter anew with PEFT's save_pretrained, "
            "which writes safetensors, where you trust it"
        )
    return folder / WEIGHTS


def chosen(folder: Path, lm: LanguageModel, tensors: Collection[str]) -> dict[str, nn.Module]:
    """The linear layers that a folder's tensors are for.

    Raises: MismatchError if there are none, or some are for something else.
    """
    check_names(folder, [name.removeprefix(PREFIX) for name in tensors], lm)
    return known(lm, paths_of(tensors, lm))


def known(lm: LanguageModel, paths: Iterable[str]) -> dict[str, nn.Module]:
    """The model's linear layers of these paths. Raises: MismatchError if there are none, or one is unknown."""
    linears, paths = lm.linears(0, lm.n_layers), set(paths)
    if not paths or paths - linears.keys():
        raise MismatchError(
            f"the adapter has the layers {sorted(paths - linears.keys())[:3]} that {lm.name} lacks and "
            f"{len(paths & linears.keys())} that it has; expected linear layers such as {min(linears)}: "
            "use the adapter with the model it was trained for"
        )
    return {path: linear for path, linear in linears.items() if path in paths}


def paths_of(tensors: Iterable[str], lm: LanguageModel) -> set[str]:
    """The model's layers that the tensors belong to; for a tensor that belongs to none, its own name."""
    linears = lm.linears(0, lm.n_layers)
    return {_owner(name, linears) or name.removeprefix(PREFIX) for name in tensors}


def gates_input(tensors: Mapping[str, Tensor], path: str) -> bool:
    """Whether an IA3 adapter scales this layer's input rather than its output."""
    gate = tensors.get(f"{PREFIX}{path}.ia3_l")
    return gate is not None and gate.ndim == 2 and ia3.at_input(gate)


def grown(linears: Mapping[str, nn.Module], copied: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """A tree of copies of these layers, under their paths."""
    tree = nn.Module()
    for path, linear in linears.items():
        place, (*parents, name) = tree, path.split(".")
        for parent in parents:
            if parent not in dict(place.named_children()):
                place.add_module(parent, nn.Module())
            place = place.get_submodule(parent)
        place.add_module(name, copied(linear))
    return tree


def matching(paths: Iterable[str]) -> str:
    """A regular expression that matches exactly these module paths."""
    return "|".join(map(re.escape, paths))


def _adapted(linears: Mapping[str, nn.Module], shape: AdapterConfig, *, feedforward: Collection[str]) -> nn.Module:
    """A module tree of copies of these layers, under their paths, with fresh PEFT adapters in all of them."""
    import peft

    side = peft_side(shape.family)
    config = side.peft_config(shape, targets=matching(linears), feedforward=matching(feedforward))
    with torch.random.fork_rng(), side.building(shape):
        return peft.inject_adapter_in_model(config, grown(linears, _copy))


def _copy(linear: nn.Module) -> nn.Linear:
    """A copy that PEFT may change; PiSSA writes into the weights."""
    d_out, d_in = matrix(linear).shape
    copy = nn.Linear(d_in, d_out, bias=linear.bias is not None, device="meta")
    copy.weight = nn.Parameter(matrix(linear).detach().clone(), requires_grad=False)
    if linear.bias is not None:
        copy.bias = nn.Parameter(linear.bias.detach().clone(), requires_grad=False)
    return copy


def _plain(settings: Mapping[str, object]) -> dict[str, object]:
    """Settings as JSON has them."""
    return json.loads(json.dumps(settings, default=list))


def _owner(name: str, linears: Collection[str]) -> str | None:
    return next((path for path in linears if name.startswith(f"{PREFIX}{path}.")), None)


def _kept(tensors: Mapping[str, Tensor], path: str, linear: nn.Module) -> Kept:
    start = f"{PREFIX}{path}."
    inside = {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
    return Kept(path, matrix(linear).shape[1], inside)


def _check_tensors(tensors: Mapping[str, Tensor], copy: nn.Module) -> None:
    """Raises: MismatchError if the file lacks a tensor of the adapter, has one too many, or one of a wrong shape."""
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
    """The LoRA of rank 2r with the same update as a PiSSA: factors [A; A0] and [B, -B0]."""
    A, B = torch.cat([params["A"], params["A0"]]), torch.cat([params["B"], -params["B0"]], dim=1)
    return {"A": A, "B": B}


def _from_lora(pair: Params) -> Params:
    """The inverse of `_as_lora`."""
    (A, A0), (B, minus_B0) = pair["A"].chunk(2), pair["B"].chunk(2, dim=1)
    return {"A": A.clone(), "B": B.contiguous(), "A0": A0.clone(), "B0": -minus_B0}


def _taken_apart(layers: Mapping[str, tuple[Params, AdapterConfig]]) -> dict[str, tuple[Params, AdapterConfig]]:
    """The PiSSAs that `save_peft` wrote as LoRAs. Raises: MismatchError if a marked LoRA was not made of a PiSSA."""
    for _, shape in layers.values():
        if shape.family != lora.NAME or shape.rank % 2:
            raise MismatchError(
                f"{WEIGHTS} is marked as a PiSSA kept as a LoRA, but holds a {shape.family} of rank {shape.rank}, "
                "expected a lora of an even rank; remove the mark, or save it anew with save_peft"
            )
    return {path: (_from_lora(pair), _pissa_shape(shape)) for path, (pair, shape) in layers.items()}
