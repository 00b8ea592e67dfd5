#!/bin/sh
# transformers takes GPT-2's way of splitting text for GGUF files whose tokenizer.ggml.pre it does not list, smollm among
# them, and never sets the flag ignore_merges or the NFC normalizer that go with names it does list.
#
# Expected: the tokenizer.json of the model the name stands for. Seen (5.23.0 and 5.24.0): with pre = smollm, "\n\n1" gives
# two single newlines where SmolLM2 knows a double one; with pre = llama-bpe, a word that is a token is merged from its
# letters all the same; with pre = qwen2, an e with a combining accent stays two characters as long as the tokenizer is
# not saved and loaded again. In this project: ws/models/gguf/tokenizer.py. Exits 1 when any of this has changed.
set -eu
venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
    torch==2.13.0 transformers=="${TRANSFORMERS:-5.24.0}" gguf==0.19.0
"$venv/bin/python" - <<'PYTHON'
import sys, tempfile
from pathlib import Path

import gguf, transformers
from tokenizers import pre_tokenizers
from transformers import AutoTokenizer


def read(pre, arch):
    folder = Path(tempfile.mkdtemp())
    writer = gguf.GGUFWriter(folder / "m.gguf", arch)
    writer.add_block_count(1); writer.add_context_length(64); writer.add_embedding_length(32)
    writer.add_feed_forward_length(48); writer.add_head_count(4); writer.add_head_count_kv(4)
    writer.add_layer_norm_rms_eps(1e-6)
    # "cab" is a token that no merge leads to; two newlines are one.
    vocab = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "ĊĊ", "cab", "<end>"]
    writer.add_tokenizer_model("gpt2"); writer.add_tokenizer_pre(pre); writer.add_token_list(vocab)
    writer.add_token_types([1] * (len(vocab) - 1) + [3]); writer.add_token_merges(["Ċ Ċ"])
    writer.add_eos_token_id(len(vocab) - 1)
    writer.write_header_to_file(); writer.write_kv_data_to_file(); writer.write_tensors_to_file(); writer.close()
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file="m.gguf")
    tokenizer.save_pretrained(folder / "saved")
    return tokenizer


print(f"transformers {transformers.__version__}, gguf 0.19.0")
smollm, llama, qwen = read("smollm", "llama"), read("llama-bpe", "llama"), read("qwen2", "qwen2")
seen = {
    'smollm: tokens of "\\n\\n1" (SmolLM2: 2)': len(smollm.tokenize("\n\n1")),
    'llama-bpe: tokens of "cab", which is one (Llama 3: 1)': len(llama.tokenize("cab")),
    "qwen2: bytes of e and a combining accent (Qwen2: 2, of the one letter)": len(qwen.tokenize("e\u0301")),
}
recorded = [3, 3, 3]
for (what, count), was in zip(seen.items(), recorded):
    print(f"  {what}: {count}" + ("" if count == was else f", was {was}"))
changed = list(seen.values()) != recorded
print("changed" if changed else "as recorded")
sys.exit(changed)
PYTHON
