"""The code behind a key, kept once for all artifacts that it made: `<root>/code/<source>.json.gz`.

A source is the hash of all definitions that a recipe reaches; the file has the text of each, by name.
"""

import gzip
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

FOLDER = "code"


def keep_texts(root: Path, source: str, texts: Callable[[], dict[str, str]]) -> None:
    """Store the definitions behind a source, unless the store has them already."""
    path = text_path(root, source)
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.{os.getpid()}")
    scratch.write_bytes(gzip.compress(json.dumps(texts(), sort_keys=True).encode(), mtime=0))
    os.replace(scratch, path)


def kept_texts(root: Path, source: str | None) -> dict[str, str] | None:
    """The definitions behind a source by name; None if the store does not have them."""
    if re.fullmatch(r"[0-9a-f]{64}", source or "", re.ASCII) is None:
        return None
    try:
        said = json.loads(gzip.decompress(text_path(root, str(source)).read_bytes()))
    except (OSError, EOFError, ValueError):
        return None
    return said if isinstance(said, dict) and all(isinstance(text, str) for text in said.values()) else None


def text_path(root: Path, source: str) -> Path:
    """The file with the definitions behind a source."""
    return root / FOLDER / f"{source}.json.gz"
