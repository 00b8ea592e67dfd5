#!/bin/sh
# PEFT 0.21.2: add_weighted_adapter(["plus", "minus"], [1, -1]) is plus - minus for plain LoRA alone.
#
# Expected of "cat" (exact) and of "svd" at the full rank: an adapter that does what plus does less what minus does.
# With rsLoRA the new adapter has alpha = r = both ranks together, so that its scale is the root of r instead of 1.
# A trained lora_bias and DoRA's magnitudes are left behind. For PiSSA the new adapter is started first, which takes a
# start out of the base weight, so that plus and minus themselves move. "linear" adds A to A and B to B with the root
# of each weight, so it has the products of one's A with the other's B in it for every kind. "cat", "svd" and "linear"
# are how far outputs are from base + plus - minus, relative to the latter two; "times" is the part of the new adapter
# along the wanted one. Seen on 2026-11-30, torch 2.13.0+cpu:
#
#   LoRA       cat 0.00  svd 0.00  linear 0.99  times 1.00
#   rsLoRA     cat 1.83  svd 1.83  linear 1.93  times 2.83
#   lora_bias  cat 0.30  svd 0.30  linear 1.05  times 0.76
#   DoRA       cat 0.69  svd 0.69  linear 1.00  times 0.66
#   PiSSA      cat 0.18  svd 0.18  linear 1.00  times 1.00
#
# Nothing is printed. In this project: ws/exports/peft_lora.py writes dW as one LoRA of its own and reads it back.
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
from peft import LoraConfig, get_peft_model

torch.manual_seed(0)
base, x = torch.nn.Sequential(torch.nn.Linear(16, 32)), torch.randn(64, 16)
kinds = {
    "LoRA": {},
    "rsLoRA": {"use_rslora": True},
    "lora_bias": {"lora_bias": True},
    "DoRA": {"use_dora": True},
    "PiSSA": {"init_lora_weights": "pissa"},
}
RANK = 4


def outputs(model, adapter):
    model.set_adapter(adapter)
    return model(x)


differs = set()
with torch.no_grad():
    for kind, settings in kinds.items():
        config = LoraConfig(r=RANK, lora_alpha=8, target_modules=["0"], **settings)
        model = get_peft_model(copy.deepcopy(base), config, adapter_name="plus").eval()
        model.add_adapter("minus", copy.deepcopy(config))
        torch.manual_seed(1)
        for name, parameter in model.named_parameters():
            if "base_layer" not in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
        with model.disable_adapter():
            still = model(x)
        wanted = outputs(model, "plus") - outputs(model, "minus")
        off, times = {}, 0.0
        for way, settings in (("cat", {}), ("svd", {"svd_rank": 2 * RANK}), ("linear", {})):
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                model.add_weighted_adapter(["plus", "minus"], [1.0, -1.0], way, combination_type=way, **settings)
            assert not said, f"changed: {way} of {kind} says {said[0].message}"
            got = outputs(model, way) - still
            off[way] = ((got - wanted).abs().max() / wanted.abs().max()).item()
            times = times or ((got * wanted).sum() / wanted.square().sum()).item()
        print(f"{kind:10}", "  ".join(f"{way} {far:.2f}" for way, far in off.items()), f" times {times:.2f}")
        differs |= {kind} if off["cat"] > 0.05 else set()
        assert abs(off["cat"] - off["svd"]) < 1e-3, f"{kind}: cat and svd differ, {off}"
        assert off["linear"] > 0.5, f"changed: linear of {kind} is near the difference, {off}"
        assert kind != "rsLoRA" or abs(times - (2 * RANK) ** 0.5) < 1e-3, f"changed: rsLoRA is {times} times too strong"
assert differs == kinds.keys() - {"LoRA"}, f"changed: not plus - minus are {sorted(differs)}"
PYTHON
