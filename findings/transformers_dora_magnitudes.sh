#!/bin/sh
# transformers 5.23.0: a DoRA that PEFT or transformers saved is loaded by transformers without its magnitudes.
#
# The file names them lora_magnitude_vector, the model lora_magnitude_vector.weight. PEFT puts the ending back when
# it loads; load_adapter, and from_pretrained of an adapter's folder, do not. Each row of the adapted weight then
# has the length it has in the base, as if the magnitudes had never been trained. "output off" is how far logits are
# from the saved model's, "lengths off" how far the rows' lengths are from the trained ones and from the base's,
# each relative to the largest. Seen on 2026-11-30, peft 0.21.2, torch 2.13.0+cpu:
#
#   LoRA  PeftModel.from_pretrained       output off 0.00
#   LoRA  load_adapter                    output off 0.00
#   LoRA  from_pretrained of the folder   output off 0.00
#   DoRA  PeftModel.from_pretrained       output off 0.00  lengths off trained 0.00, base 0.33
#   DoRA  load_adapter                    output off 0.31  lengths off trained 0.29, base 0.00
#   DoRA  from_pretrained of the folder   output off 0.31  lengths off trained 0.29, base 0.00
#
# So: load a DoRA by PEFT. No error is raised: a table in the log calls the magnitudes UNEXPECTED and MISSING. The
# same in 5.24.0, whose other functions ask for a PEFT 0.22.0 that is not out yet.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place"
"$place/bin/pip" install --quiet ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
  torch==2.13.0 transformers=="${TRANSFORMERS:-5.23.0}" peft==0.21.2 2>/dev/null
"$place/bin/python" -W ignore - "$place" <<'PYTHON'
import sys
from pathlib import Path

import torch, transformers
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
CONFIG = LlamaConfig(
    vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=4, initializer_range=0.3,
)  # fmt: skip
torch.manual_seed(0)
base, saved, ids = Path(sys.argv[1], "base"), Path(sys.argv[1], "saved"), torch.randint(64, (4, 9))
LlamaForCausalLM(CONFIG).save_pretrained(base)


def plain():
    return AutoModelForCausalLM.from_pretrained(base)


def by_transformers():
    model = plain()
    model.load_adapter(str(saved))
    return model


def lengths(model):
    # By the layer itself, with what it computes of the identity: the weight it stands for.
    weight = next(layer for name, layer in model.named_modules() if name.endswith("layers.1.self_attn.q_proj"))
    return weight(torch.eye(32)).norm(dim=0)


def off(one, other):
    return ((one - other).abs().max() / other.abs().max()).item()


ways = {
    "PeftModel.from_pretrained": lambda: PeftModel.from_pretrained(plain(), saved),
    "load_adapter": by_transformers,
    "from_pretrained of the folder": lambda: AutoModelForCausalLM.from_pretrained(saved),
}
whole = set()
with torch.no_grad():
    for kind in ("LoRA", "DoRA"):
        model = get_peft_model(plain(), LoraConfig(r=4, use_dora=kind == "DoRA", target_modules=["q_proj"])).eval()
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn_like(parameter))
        model.save_pretrained(saved)
        for way, load in ways.items():
            loaded = load().eval()
            apart, said = off(loaded(ids).logits, model(ids).logits), ""
            if kind == "DoRA":
                trained, untrained = (off(lengths(loaded), lengths(other)) for other in (model, plain()))
                said = f"  lengths off trained {trained:.2f}, base {untrained:.2f}"
                assert min(trained, untrained) < 1e-4 < max(trained, untrained), f"{way}: neither lengths:{said}"
            print(f"{kind}  {way:30}  output off {apart:.2f}{said}")
            whole |= {(kind, way)} if apart < 1e-4 else set()
expected = {("LoRA", way) for way in ways} | {("DoRA", "PeftModel.from_pretrained")}
assert whole == expected, f"changed: {sorted(whole)} are now loaded whole"
PYTHON
