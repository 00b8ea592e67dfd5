#!/bin/sh
# PEFT 0.21.2: a mixed batch that ends in an error leaves its adapter names behind, and later calls follow them.
#
# model(x, adapter_names=[...]) gives each row an adapter of its own by hooks that are taken off after the call, but not
# if the call raises: for want of memory, by Ctrl-C, for a row that is wrong. From then on a plain call whose batch has
# as many rows is a mixed batch of those names, whatever set_adapter says; one of another size ends in an error about
# adapter_names that it never got; disable_adapter still gives the base. A later mixed batch that ends well takes off
# its own hooks alone. A scoring loop that skips a bad batch so scores dW minus as dW plus. "off" is how far the second
# adapter's own outputs are from those that a plain call under set_adapter("minus") gives, relative to the largest.
# Seen on 2026-11-30, torch 2.13.0+cpu:
#
#   before the failed batch              off 0.00
#   after it                             off 1.91, equal to those of "plus"
#   after a mixed batch that ends well   off 1.91
#   another number of rows               ValueError
#
# Reloading the model, or removing the layers' forward hooks by hand, helps. Exits 1 when this has changed.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place"
"$place/bin/pip" install --quiet ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch==2.13.0 peft==0.21.2 2>/dev/null
"$place/bin/python" - <<'PYTHON'
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

torch.manual_seed(0)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.layer = nn.Embedding(20, 16), nn.Linear(16, 16)

    def forward(self, ids):
        return self.layer(self.tokens(ids))


model = get_peft_model(Model(), LoraConfig(r=4, target_modules=["layer"]), adapter_name="plus")
model.add_adapter("minus", LoraConfig(r=4, target_modules=["layer"]))
with torch.no_grad():
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.copy_(torch.randn_like(weight))
model.eval()
ids = torch.randint(0, 20, (4, 5))


@torch.no_grad()
def alone(adapter, rows=ids):
    model.set_adapter(adapter)
    return model(rows)


plus, minus = alone("plus"), alone("minus")
with torch.no_grad(), model.disable_adapter():
    base = model(ids)


def off(now, was=minus):
    return float((now - was).abs().max() / was.abs().max())


seen = {"before": off(alone("minus"))}
wrong = ids.clone()
wrong[0, 0] = 20  # a token that the vocabulary does not have
try:
    model(wrong, adapter_names=["plus"] * 4)
except IndexError as error:
    print(f"the mixed batch: {type(error).__name__}")
seen["after"], seen["as plus"] = off(alone("minus")), off(alone("minus"), plus)
with torch.no_grad():
    model(ids, adapter_names=["minus"] * 4)
    seen["after another"] = off(alone("minus"))
    with model.disable_adapter():
        seen["base"] = off(model(ids), base)
try:
    alone("minus", ids[:3])
    seen["three rows"] = "no error"
except ValueError as error:
    seen["three rows"] = "ValueError" if "adapter_names" in str(error) else str(error)
for what, value in seen.items():
    print(f"  {what}: {value if isinstance(value, str) else format(value, '.2f')}")
assert seen["before"] == seen["base"] == 0, "changed: plain calls and disable_adapter"
assert seen["after"] > 0.1 and seen["as plus"] == 0, "changed: a failed mixed batch leaves nothing behind"
assert seen["after another"] > 0.1 and seen["three rows"] == "ValueError", "changed: what is left does less"
PYTHON
