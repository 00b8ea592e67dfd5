"""What a text may hold."""

import re

HALF = re.compile("[\ud800-\udfff]")


def half_character(text: str) -> str | None:
    r"""The first half of a character in a text, written out, such as "\ud83d"; None if there is none.

    JSON can name one half of a surrogate pair, and a command line hands on bytes that are no UTF-8 as halves; neither
    can be encoded, so no tokenizer reads it and no store keeps it.
    """
    found = HALF.search(text)
    return None if found is None else f"\\u{ord(found[0]):04x}"
