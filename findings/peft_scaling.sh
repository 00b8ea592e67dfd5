#!/bin/sh
# PEFT 0.21.2: an adapter's scale is no coefficient of what it does for DoRA and PiSSA, and AdaLoRA does not come back.
#
# rescale_adapter_scale(model, k) takes every kind that is made of LoRA layers. Its documentation says that k from 0
# to 1 goes from the base to the tuned weights in a straight line (wise-ft). For DoRA k scales BA inside the norm, while
# the trained magnitudes stay; for PiSSA k = 0 leaves the weight without the part that became its adapter. So k = 0 is
# not the base, and k = -1 not the opposite: a control at 0 and a sweep of k measure something else. "at k" is how far
# outputs are from those of base + k (tuned - base). "back" is how far scale_layer(0.5) and then unscale_layer(), as
# pipelines call it, leave outputs from what they were: AdaLoRA's scale is alpha, and is reset to alpha / r. All
# relative to what the adapter does to the output. Seen on 2026-11-30, torch 2.13.0+cpu:
#
#   LoRA     at 0 0.00  at 0.5 0.00  at -1 0.00  back 0.00
#   rsLoRA   at 0 0.00  at 0.5 0.00  at -1 0.00  back 0.00
#   DoRA     at 0 0.40  at 0.5 0.38  at -1 1.08  back 0.00
#   PiSSA    at 0 0.43  at 0.5 0.22  at -1 0.87  back 0.00
#   AdaLoRA  at 0 0.00  at 0.5 0.00  at -1 0.00  back 0.75
#
# Nothing is printed. In this project: ws/steering adds coeff * dW, the difference of finished weights, for every family.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place"
"$place/bin/pip" install --quiet ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
  torch==2.13.0 transformers==5.23.0 peft==0.21.2 2>/dev/null
"$place/bin/python" -W ignore - <<'PYTHON'
import copy
import warnings

import torch
from peft import AdaLoraConfig, LoraConfig, get_peft_model
from peft.helpers import rescale_adapter_scale
from peft.tuners.tuners_utils import BaseTunerLayer

torch.manual_seed(0)
base, x = torch.nn.Sequential(torch.nn.Linear(16, 32)), torch.randn(64, 16)
on = {"lora_alpha": 8, "target_modules": ["0"]}
kinds = {
    "LoRA": LoraConfig(r=4, **on),
    "rsLoRA": LoraConfig(r=4, use_rslora=True, **on),
    "DoRA": LoraConfig(r=4, use_dora=True, **on),
    "PiSSA": LoraConfig(r=4, init_lora_weights="pissa", **on),
    "AdaLoRA": AdaLoraConfig(init_r=4, target_r=4, total_step=10, **on),
}
curved, lost = set(), set()
with torch.no_grad():
    for kind, config in kinds.items():
        model = get_peft_model(copy.deepcopy(base), config).eval()
        for name, parameter in model.named_parameters():
            if "base_layer" not in name and "ranknum" not in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
        still, tuned = base(x), model(x)
        size, off = (tuned - still).abs().max(), {}
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            for k in (0, 0.5, -1):
                with rescale_adapter_scale(model, k):
                    off[k] = ((model(x) - still - k * (tuned - still)).abs().max() / size).item()
            [layer] = [part for part in model.modules() if isinstance(part, BaseTunerLayer)]
            layer.scale_layer(0.5)
            layer.unscale_layer()
        back = ((model(x) - tuned).abs().max() / size).item()
        print(f"{kind:8}", "  ".join(f"at {k} {far:.2f}" for k, far in off.items()), f" back {back:.2f}")
        assert not said, f"changed: scaling a {kind} says {said[0].message}"
        curved |= {kind} if min(off.values()) > 0.05 else set()
        lost |= {kind} if back > 0.05 else set()
        assert kind in curved or max(off.values()) < 1e-5, f"{kind} is neither a line nor far from one: {off}"
assert curved == {"DoRA", "PiSSA"}, f"changed: no coefficient is the scale of {sorted(curved)}"
assert lost == {"AdaLoRA"}, f"changed: not brought back are {sorted(lost)}"
PYTHON
