#!/bin/sh
# safetensors 0.8.0: save_file makes a file that only its writer can read, whatever the umask is.
#
# Expected: the rights of any new file, 644 under a umask of 022. Seen on 2026-11-29 with numpy 2.4.6: 600, while a file
# that Python's open() makes beside it has 644. An adapter or model that one user saves on a shared machine cannot be
# loaded by another. In this project: ws/exports/placing.py gives files their usual rights. Exits 1 when this has changed.
set -eu
venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet safetensors=="${SAFETENSORS:-0.8.0}" numpy==2.4.6
umask 022
"$venv/bin/python" - "$venv" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
import safetensors
from safetensors.numpy import save_file

saved, plain = (Path(sys.argv[1]) / name for name in ("saved.safetensors", "plain"))
save_file({"a": np.zeros(3)}, saved)
plain.write_text("")
rights = [f"{path.stat().st_mode & 0o777:o}" for path in (saved, plain)]
print(f"safetensors {safetensors.__version__}: save_file {rights[0]}, open {rights[1]}")
changed = rights != ["600", "644"]
print("changed" if changed else "as recorded")
sys.exit(changed)
PYTHON
