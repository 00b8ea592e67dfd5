"""dW of an adapter that this package has no formula for: PEFT's own merged weights minus the original ones, in fp32.

PEFT's `get_delta_weight` is not used: it is a rotation for OFT and HRA, a tuple for BOFT, a factor for HiRA, and lacks
the row lengths of DoRA and the diagonal of KaSA. Two adapters are never loaded onto one base, since PiSSA, OLoRA and
KaSA change the base when they are loaded. PEFT gets copies of the touched layers only; the model stays as it is.

Every dW is checked, whatever the type of adapter: merged layers must compute what the adapted ones do on random inputs,
and loading the file again with other random numbers must give the same dW.
"""

import dataclasses
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ws.adapters.base import AdapterConfig
from ws.adapters.peft import boft
from ws.delta.folders.peft_files import FREE, PREFIX, chosen, gates_input, grown, known, matching, weights_file
from ws.delta.folders.reading import Settings, check_finite, read_tensors, shown
from ws.delta.folders.refused import AS_MODEL, MERGE
from ws.delta.update import Dense
from ws.delta.weight_delta import WeightDelta
from ws.errors import MismatchError, WsError
from ws.models.anatomy import matrix
from ws.models.language import LanguageModel

if TYPE_CHECKING:
    import peft

Tensors = Mapping[str, Tensor]

PLACES = ("base_model_name_or_path", "revision", "exclude_modules", "layers_to_transform", "layers_pattern")
"""Settings that say where an adapter goes or comes from; they are unused, since the names of its tensors say it too."""

INPUTS = 8
"""Number of random inputs on which a merged layer is compared with the adapted one; even one would do."""

AGREES = 1e-3
"""Merged and adapted layers may differ by this share of the adapter's own effect: fp32 products differ by 1e-6 of a
layer's output and TF32 products of a GPU by 1e-3, but a wrong merge is off by about the whole effect."""


def delta_through_peft(folder: Path, lm: LanguageModel, settings: Settings) -> WeightDelta:
    """What the adapter adds to the original weights, dense.

    Raises: MismatchError if PEFT cannot load or merge it, or what it merges is not what the adapter computes.
    """
    tensors, _ = read_tensors(weights_file(folder))
    check_known(folder, settings)
    try:
        with warnings.catch_warnings(), boft.building(AdapterConfig(boft.NAME)):
            # What PEFT warns of while it loads a file is checked below, or applies only to whole models.
            warnings.simplefilter("ignore")
            linears = _linears(folder, lm, settings, tensors)
            config = _config(settings, tensors, linears)
            merged = _merged(folder, linears, config, tensors, seed=0)
            again = _merged(folder, linears, config, tensors, seed=1)
    except WsError:
        raise
    except ImportError as lacking:
        raise MismatchError(f"PEFT needs {lacking.name or lacking} for {folder}; install it beside PEFT") from lacking
    except Exception as failed:
        raise MismatchError(
            f"PEFT cannot load and merge {folder}, a {settings['peft_type']} adapter "
            f"({type(failed).__name__}: {str(failed)[:300]}); use it with the model it was trained for, and all of "
            f"its files, or {MERGE}"
        ) from failed
    for path, value in merged.items():
        if not torch.equal(value, again[path]):
            raise MismatchError(
                f"PEFT loads {folder} to something else each time: dW of {path} differs by "
                f"{(value - again[path]).abs().max():.1e} between two loadings, since it draws random numbers that the "
                f"file lacks; {MERGE} on the machine that trained it"
            )
    return WeightDelta({path: Dense(value) for path, value in merged.items()})


