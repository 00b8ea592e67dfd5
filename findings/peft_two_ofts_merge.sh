#!/bin/sh
# PEFT 0.21.2: two OFT adapters that are active at once are merged in the other order than they compute in.
#
# Rotations do not commute. Unmerged, the input passes through the first active adapter's rotation, then through the
# second's; merging turns the weight by the first, then by the second, so that the input meets the second first. The
# merged model is the one that set_adapter would give with the names the other way round. For other kinds whose order
# matters, merging keeps it. "order" is how far outputs move when the two names change places, "merged" when both
# are merged, "merged swapped" when both are merged in the other order; all relative to what the two together do to
# the output. Seen on 2026-11-30, torch 2.13.0+cpu:
#
#   LoRA    order 0.00  merged 0.00  merged swapped 0.00
#   DeLoRA  order 0.00  merged 0.00  merged swapped 0.00
#   DoRA    order 0.58  merged 0.00  merged swapped 0.58
#   BOFT    order 0.56  merged 0.00  merged swapped 0.56
#   HRA     order 0.70  merged 0.00  merged swapped 0.70
#   OFT     order 0.65  merged 0.65  merged swapped 0.00
#
# So: name the adapters the other way round in merge_adapter or merge_and_unload, or merge one at a time from the last
# to the first. Nothing is printed. In this project: ws/training/direction.py finishes each adapter by itself.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place"
"$place/bin/pip" install --quiet ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
  torch==2.13.0 transformers==5.23.0 peft==0.21.2 2>/dev/null
"$place/bin/python" -W ignore - <<'PYTHON'
import warnings

import torch
from peft import BOFTConfig, DeloraConfig, HRAConfig, LoraConfig, OFTConfig, get_peft_model

KINDS = {
    "LoRA": lambda **on: LoraConfig(r=4, **on),
    "DeLoRA": lambda **on: DeloraConfig(r=4, **on),
    "DoRA": lambda **on: LoraConfig(r=4, use_dora=True, **on),
    "BOFT": lambda **on: BOFTConfig(boft_block_size=4, **on),
    "HRA": lambda **on: HRAConfig(r=4, **on),
    "OFT": lambda **on: OFTConfig(r=0, oft_block_size=4, use_cayley_neumann=False, **on),
}


def with_two(config):
    """A linear layer with two adapters, both away from where they start."""
    torch.manual_seed(0)
    base = torch.nn.Sequential(torch.nn.Linear(16, 32)).double()
    model = get_peft_model(base, config(target_modules=["0"]), adapter_name="one", autocast_adapter_dtype=False)
    model.add_adapter("two", config(target_modules=["0"]), autocast_adapter_dtype=False)
    for name, parameter in model.named_parameters():
        if "base_layer" not in name:
            parameter.add_(0.3 * torch.randn(parameter.shape, dtype=torch.float64))
    return model.double().eval()


def output(model, names, *, merged=False):
    model.base_model.set_adapter(names)
    if not merged:
        return model(x)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model.merge_adapter()
    assert not said, f"changed: merging says {said[0].message}"
    found = model(x)
    model.unmerge_adapter()
    return found


reversed_by_merging, ordered = set(), set()
with torch.no_grad():
    for kind, config in KINDS.items():
        model = with_two(config)
        x = torch.randn(64, 16, dtype=torch.float64)
        with model.disable_adapter():
            still = model(x)
        there, back = ["one", "two"], ["two", "one"]
        as_named = output(model, there)
        others = output(model, back), output(model, there, merged=True), output(model, back, merged=True)
        scale = (as_named - still).abs().max()
        order, merged, swapped = (((other - as_named).abs().max() / scale).item() for other in others)
        print(f"{kind:7} order {order:.2f}  merged {merged:.2f}  merged swapped {swapped:.2f}")
        ordered |= {kind} if order > 0.1 else set()
        reversed_by_merging |= {kind} if merged > 0.1 and swapped < 1e-5 else set()
        assert merged < 1e-5 or kind in reversed_by_merging, f"{kind}: merging changes outputs by {merged:.2g}"
assert ordered == {"DoRA", "BOFT", "HRA", "OFT"}, f"changed: the order matters for {sorted(ordered)}"
assert reversed_by_merging == {"OFT"}, f"changed: merged in the other order are {sorted(reversed_by_merging)}"
PYTHON
