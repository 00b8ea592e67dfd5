"""Where things lie below a URL.

    format.json               which layout this is
    manifests/KEY.json        one an artifact, written when all its files are there: an artifact is there if this is
    files/KEY/SHA256          the files of an artifact, named by their content, so that two builds never mix
    leases/KEY.json           who builds it now
    runs/RUN/KEY              what a `fresh` run has built anew
    code/SOURCE.json.gz       the code behind keys, for `ws store why`

No name comes from a recipe or from a file of an artifact.
"""

import re

FORMAT = "format.json"
MANIFESTS, FILES, LEASES, RUNS, CODE = "manifests", "files", "leases", "runs", "code"

LAYOUT = b'{"weight-steering store": 1}\n'
"""The content of format.json."""

_MANIFEST = re.compile(rf"{MANIFESTS}/(?P<key>[0-9a-f]{{32}})\.json", re.ASCII)


def manifest_name(key: str) -> str:
    return f"{MANIFESTS}/{key}.json"


def key_of(name: str) -> str | None:
    """The key of the artifact that an object is the manifest of; None if it is no manifest."""
    found = _MANIFEST.fullmatch(name)
    return found["key"] if found else None


def file_name(key: str, sha256: str) -> str:
    return f"{FILES}/{key}/{sha256}"


def lease_name(key: str) -> str:
    return f"{LEASES}/{key}.json"


def mark_name(run: str, key: str) -> str:
    return f"{RUNS}/{run}/{key}"


def code_name(source: str) -> str:
    return f"{CODE}/{source}.json.gz"
