#!/bin/sh
# transformers 5.24.0: rows packed behind one another stay apart or read each other, by whether a cache is kept.
#
# DataCollatorWithFlattening puts rows into one, with positions that start anew at each and no attention mask. The
# model finds the rows by those positions, under eager and sdpa too, but only if there is no cache and no mask. A
# forward pass keeps a cache unless told not to, so the batch as the collator made it is one long text: each row
# attends to all before it. The Trainer turns the cache off. So an adapter is trained on rows apart and, loaded
# again, scored on rows together. "apart" is how far logits are from those of each row alone, "one text" from those
# of a causal mask over everything, both relative to the largest logit. Seen on 2026-11-30, torch 2.14.1:
#
#   eager  the batch as it is       loss 5.38  apart 1.54  one text 0.00
#   eager  use_cache=False          loss 5.71  apart 0.00  one text 1.43
#   eager  also a mask of ones      loss 5.38  apart 1.54  one text 0.00
#
# and the same under sdpa. No warning is given. So: pass use_cache=False with packed rows, and no mask.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place"
"$place/bin/pip" install --quiet ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
  torch==2.14.1 transformers==5.24.0 2>/dev/null
"$place/bin/python" -W ignore - <<'PYTHON'
import torch
from transformers import DataCollatorWithFlattening, LlamaConfig, LlamaForCausalLM

CONFIG = LlamaConfig(
    vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=4, initializer_range=0.3,
)  # fmt: skip
torch.manual_seed(0)
model = LlamaForCausalLM(CONFIG).eval()
rows = [torch.randint(64, (length,)) for length in (7, 5, 6)]
batch = DataCollatorWithFlattening()([{"input_ids": row} for row in rows])
ones, length = torch.ones_like(batch["input_ids"]), batch["input_ids"].shape[1]
causal = torch.ones(1, 1, length, length, dtype=torch.bool).tril()
asked = {
    "the batch as it is": {},
    "use_cache=False": {"use_cache": False},
    "also a mask of ones": {"use_cache": False, "attention_mask": ones},
}


def furthest(one, other):
    return ((one - other).abs().max() / other.abs().max()).item()


found = {}
for implementation in ("eager", "sdpa"):
    model.set_attn_implementation(implementation)
    with torch.no_grad():
        alone = torch.cat([model(row[None]).logits for row in rows], dim=1)
        # Eager adds its mask to the scores, sdpa also takes a Boolean one.
        added = torch.zeros(causal.shape).masked_fill(~causal, torch.finfo(torch.float32).min)
        together = model(**batch | {"attention_mask": added}, use_cache=False).logits
        for name, settings in asked.items():
            out = model(**batch, **settings)
            found[implementation, name] = furthest(out.logits, alone), furthest(out.logits, together)
            apart, text = found[implementation, name]
            print(f"{implementation:6} {name:24} loss {out.loss:.2f}  apart {apart:.2f}  one text {text:.2f}")
for (_, name), (apart, text) in found.items():
    right, wrong = (apart, text) if name == "use_cache=False" else (text, apart)
    assert right < 1e-4 and wrong > 0.1, f"changed: {name} is {apart:.2f} from rows apart, {text:.2f} from one text"
PYTHON
