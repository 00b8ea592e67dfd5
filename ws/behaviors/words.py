"""What a text must not hold: halves of characters."""

import re

HALF = re.compile("[\ud800-\udfff]")


def half_character(text: str) -> str | None:
    r"""The first half character (lone surrogate) in a text, written out, such as "\ud83d"; None if there is none.

    JSON can name one half of a surrogate pair, and Python turns bytes of a command line that are no UTF-8 into halves.
    A half cannot be encoded, so no tokenizer can read it and no store can keep it.
    """
    found = HALF.search(text)
    return None if found is None else f"\\u{ord(found[0]):04x}"
