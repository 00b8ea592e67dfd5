#!/bin/sh
# PEFT 0.21.2: get_delta_weight is what merging adds for some adapters only.
#
# One layer, an adapter away from its start, merged in place. "share" is how far get_delta_weight is from merged weight
# minus base weight, relative to the latter. Seen on 2026-11-29, torch 2.13.0+cpu:
#
#   LoRA   Tensor (32, 16), share 0.00
#   DoRA   Tensor (32, 16), share 0.67  without the lengths of the rows
#   KaSA   Tensor (32, 16), share 1.12  without the diagonal, and without what loading took out of the base
#   HiRA   Tensor (32, 16), share 6.96  the factor of the base weight
#   OFT    Tensor (16, 16)              the rotation
#   HRA    Tensor (16, 16)              the rotation
#   BOFT   tuple                        the rotation and the scales
#
# So: subtract the base weight, kept from before the adapter was put in, from the merged one.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place"
"$place/bin/pip" install --quiet ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
  torch==2.13.0 transformers==5.23.0 peft==0.21.2 2>/dev/null
"$place/bin/python" -W ignore - <<'PYTHON'
import copy
import torch
from peft import BOFTConfig, HRAConfig, HiraConfig, LoraConfig, OFTConfig, get_peft_model
from torch import nn

torch.manual_seed(0)
base = nn.Sequential()
base.add_module("lin", nn.Linear(16, 32, bias=False))
kinds = {
    "LoRA": LoraConfig(r=2, target_modules=["lin"]),
    "DoRA": LoraConfig(r=2, use_dora=True, target_modules=["lin"]),
    "KaSA": LoraConfig(r=2, kasa_config={"beta": 1e-4}, target_modules=["lin"]),
    "HiRA": HiraConfig(r=2, target_modules=["lin"]),
    "OFT": OFTConfig(oft_block_size=8, target_modules=["lin"]),
    "HRA": HRAConfig(r=2, target_modules=["lin"]),
    "BOFT": BOFTConfig(boft_block_size=4, target_modules=["lin"]),
}
exact, seen = set(), {}
for name, config in kinds.items():
    model = get_peft_model(copy.deepcopy(base), config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
        given = model.base_model.model.lin.get_delta_weight("default")
        added = model.merge_and_unload().lin.weight - base.lin.weight
    if not torch.is_tensor(given):
        print(f"{name:6} {type(given).__name__}")
    elif given.shape != added.shape:
        print(f"{name:6} Tensor {tuple(given.shape)}")
    else:
        share = ((given - added).norm() / added.norm()).item()
        print(f"{name:6} Tensor {tuple(given.shape)}, share {share:.2f}")
        exact |= {name} if share < 1e-4 else set()
assert exact == {"LoRA"}, f"changed: exact now is {sorted(exact)}"
PYTHON
