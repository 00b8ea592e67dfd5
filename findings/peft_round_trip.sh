#!/bin/sh
# PEFT 0.21.2: a LoRA started by LoRA-GA or by PiSSA's randomised SVD does not survive save_pretrained + from_pretrained.
#
# Both take their start out of the base weight. LoRA-GA's is not taken out again when the file is loaded, as its
# gradients are gone; the randomised SVD comes out anew. Neither warns. "off" is the largest difference of outputs after
# the round trip, relative to the largest output. Seen on 2026-11-29, torch 2.13.0+cpu:
#
#   PiSSA, exact SVD       off 0.0000, 0 warnings
#   PiSSA, pissa_niter_4   off 0.4269, 0 warnings
#   LoRA-GA                off 115.3219, 0 warnings
#
# So: save with path_initial_model_for_weight_conversion, which makes a plain LoRA of it.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place"
"$place/bin/pip" install --quiet ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
  torch==2.13.0 transformers==5.23.0 peft==0.21.2 2>/dev/null
"$place/bin/python" -W ignore - <<'PYTHON'
import copy
import tempfile
import warnings
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import preprocess_loraga
from torch import nn

torch.manual_seed(0)
base = nn.Sequential()
base.add_module("lin", nn.Linear(64, 64, bias=False))
x = torch.randn(8, 64)
kinds = {
    "PiSSA, exact SVD": {"init_lora_weights": "pissa"},
    "PiSSA, pissa_niter_4": {"init_lora_weights": "pissa_niter_4"},
    "LoRA-GA": {"init_lora_weights": "lora_ga", "lora_ga_config": {"direction": "ArB2r"}},
}
survive = set()
for name, settings in kinds.items():
    start, config = copy.deepcopy(base), LoraConfig(r=4, target_modules=["lin"], **settings)
    if name == "LoRA-GA":
        preprocess_loraga(start, config, lambda: start(x).square().sum().backward())
    model = get_peft_model(start, config).eval()
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        model.save_pretrained(folder)
        loaded = PeftModel.from_pretrained(copy.deepcopy(base), folder)
        off = ((loaded(x) - model(x)).abs().max() / model(x).abs().max()).item()
    print(f"{name:22} off {off:.4f}, {len(heard)} warnings")
    survive |= {name} if off < 1e-4 else set()
assert survive == {"PiSSA, exact SVD"}, f"changed: {sorted(survive)} now survive"
PYTHON
