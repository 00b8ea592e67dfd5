#!/bin/sh
# transformers reads a GGUF file's rotary scaling and a Llama's biases as if they were not there, without a word.
#
# Expected of from_pretrained(..., gguf_file=...): the model that was written. Seen (5.23.0 and 5.24.0): positions turn
# unscaled whatever {arch}.rope.scaling.* or the tensor rope_freqs.weight say, attention_bias stays False, nothing is
# printed. In this project: ws/models/gguf/model.py reads such files itself. Exits 1 when any of this has changed.
set -eu
venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
    torch==2.13.0 transformers=="${TRANSFORMERS:-5.24.0}" gguf==0.19.0 accelerate==1.15.0
"$venv/bin/python" - <<'PYTHON'
import sys, tempfile
from pathlib import Path

import gguf, torch, transformers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

transformers.utils.logging.disable_progress_bar()
NAMES = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2)


def model(**config):
    torch.manual_seed(0)
    made = LlamaForCausalLM(LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=2048, initializer_range=0.3, bos_token_id=None, eos_token_id=2,
        tie_word_embeddings=True, **config))
    with torch.no_grad():
        for name, value in made.named_parameters():
            if name.endswith("bias"):
                value.normal_()
    return made.eval()


def interleaved(value, heads):
    return value.reshape(heads, 2, -1, *value.shape[1:]).transpose(1, 2).reshape(value.shape)


def reread(made, says, tensors):
    folder = Path(tempfile.mkdtemp())
    writer = gguf.GGUFWriter(folder / "m.gguf", "llama")
    writer.add_block_count(2); writer.add_context_length(2048); writer.add_embedding_length(32)
    writer.add_feed_forward_length(48); writer.add_head_count(4); writer.add_head_count_kv(4)
    writer.add_rope_dimension_count(8); writer.add_layer_norm_rms_eps(1e-6); writer.add_vocab_size(64)
    writer.add_rope_freq_base(10000.0)
    says(writer)
    for path, value in made.state_dict().items():
        stem, _, end = path.rpartition(".")
        if stem != "lm_head":
            value = interleaved(value, 4) if stem.endswith(("q_proj", "k_proj")) else value
            writer.add_tensor(f"{NAMES.get_name(stem)}.{end}", value.numpy())
    for name, value in tensors.items():
        writer.add_tensor(name, value.numpy())
    writer.write_header_to_file(); writer.write_kv_data_to_file(); writer.write_tensors_to_file(); writer.close()
    return AutoModelForCausalLM.from_pretrained(folder, gguf_file="m.gguf", dtype=torch.float32).eval()


def linear(writer):
    writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR); writer.add_rope_scaling_factor(4.0)


def yarn(writer):
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN); writer.add_rope_scaling_factor(8.0)
    writer.add_rope_scaling_orig_ctx_len(64)


llama3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, rope_theta=1e4,
              original_max_position_embeddings=64)
yarned = dict(rope_type="yarn", factor=8.0, original_max_position_embeddings=64, rope_theta=1e4)
divisors = model().model.rotary_emb.inv_freq / model(rope_parameters=llama3).model.rotary_emb.inv_freq
CASES = {
    "nothing special": ({}, lambda writer: None, {}),
    "rope.scaling.type = linear": ({"rope_parameters": dict(rope_type="linear", factor=4.0, rope_theta=1e4)}, linear, {}),
    "rope.scaling.type = yarn": ({"rope_parameters": yarned}, yarn, {}),
    "rope_freqs.weight (Llama 3)": ({"rope_parameters": llama3}, lambda writer: None, {"rope_freqs.weight": divisors}),
    "attn_q.bias and the like": ({"attention_bias": True}, lambda writer: None, {}),
}
ids = torch.randint(64, (1, 320), generator=torch.Generator().manual_seed(1))
print(f"transformers {transformers.__version__}, gguf 0.19.0; largest difference of logits, model written - model read")
changed = []
for name, (config, says, tensors) in CASES.items():
    made = model(**config)
    with torch.no_grad():
        want, got = made(ids).logits, reread(made, says, tensors)(ids).logits
    off = (want - got).abs().max().item()
    print(f"  {name:30} {off:8.2g}   (logits reach {want.abs().max():.2g})")
    if (off < 1e-3) != (name == "nothing special"):
        changed.append(name)
print("changed: " + ", ".join(changed) if changed else "as recorded: all but the first are read as if not there")
sys.exit(bool(changed))
PYTHON
