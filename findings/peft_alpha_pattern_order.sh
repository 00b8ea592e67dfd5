#!/bin/sh
# PEFT 0.21.2: saving sorts alpha_pattern, whose order matters: layers can come back with another scale.
#
# A layer takes alpha from the first key of alpha_pattern that fits its name, not from the closest one. The file
# adapter_config.json has its keys sorted, those inside alpha_pattern too, so that after loading another key may be the
# first. With keys that overlap, some layers then act with another alpha / r than they were trained with. Both ways of
# writing are met: a name for all layers before that of a single one ("l" sorts before "q"), and a single one's before
# a pattern for all ("." sorts before "l"). A and B come back as they were saved. rank_pattern is read the same way, but
# there a LoRA's shapes do not fit and loading fails. "trained" and "loaded" are the scales of three layers; the numbers
# of each kind are how far the output moves by saving and loading, relative to what the adapter does to it. Seen on
# 2026-11-30, torch 2.13.0+cpu:
#
#   alpha_pattern                            trained  loaded  LoRA  DoRA  LoHa  LoKr
#   {"q_proj": 8, "layers.0.q_proj": 32}     2 2 2    8 2 2   1.34  0.59  1.17  1.27
#   {"layers.0.q_proj": 32, ".*_proj": 8}    8 2 2    2 2 2   1.29  0.37  0.84  1.29
#   {"layers.0.q_proj": 32, "q_proj": 8}     8 2 2    8 2 2   0.00  0.00  0.00  0.00
#
# So: write keys that do not overlap, or in sorted order. Nothing is printed. In this project: ws/adapters/peft/side.py
# takes the file's first key too, as PEFT's own loading does, so that dW is the loaded adapter's, not the trained one's;
# ws/delta/folders/delta.py prints a line where a layer has two. Exits 1 when this has changed.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place"
"$place/bin/pip" install --quiet ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch==2.13.0 peft==0.21.2 2>/dev/null
"$place/bin/python" -W ignore - "$place" <<'PYTHON'
import copy
import sys
import warnings
from pathlib import Path

import peft
import torch
from peft import LoHaConfig, LoKrConfig, LoraConfig, PeftModel, get_peft_model
from torch import nn

KINDS = {
    "LoRA": lambda **on: LoraConfig(r=4, lora_alpha=4, **on),
    "DoRA": lambda **on: LoraConfig(r=4, lora_alpha=4, use_dora=True, **on),
    "LoHa": lambda **on: LoHaConfig(r=4, alpha=4, **on),
    "LoKr": lambda **on: LoKrConfig(r=4, alpha=4, **on),
}
PATTERNS = (
    {"q_proj": 8, "layers.0.q_proj": 32},
    {"layers.0.q_proj": 32, ".*_proj": 8},
    {"layers.0.q_proj": 32, "q_proj": 8},
)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.ModuleDict({"q_proj": nn.Linear(16, 16)}) for _ in range(3))

    def forward(self, x):
        for layer in self.layers:
            x = torch.tanh(layer["q_proj"](x))
        return x


def scales(model):
    """The scale of each layer's adapter."""
    return [layer["q_proj"].scaling["default"] for layer in model.base_model.model.layers]


torch.manual_seed(0)
base, x, folder = Model().eval(), torch.randn(64, 16), Path(sys.argv[1]) / "adapter"
print(f"PEFT {peft.__version__}, torch {torch.__version__}")
seen = {}
with torch.no_grad():
    for pattern in PATTERNS:
        moved = {}
        for kind, config in KINDS.items():
            torch.manual_seed(1)
            model = get_peft_model(copy.deepcopy(base), config(target_modules=["q_proj"], alpha_pattern=pattern))
            for name, parameter in model.eval().named_parameters():
                if parameter.requires_grad:
                    parameter.add_(0.3 * torch.randn(parameter.shape))
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                model.save_pretrained(str(folder))
                loaded = PeftModel.from_pretrained(copy.deepcopy(base), str(folder)).eval()
            said = [one for one in said if not issubclass(one.category, ResourceWarning)]
            assert not said, f"changed: saving or loading says {said[0].message}"
            kept, back = model.state_dict(), loaded.state_dict()
            assert all(torch.equal(value, back[name]) for name, value in kept.items()), f"{kind}: parameters differ"
            moved[kind] = ((loaded(x) - model(x)).abs().max() / (model(x) - base(x)).abs().max()).item()
            assert seen.setdefault(str(pattern), (scales(model), scales(loaded))) == (scales(model), scales(loaded))
        trained, loaded = seen[str(pattern)]
        off = "  ".join(f"{kind} {share:.2f}" for kind, share in moved.items())
        print(f"{pattern!s:40} trained {trained} loaded {loaded}  off {off}")
        assert all((share > 0.1) == (trained != loaded) for share in moved.values()), f"changed: {moved}"
all_of_one, first_apart = [2.0, 2.0, 2.0], [8.0, 2.0, 2.0]
recorded = [(all_of_one, first_apart), (first_apart, all_of_one), (first_apart, first_apart)]
assert list(seen.values()) == recorded, f"changed: scales are {seen}"
PYTHON