def check_known(folder: Path, settings: Settings) -> None:
    """Raises: MismatchError for a type or a setting that this PEFT does not have."""
    import peft
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    kinds = {str(kind.value): config for kind, config in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    kind = settings.get("peft_type")
    if not isinstance(kind, str) or kind not in kinds:
        raise MismatchError(
            f"{folder} has peft_type={kind!r:.80}, which PEFT {peft.__version__} does not know; expected one of "
            f"{', '.join(sorted(kinds))}: with the PEFT that wrote it, {MERGE}"
        )
    fields = {field.name for field in dataclasses.fields(kinds[kind])}
    unknown = sorted(name for name, value in settings.items() if value and name not in fields | FREE)
    if unknown:
        raise MismatchError(
            f"{folder} has {unknown[0]}={settings[unknown[0]]!r:.80}, which {kind} of PEFT {peft.__version__} does not "
            f"know; with the PEFT that wrote it, {MERGE}"
        )


def _linears(folder: Path, lm: LanguageModel, settings: Settings, tensors: Tensors) -> dict[str, nn.Module]:
    """The layers that the adapter changes: those with their own tensors, or its targets if all tensors are shared."""
    from peft.tuners.tuners_utils import check_target_module_exists

    inside = [name for name in tensors if name.startswith(PREFIX)]
    if inside:
        return chosen(folder, lm, inside)
    linears = lm.linears(0, lm.n_layers)
    if settings.get("target_modules") == "all-linear":
        return linears
    config = _built({**settings, "inference_mode": True})
    return known(lm, [path for path in linears if check_target_module_exists(config, path)])


def _config(settings: Settings, tensors: Tensors, linears: Mapping[str, nn.Module]) -> "peft.PeftConfig":
    """PEFT's configuration of the adapter, aimed at exactly these layers."""
    here = {**settings, **dict.fromkeys(PLACES), "target_modules": matching(linears), "inference_mode": True}
    if settings.get("feedforward_modules"):
        here["feedforward_modules"] = matching(path for path in linears if gates_input(tensors, path))
    if "progressbar" in here:
        here["progressbar"] = False
    return _built(here)


def _built(settings: Settings) -> "peft.PeftConfig":
    from peft import PeftConfig

    return PeftConfig.from_peft_type(**settings)


@torch.no_grad()
def _merged(
    folder: Path, linears: Mapping[str, nn.Module], config: "peft.PeftConfig", tensors: Tensors, *, seed: int
) -> dict[str, Float[Tensor, "d_out d_in"]]:
    """Merged weight minus original weight of each layer, from a base of its own.

    Raises: MismatchError if tensors are left over or missing, a bias moves, or a merged layer computes something else.
    """
    from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = PeftModel(grown(linears, _alike), config)
        set_peft_model_state_dict(model, dict(tensors))
        model.eval()
        expected = get_peft_model_state_dict(model, save_embedding_layers=False).keys()
        if odd := expected ^ tensors.keys():
            raise MismatchError(
                f"{folder} lacks or has too many tensors for its settings: {shown(odd)}; "
                "use it with the model it was trained for, and all of its files"
            )
        inputs = {path: _inputs(linear) for path, linear in linears.items()}
        layers = model.base_model.model
        adapted = {path: layers.get_submodule(path)(x) for path, x in inputs.items()}
        merged = model.merge_and_unload()
    return {
        path: _checked(folder, path, linear, merged.get_submodule(path), inputs[path], adapted[path])
        for path, linear in linears.items()
    }


def _alike(linear: nn.Module) -> nn.Module:
    """An fp32 copy of the layer's own class: some PEFT adapters depend on the order in which it stores its weight."""
    if matrix(linear) is not linear.weight:
        from transformers.pytorch_utils import Conv1D

        copy = Conv1D(*matrix(linear).shape)
    else:
        copy = nn.Linear(*reversed(linear.weight.shape), bias=linear.bias is not None, device="meta")
    copy.weight = nn.Parameter(linear.weight.detach().to(torch.float32, copy=True), requires_grad=False)
    if linear.bias is not None:
        copy.bias = nn.Parameter(linear.bias.detach().to(torch.float32, copy=True), requires_grad=False)
    return copy


def _inputs(linear: nn.Module) -> Float[Tensor, "n d_in"]:
    return torch.randn(INPUTS, matrix(linear).shape[1]).to(linear.weight.device)


def _checked(
    folder: Path,
    path: str,
    linear: nn.Module,
    merged: nn.Module,
    x: Float[Tensor, "n d_in"],
    adapted: Float[Tensor, "n d_out"],
) -> Float[Tensor, "d_out d_in"]:
    """The merged layer's weight minus the original one, computed in the memory of the merged weight."""
    bias = None if linear.bias is None else linear.bias.float()
    if (bias is None) != (merged.bias is None) or (bias is not None and not torch.equal(bias, merged.bias)):
        raise MismatchError(f"{folder} changes the bias of {path}, and dW is a change of weights alone: {MERGE}")
    before = nn.functional.linear(x, matrix(linear).float(), bias)
    off, moved = (merged(x) - adapted).abs().max(), (adapted - before).abs().max()
    rounding = AGREES * 1e-2 * adapted.abs().max()
    if not off <= AGREES * moved + rounding:
        raise MismatchError(
            f"PEFT's merged weights are not this adapter: {path} of {folder} computes something that is {off:.1e} off, "
            f"where the adapter moves it by {moved:.1e}; {AS_MODEL}"
        )
    delta = matrix(merged).detach().sub_(matrix(linear))
    check_finite(delta, f"{folder} makes values in {path}")
    return delta
