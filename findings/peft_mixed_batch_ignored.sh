#!/bin/sh
# PEFT 0.21.2: adapter_names is taken and ignored by most kinds of adapter: each row gets the active one.
#
# model(x, adapter_names=[...]) is to give each row an adapter of its own, "__base__" for none. LoRA, GLoRA and RoAd do
# so, and refuse names that no adapter has; DoRA refuses the call. For the other kinds PeftModel drops the argument:
# all rows, those of "__base__" too, get the adapter that set_adapter chose, names are not looked up, and there may be
# fewer names than rows. A scoring loop that is right for LoRA so finds for DeLoRA or OFT that plus, minus and base
# score alike: no effect of dW, where there is one. "asked" is how far the rows of one call are from those that
# set_adapter and disable_adapter give, "active" how far from the active adapter's, both relative to the largest output;
# "wrong names" is one name that no adapter has, for three rows. Seen on 2026-11-30, torch 2.13.0+cpu:
#
#   LoRA       asked 0.00  active 1.90  wrong names: ValueError
#   GLoRA      asked 0.00  active 0.55  wrong names: ValueError
#   RoAd       asked 0.00  active 0.50  wrong names: ValueError
#   DoRA       ValueError
#   DeLoRA     asked 0.92  active 0.00  wrong names: taken
#   OFT        asked 0.98  active 0.00  wrong names: taken
#   IA3        asked 0.40  active 0.00  wrong names: taken
#
# and as the last three: BOFT, HRA, VeRA, LoHa, LoKr and FourierFT. Nothing is printed. In this project: adapter_names
# is not used; ws/delta/steering.py adds one dW at a time, for every family alike. Exits 1 when this has changed.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place"
"$place/bin/pip" install --quiet ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch==2.13.0 peft==0.21.2 2>/dev/null
"$place/bin/python" -W ignore - <<'PYTHON'
import warnings

import peft
import torch
from peft import BOFTConfig, DeloraConfig, FourierFTConfig, HRAConfig, IA3Config, LoHaConfig, LoKrConfig, LoraConfig
from peft import GloraConfig, OFTConfig, RoadConfig, VeraConfig, get_peft_model

KINDS = {
    "LoRA": lambda **on: LoraConfig(r=4, **on),
    "GLoRA": lambda **on: GloraConfig(r=4, **on),
    "RoAd": lambda **on: RoadConfig(group_size=16, **on),
    "DoRA": lambda **on: LoraConfig(r=4, use_dora=True, **on),
    "DeLoRA": lambda **on: DeloraConfig(r=4, **on),
    "OFT": lambda **on: OFTConfig(r=0, oft_block_size=4, **on),
    "BOFT": lambda **on: BOFTConfig(boft_block_size=4, **on),
    "HRA": lambda **on: HRAConfig(r=4, **on),
    "IA3": lambda **on: IA3Config(feedforward_modules=[], **on),
    "VeRA": lambda **on: VeraConfig(r=8, **on),
    "LoHa": lambda **on: LoHaConfig(r=4, **on),
    "LoKr": lambda **on: LoKrConfig(r=4, **on),
    "FourierFT": lambda **on: FourierFTConfig(n_frequency=50, **on),
}
ROWS = ["plus", "minus", "__base__"]


def with_two(config):
    """A linear layer with two adapters, both away from where they start; "plus" is active."""
    torch.manual_seed(0)
    base = torch.nn.Sequential(torch.nn.Linear(16, 32))
    model = get_peft_model(base, config(target_modules=["0"]), adapter_name="plus")
    model.add_adapter("minus", config(target_modules=["0"]))
    for name, parameter in model.named_parameters():
        if "base_layer" not in name:
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return model.eval()


def one_by_one(model, x):
    """Each row's output under its adapter alone."""
    found = []
    for name in ("plus", "minus"):
        model.set_adapter(name)
        found.append(model(x))
    with model.disable_adapter():
        found.append(model(x))
    model.set_adapter("plus")
    return found[0], torch.stack([output[row] for row, output in enumerate(found)])


def called(model, x, names):
    """The outputs of one call, or the name of the error that it ends in."""
    try:
        return model(x, adapter_names=names)
    except (TypeError, ValueError) as refused:
        return type(refused).__name__


print(f"PEFT {peft.__version__}, torch {torch.__version__}")
heeded, ignored, refused = set(), set(), set()
with torch.no_grad():
    for kind, config in KINDS.items():
        model, x = with_two(config), torch.randn(3, 16)
        active, wanted = one_by_one(model, x)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            got, wrong = called(model, x, ROWS), called(model, x, ["nobody"])
        assert not said, f"changed: {kind} says {said[0].message}"
        wrong = wrong if isinstance(wrong, str) else "taken"
        if isinstance(got, str):
            refused.add(kind)
            print(f"  {kind:9}  {got}")
            continue
        asked, chosen = (((got - other).abs().max() / wanted.abs().max()).item() for other in (wanted, active))
        print(f"  {kind:9}  asked {asked:.2f}  active {chosen:.2f}  wrong names: {wrong}")
        if asked < 1e-5 and chosen > 0.1 and wrong == "ValueError":
            heeded.add(kind)
        if asked > 0.1 and torch.equal(got, active) and wrong == "taken":
            ignored.add(kind)
assert heeded == {"LoRA", "GLoRA", "RoAd"}, f"changed: heeded by {sorted(heeded)}"
assert refused == {"DoRA"}, f"changed: refused by {sorted(refused)}"
assert ignored == set(KINDS) - heeded - refused, f"changed: ignored by {sorted(ignored)}"
PYTHON
