"""The code behind a key, kept once for all artifacts that it made: `<root>/code/<source>.json.gz`.

A source is the hash of all definitions that a recipe reaches; the file has the text of each, by name.
"""

import gzip
import io
import json
import re
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

from ws.store import placing, scratch

FOLDER = "code"
NAME_AT = 10
"""Where a gzip file names the file that it was made of, behind a head of this length."""


def keep_texts(root: Path, source: str, texts: Callable[[], dict[str, str]]) -> None:
    """Store the definitions behind a source, unless the store has them already."""
    if kept_texts(root, source) is not None:
        return
    out = scratch.path_for(root, f"texts{threading.get_ident()}")
    placing.make_folder(out.parent)
    out.write_bytes(_packed(texts(), source))
    placing.replace_file(out, text_path(root, source))


def kept_texts(root: Path, source: str | None) -> dict[str, str] | None:
    """The definitions behind a source by name; None if the store does not have them."""
    if source is None or re.fullmatch(r"[0-9a-f]{64}", source, re.ASCII) is None:
        return None
    path = text_path(root, source)
    if not path.is_file():
        return None
    try:
        packed = path.read_bytes()
        said = json.loads(gzip.decompress(packed))
    except (OSError, EOFError, ValueError, RecursionError, zlib.error):
        return None
    is_whole = isinstance(said, dict) and all(isinstance(text, str) for text in said.values())
    return said if is_whole and _is_of(packed, source) else None


def _packed(texts: dict[str, str], source: str) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(source, "wb", fileobj=out, mtime=0) as file:
        file.write(json.dumps(texts, sort_keys=True).encode())
    return out.getvalue()


def _is_of(packed: bytes, source: str) -> bool:
    """Whether a file is of a source, which it names itself; those of older versions name none."""
    has_name = bool(packed[3] & 8)
    return not has_name or packed[NAME_AT:].startswith(source.encode() + b"\0")


def text_path(root: Path, source: str) -> Path:
    """The file with the definitions behind a source."""
    return root / FOLDER / f"{source}.json.gz"
