#!/bin/sh
# transformers 5.24.0: hidden_states hold a steered block's output or not, by whether they were asked for before.
#
# A forward hook adds 1 to what block 1 returns, and block 2 reads that. output_hidden_states=True takes the states by
# hooks of its own, which are put on at the first call that asks for them, and stay. A steering hook that is registered
# later runs after them: hidden_states[2] is then the state without the step, while hidden_states[3] has its effect.
# "told" is how far the step moves hidden_states[2], "read" how far it moves what block 2 reads. Seen on 2026-11-29,
# torch 2.14.1:
#
#   hook, then the first call   told 1.0  read 1.0
#   a call, then the hook       told 0.0  read 1.0
#
# So: to see what a steered block returns, listen to what the next one reads. No warning is given.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place"
"$place/bin/pip" install --quiet ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
  torch==2.14.1 transformers==5.24.0 2>/dev/null
"$place/bin/python" -W ignore - <<'PYTHON'
import torch
from transformers import LlamaConfig, LlamaForCausalLM

CONFIG = LlamaConfig(
    vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=4, num_attention_heads=2,
    num_key_value_heads=2,
)  # fmt: skip


def states(model):
    read = []
    listening = model.model.layers[2].register_forward_pre_hook(lambda _, given: read.append(given[0].clone()))
    with torch.no_grad():
        told = model(torch.tensor([[1, 2, 3]]), output_hidden_states=True).hidden_states
    listening.remove()
    return told[2].clone(), read[0]


def step(block, given, returned):
    return (returned[0] + 1, *returned[1:]) if isinstance(returned, tuple) else returned + 1


found = {}
for name, asked_before in (("hook, then the first call", False), ("a call, then the hook", True)):
    torch.manual_seed(0)
    model = LlamaForCausalLM(CONFIG).eval()
    if asked_before:
        states(model)
    steering = model.model.layers[1].register_forward_hook(step)
    steered = states(model)
    steering.remove()
    plain = states(model)
    found[name] = [(one - other).mean().item() for one, other in zip(steered, plain)]
    print(f"{name:27} told {found[name][0]:.1f}  read {found[name][1]:.1f}")
told, read = zip(*found.values())
assert all(abs(one - 1) < 1e-4 for one in read), f"block 2 reads {read}"
assert abs(told[0] - 1) < 1e-4 and abs(told[1]) < 1e-4, f"changed: hidden_states move by {told}"
PYTHON
