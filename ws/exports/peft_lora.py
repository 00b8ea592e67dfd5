"""dW as a LoRA in the layout of PEFT: a folder with adapter_config.json and adapter_model.safetensors.

alpha is the rank, so that PEFT's scale alpha / r is 1 and B A is dW itself. All layers have one rank, the shorter ones
filled up with zeros: not every reader of such folders knows patterns of ranks.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ws.delta.folders.delta import folder_delta
from ws.delta.folders.peft_files import CONFIG, PREFIX, WEIGHTS
from ws.delta.weight_delta import WeightDelta
from ws.exports.base import Limits, Written
from ws.exports.thin import thin
from ws.exports.twins import sharing
from ws.exports.what import Exported
from ws.models.anatomy import matrix
from ws.models.language import LanguageModel

TITLE, READER = "PEFT LoRA", "peft"
HOLDS: tuple[str, ...] = (CONFIG, WEIGHTS)
KINDS: tuple[str, ...] = ()


def write(place: Path, what: Exported, limits: Limits) -> Written:
    """Writes the adapter for the model's original weights.

    Raises: DataError for a dW of full rank without a limit.
    """
    from peft import LoraConfig, TaskType
    from safetensors.torch import save_file

    made = thin(what.delta, rank=limits.rank, energy=limits.energy)
    linears = what.lm.linears(0, what.lm.n_layers)
    LoraConfig(
        r=made.rank,
        lora_alpha=made.rank,
        target_modules=sorted(made.factors),
        fan_in_fan_out=all(matrix(linears[path]) is not linears[path].weight for path in made.factors),
        base_model_name_or_path=what.lm.name,
        task_type=TaskType.CAUSAL_LM,
        inference_mode=True,
    ).save_pretrained(str(place))
    tensors = {
        f"{PREFIX}{path}.{name}.weight": value.cpu().contiguous()
        for path, factors in made.one_rank.items()
        for name, value in (("lora_A", factors.right), ("lora_B", factors.left))
    }
    save_file(tensors, place / WEIGHTS, metadata={"format": "pt"})
    return made.written(what.lm)


@contextmanager
def read_back(place: Path, what: Exported) -> Iterator[LanguageModel]:
    """The model with the adapter as PEFT loads it, beside the model itself, which stays as it is."""
    from peft import PeftModel

    with warnings.catch_warnings():
        # Of what will change in later releases of PEFT and transformers.
        warnings.simplefilter("ignore")
        adapted = PeftModel.from_pretrained(sharing(what.lm.model), str(place))
    yield replace(what.lm, model=adapted.get_base_model().eval())


def delta_of(place: Path, what: Exported) -> WeightDelta:
    """The update in the folder, by this package's own reader."""
    return folder_delta(place, what.lm)


def usage(place: Path, what: Exported) -> str:
    """Loading it onto the model that it was made for."""
    return f'model = peft.PeftModel.from_pretrained(model, "{place}")'
