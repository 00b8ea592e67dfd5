#!/bin/sh
# safetensors 0.8.0: the bytes of a file with two entries of metadata are a matter of chance.
#
# Expected: one content, one file, as with tensors, which are put in a fixed order. Seen on 2026-11-30 with numpy 2.4.6:
# entries of metadata are written in an order that is drawn anew at each call, so 40 saves of one tensor with two
# entries make 2 files, with three entries 6, with one entry (such as transformers' {"format": "pt"}) 1. They load
# alike, so that only a hash notices: of a cache, a registry, or a test that two trainings gave the same adapter. In
# this project: ws/training/train.py writes one entry. Exits 1 when this has changed.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place"
"$place/bin/pip" install --quiet safetensors==0.8.0 numpy==2.4.6 2>/dev/null
"$place/bin/python" - <<'PYTHON'
import numpy as np
from safetensors.numpy import load, save

ENTRIES = {"format": "pt", "family": "lora", "seed": "0"}
tensors = {"A": np.arange(3.0), "B": np.ones(2)}
seen = {}
for many in (1, 2, 3):
    files = {save(tensors, metadata=dict(list(ENTRIES.items())[:many])) for _ in range(40)}
    assert len({len(file) for file in files}) == 1, "files of one content differ in size"
    assert all((load(file)["A"] == tensors["A"]).all() for file in files)
    seen[many] = len(files)
    print(f"{many} entries of metadata: {seen[many]} different files of 40")
assert seen[1] == 1, f"changed: one entry makes {seen[1]} files"
assert seen[2] == 2 and seen[3] > 2, f"changed: the order of entries is fixed, {seen}"
PYTHON
