"""Files that are the same bytes each time: safetensors writes the words of its header in random order."""

import json
from pathlib import Path
from typing import Any

from ws.errors import StoreError

LENGTH_BYTES = 8
"""A file begins with the length of its header, which is JSON."""

METADATA = "__metadata__"


def steady(folder: Path) -> None:
    """Sort the words of every safetensors file in a folder. Raises: StoreError if a header has no room for them."""
    for path in sorted(folder.rglob("*.safetensors")):
        _sort_words(path)


def _sort_words(path: Path) -> None:
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        said = _header(file.read(min(length, path.stat().st_size)))
        words = said.pop(METADATA, {})
        if list(words) == sorted(words):
            return
        # Tensors are in the order of their bytes already.
        sorted_words = {METADATA: dict(sorted(words.items()))}
        text = json.dumps(sorted_words | said, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) > length:
            raise StoreError(f"{path} has a header of {length} bytes that takes {len(text)}; write it with safetensors")
        file.seek(LENGTH_BYTES)
        file.write(text.ljust(length))


def _header(text: bytes) -> dict[str, Any]:
    """The header of a file; nothing of one that has none, which only has the name of such a file."""
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
