#!/bin/sh
# PEFT 0.21.2: Arrow's GenKnowSub, meant to subtract a general adapter's dW from a task's, adds it.
#
# use_gks=True is named task arithmetic: the task's dW less the general one. What it subtracts is A from A and B from B,
# and the product of the differences is B A + Bg Ag - B Ag - Bg A. So the general dW comes in with a plus, beside two
# products of one adapter's matrix with the other's, which neither adapter has. The result hangs on how a dW is split
# into A and B: turning the signs of both general matrices leaves their dW and changes the result; a general adapter
# that does nothing (B = 0) changes the task; two that share A, where B - Bg would be right, leave nothing; alpha is not
# looked at. It is done in place in the first pass through the router: from then on set_adapter("task_0"), merging and
# saving give the changed task adapter. "times" are the parts of the result along the task's and the general dW, "off"
# is how far it is from task - general, "size" its own size, both relative to the latter. Seen on 2026-11-30, torch
# 2.13.0+cpu:
#
#   general adapter                    times task, general   off   size   task_0 moved
#   another one                        +1.00 +1.00           1.71  1.42   1.69
#   the same dW, signs turned          +1.00 +1.00           1.71  1.42   1.69   another result, by 1.41 of itself
#   the same A and B, alpha x 2        +1.00 +0.50           1.48  0.91   1.69
#   one that does nothing              +0.99                 1.00  1.41   1.00
#   one that shares A with the task    +0.00 +0.00           1.00  0.00   1.00
#   the task adapter itself            +0.00                 0.00  0.00   1.00
#
# Nothing is printed. In this project: ws/delta/folders/refused.py refuses a file with arrow_config, and
# ws/training/direction.py subtracts finished dW, never A or B. Exits 1 when this has changed.
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
from peft import ArrowConfig, LoraConfig, create_arrow_model, get_peft_model

WIDTH, RANK = 512, 4
torch.manual_seed(0)
base = torch.nn.Sequential(torch.nn.Linear(WIDTH, WIDTH, bias=False)).double().eval()
x = torch.eye(WIDTH, dtype=torch.float64)
A, Ag, B, Bg = (0.3 * torch.randn(RANK, WIDTH, dtype=torch.float64) for _ in range(4))
GENERAL = {
    "another one": (Ag, Bg, 1),
    "the same dW, signs turned": (-Ag, -Bg, 1),
    "the same A and B, alpha x 2": (Ag, Bg, 2),
    "one that does nothing": (Ag, 0 * Bg, 1),
    "one that shares A with the task": (A, Bg, 1),
    "the task adapter itself": (A, B, 1),
}


def saved(name, A, B, scale):
    """The folder of a LoRA of these matrices, and its dW."""
    config = LoraConfig(r=RANK, lora_alpha=scale * RANK, target_modules=["0"])
    model = get_peft_model(copy.deepcopy(base), config, autocast_adapter_dtype=False).double()
    lora = model.base_model.model[0]
    lora.lora_A["default"].weight.copy_(A)
    lora.lora_B["default"].weight.copy_(B.T)
    folder = Path(sys.argv[1]) / name
    model.save_pretrained(str(folder))
    return str(folder), lora.get_delta_weight("default").clone()


def routed(task, general):
    """What the router adds to the layer's weight, and how far the task adapter moves by a pass through it."""
    config = ArrowConfig(top_k=1, use_gks=True)
    model = create_arrow_model(copy.deepcopy(base), [task], config, general_adapter_paths=[general])
    model = model.double().eval()
    lora = model.base_model.model[0]
    before = lora.get_delta_weight("task_0").clone()
    dW = (model(x) - base(x)).T
    return dW, ((lora.get_delta_weight("task_0") - before).norm() / before.norm()).item()


print(f"PEFT {peft.__version__}, torch {torch.__version__}")
seen = {}
with torch.no_grad():
    task, plus = saved("task", A, B, 1)
    for place, (name, made) in enumerate(GENERAL.items()):
        general, minus = saved(f"general{place}", *made)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            dW, moved = routed(task, general)
        said = [one for one in said if not issubclass(one.category, ResourceWarning)]
        assert not said, f"changed: it says {said[0].message}"
        wanted = plus - minus
        known = [one for one in (plus, minus) if one.any() and (one is plus or wanted.any())]
        parts = torch.stack([one.flatten() for one in known], 1)
        times = torch.linalg.solve(parts.T @ parts, parts.T @ dW.flatten()).tolist()
        off, size = ((one.norm() / (wanted.norm() or 1)).item() for one in (dW - wanted, dW))
        seen[name] = times, off, size, moved, dW
        along = "".join(f"{part:+6.2f}" for part in times)
        print(f"  {name:32} times{along:12}  off {off:.2f}  size {size:.2f}  task_0 moved {moved:.2f}")
(times, off, size, moved, first), turned, doubled, nothing, shared, itself = seen.values()
assert all(0.9 < part < 1.1 for part in times), f"changed: the result is {times} times task and general"
assert off > 1 and moved > 1, f"changed: off {off}, task adapter moved {moved}"
apart = ((turned[-1] - first).norm() / first.norm()).item()
print(f"  turning the signs of the general A and B changes the result by {apart:.2f} of itself")
assert apart > 0.5, "changed: the signs of A and B do not matter"
assert abs(2 * doubled[0][1] - times[1]) < 0.01, f"changed: alpha matters, {doubled[0]}"
assert nothing[1] > 0.5, f"changed: a general adapter that does nothing is off {nothing[1]}"
assert shared[2] < 1e-9 < shared[1], f"changed: with one A, {shared[2]} is left"
assert itself[2] < 1e-9, "changed: the task adapter less itself is not nothing"
PYTHON
