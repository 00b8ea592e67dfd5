#!/bin/sh
# PEFT 0.21.2: a LoRA that ensure_weight_tying ties to both embeddings is merged twice into the weight they share.
#
# With tie_word_embeddings, ensure_weight_tying=True gives one A and B to embed_tokens and lm_head alike: unmerged,
# the model computes what W + dW gives at both ends. Merging goes from layer to layer and adds dW to the one shared
# weight at each, so merged it is W + 2 dW. modules_to_save under the same option merges right, and so does a LoRA
# on an untied copy. "merged" is how far logits move by merging, "at half" if the scale is halved just before, both
# relative to the largest logit; "times dW" is what the shared weight gained, in dW. Seen on 2026-11-30, torch
# 2.13.0+cpu:
#
#   LoRA, tied               merged 1.53  at half 0.00  times dW 2.00
#   LoRA, untied copy        merged 0.00  at half 1.22  times dW 1.00
#   modules_to_save, tied    merged 0.00
#
# So: halve the scale, or untie first. Putting the adapter in says nothing; merging warns that tied embeddings "can
# lead to complications", as it does without the option, which is there to avoid them.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place"
"$place/bin/pip" install --quiet ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
  torch==2.13.0 transformers==5.23.0 peft==0.21.2 2>/dev/null
"$place/bin/python" -W ignore - <<'PYTHON'
import copy
import torch
from peft import LoraConfig, get_peft_model
from peft.helpers import rescale_adapter_scale
from transformers import LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
base = LlamaForCausalLM(LlamaConfig(
    vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=4, initializer_range=0.3, tie_word_embeddings=True,
)).double().eval()  # fmt: skip
ids, both = torch.randint(64, (4, 9)), ["embed_tokens", "lm_head"]
kinds = {
    "LoRA, tied": {"target_modules": both, "ensure_weight_tying": True},
    "LoRA, untied copy": {"target_modules": both},
    "modules_to_save, tied": {
        "target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"], "ensure_weight_tying": True,
    },
}  # fmt: skip


def adapted(kind, settings):
    start = copy.deepcopy(base)
    if "untied" in kind:
        start.config.tie_word_embeddings = False
        start.lm_head.weight = torch.nn.Parameter(start.lm_head.weight.detach().clone())
    torch.manual_seed(1)
    model = get_peft_model(start, LoraConfig(r=4, **settings), autocast_adapter_dtype=False).eval()
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def moved(model, scale):
    before = model(ids).logits
    with rescale_adapter_scale(model, scale):
        merged = model.merge_and_unload()
    return merged, ((merged(ids).logits - before).abs().max() / before.abs().max()).item()


twice = set()
with torch.no_grad():
    for kind, settings in kinds.items():
        model = adapted(kind, settings)
        layer = model.base_model.model.model.embed_tokens
        dW = layer.get_delta_weight("default") if kind.startswith("LoRA") else None
        merged, off = moved(model, 1.0)
        said = f"{kind:24} merged {off:.2f}"
        if dW is not None:
            gained = merged.model.embed_tokens.weight - base.model.embed_tokens.weight
            times, half = (gained * dW).sum() / dW.square().sum(), moved(adapted(kind, settings), 0.5)[1]
            said += f"  at half {half:.2f}  times dW {times:.2f}"
            twice |= {kind} if off > 0.1 and half < 1e-9 and torch.allclose(gained, 2 * dW) else set()
        print(said)
        assert off < 1e-9 or kind in twice, f"{kind}: merging moves logits by {off:.2g}, and not by twice dW"
assert twice == {"LoRA, tied"}, f"changed: merged twice now are {sorted(twice)}"
PYTHON
