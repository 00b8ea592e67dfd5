"""What other tools read of our files, said by those tools themselves.

Their packages need releases of libraries that ours do not have, so they stand in an environment of their own.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ws.tests.documents import ROOT

PYTHON = ROOT / ".venv-readers" / "bin" / "python"

OF_INSPECT = """
import json, sys
from inspect_ai.log import list_eval_logs, read_eval_log

logs = [(read_eval_log(log), read_eval_log(log, header_only=True)) for log in list_eval_logs(sys.argv[1])]
print(json.dumps([
    {
        "status": log.status, "model": log.eval.model, "created": log.eval.created, "head": head.eval == log.eval,
        "metrics": {name: metric.value for name, metric in log.results.scores[0].metrics.items()},
        "samples": {
            sample.id: {
                "scores": {name: score.value for name, score in sample.scores.items()},
                "target": sample.target, "metadata": sample.metadata,
            }
            for sample in log.samples
        },
    }
    for log, head in logs
]))
"""

OF_LM_EVAL = """
import json, sys
from pathlib import Path
from lm_eval.utils import get_latest_filename, get_results_filenames, make_table

names = get_results_filenames([str(path) for path in Path(sys.argv[1]).rglob("*")])
said = json.loads(Path(get_latest_filename(names)).read_text())
print(json.dumps({"names": names, "table": make_table(said), "groups": make_table(said, "groups")}))
"""


def said_by(script: str, folder: Path, *, package: str) -> Any:
    """What a script says, in JSON, of the files in a folder."""
    if not PYTHON.is_file() or subprocess.run([PYTHON, "-c", f"import {package}"], capture_output=True).returncode:
        pytest.skip(
            f"{package} is not in .venv-readers; python -m venv .venv-readers, then install the group readers there"
        )
    done = subprocess.run([PYTHON, "-c", script, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
