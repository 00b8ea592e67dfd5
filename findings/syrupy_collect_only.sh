#!/bin/sh
# To syrupy a run that only collects tests has used no snapshot: it ends with status 1 because all are unused, and with
# --snapshot-update it deletes all of them.
#
# Expected: --collect-only ends with status 0 and changes no file, since nothing was run that could have used a snapshot.
# Seen (syrupy 7.0.2, pytest 9.2.0): `pytest --collect-only` of a passing suite ends with status 1, and `pytest
# --collect-only --snapshot-update`, as it comes from repeating a command to see what it will run, removes the recorded
# verdict and ends with status 0. In this project: `discover_snapshots` in fixtures/snapshots.py, which calls only files
# unused that no collected test owns. Exits 1 when any of this has changed.
set -eu
venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet syrupy==7.0.2 pytest==9.2.0
mkdir "$venv/suite"
cat > "$venv/suite/test_claim.py" <<'PYTHON'
import pytest
from syrupy.extensions.json import JSONSnapshotExtension


@pytest.fixture
def verdict(snapshot):
    return snapshot.use_extension(JSONSnapshotExtension)


def test_claim(verdict):
    assert {"effect": 0.13} == verdict
PYTHON
cd "$venv/suite"
run() { "$venv/bin/python" -m pytest -q -p no:cacheprovider "$@" > "$venv/said" 2>&1 && echo "status 0" || echo "status $?"; }
kept() { find __snapshots__ -name '*.json' 2>/dev/null | wc -l; }
made=$(run --snapshot-update)
recorded=$(kept)
listed=$(run --collect-only)
collected=$(kept)
rewrote=$(run --snapshot-update --collect-only)
updated=$(kept)
"$venv/bin/python" -c 'import pytest, syrupy; from importlib.metadata import version as v; print("syrupy", v("syrupy") + ", pytest", v("pytest"))'
echo "  snapshots after recording: $recorded, $made"
echo "  after --collect-only: $collected, $listed"
echo "  after --collect-only --snapshot-update: $updated, $rewrote"
seen="$recorded $collected $updated, $made, $listed, $rewrote"
was="1 1 0, status 0, status 1, status 0"
if [ "$seen" = "$was" ]; then echo "as recorded"; else echo "changed, was $was"; exit 1; fi
