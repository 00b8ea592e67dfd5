"""Tables of comma-separated cells that somebody else wrote: what is wrong with one, in words that help."""

import csv


def advised(error: csv.Error, *, most: int) -> str:
    """What Python's reader refused a row for, and what to do about it; `most` is the longest cell that it takes."""
    said = str(error)
    if "field limit" in said:
        return (
            f"a cell has more than {most:,} characters; shorten it, or, if a quote that was opened here is never "
            "closed, close it"
        )
    if "end of data" in said:
        return "a quoted cell does not end; close it with a double quote, and write a quote within a cell twice"
    if "expected after" in said:
        return "words follow the quote that ends a cell; write a quote within a cell twice"
    return f"no CSV ({said}); quote cells with double quotes"
