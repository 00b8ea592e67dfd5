#!/bin/sh
# PEFT 0.21.2: an adapter that changes the base when it is put in moves the adapters that are there already.
#
# PiSSA, OLoRA and KaSA subtract their start from the weight. A second one on the same base changes what the first one
# computes, and disable_adapter does not give the base back. "first" is how far the first adapter's output moves when
# the second is added, "base" how far the output under disable_adapter is from the original layer's, both relative to
# the largest output. Seen on 2026-11-29, torch 2.13.0+cpu:
#
#   LoRA   first 0.000  base 0.000
#   PiSSA  first 0.863  base 1.089
#   OLoRA  first 2.416  base 1.586
#   KaSA   first 0.345  base 0.276
#
# So: one adapter a base. No warning is given.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place"
"$place/bin/pip" install --quiet ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
  torch==2.13.0 transformers==5.23.0 peft==0.21.2 2>/dev/null
"$place/bin/python" -W ignore - <<'PYTHON'
import copy
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

torch.manual_seed(0)
base = nn.Sequential()
base.add_module("lin", nn.Linear(16, 32, bias=False))
x = torch.randn(8, 16)
kinds = {
    "LoRA": {},
    "PiSSA": {"init_lora_weights": "pissa"},
    "OLoRA": {"init_lora_weights": "olora"},
    "KaSA": {"kasa_config": {"beta": 1e-4}},
}
kept = set()
for name, settings in kinds.items():
    model = get_peft_model(copy.deepcopy(base), LoraConfig(r=2, target_modules=["lin"], **settings)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
        before, size = model(x), base(x).abs().max()
        model.add_adapter("second", LoraConfig(r=4, target_modules=["lin"], **settings))
        model.set_adapter("default")
        first = ((model(x) - before).abs().max() / size).item()
        with model.disable_adapter():
            back = ((model(x) - base(x)).abs().max() / size).item()
    print(f"{name:6} first {first:.3f}  base {back:.3f}")
    kept |= {name} if max(first, back) < 1e-5 else set()
assert kept == {"LoRA"}, f"changed: {sorted(kept)} now keep the base"
PYTHON
