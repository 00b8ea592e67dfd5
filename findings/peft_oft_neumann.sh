#!/bin/sh
# PEFT 0.21.2: OFT's Neumann sum, which is the default, turns the other way than its exact solve, and counts oddly.
#
# The same parameters under use_cayley_neumann=False and True. With R the exact rotation, the sum of enough terms tends
# to R transposed instead of R; num_cayley_neumann_terms=3 and 4 give the same. Seen on 2026-11-29, torch 2.13.0+cpu:
#
#   20 terms: 1.8e-07 from R transposed, 7.4e-01 from R
#   2 and 3 terms differ by 1.7e-01
#   3 and 4 terms differ by 0.0e+00
#   4 and 5 terms differ by 2.5e-02
#
# So: a file's use_cayley_neumann must be heeded; it is no approximation of the other setting.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place"
"$place/bin/pip" install --quiet ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
  torch==2.13.0 transformers==5.23.0 peft==0.21.2 2>/dev/null
"$place/bin/python" -W ignore - <<'PYTHON'
import copy
import torch
from peft import OFTConfig, get_peft_model
from torch import nn

torch.manual_seed(0)
base = nn.Sequential()
base.add_module("lin", nn.Linear(8, 8, bias=False))
base.lin.weight.data = torch.eye(8)
Q = 0.08 * torch.randn(1, 28)


def rotation(**settings):
    model = get_peft_model(copy.deepcopy(base), OFTConfig(oft_block_size=8, target_modules=["lin"], **settings))
    with torch.no_grad():
        model.base_model.model.lin.oft_R["default"].weight.copy_(Q)
        return model.merge_and_unload().lin.weight.clone()


def terms(number):
    return rotation(use_cayley_neumann=True, num_cayley_neumann_terms=number)


def apart(one, other):
    return (one - other).abs().max().item()


exact, many = rotation(use_cayley_neumann=False), terms(20)
print(f"20 terms: {apart(many, exact.T):.1e} from R transposed, {apart(many, exact):.1e} from R")
steps = [apart(terms(number), terms(number + 1)) for number in (2, 3, 4)]
for number, step in zip((2, 3, 4), steps):
    print(f"{number} and {number + 1} terms differ by {step:.1e}")
assert apart(many, exact.T) < 1e-4 < apart(many, exact), "changed: the sum no longer turns the other way"
assert steps[1] == 0 and min(steps[0], steps[2]) > 0, "changed: the terms are counted differently"
PYTHON
