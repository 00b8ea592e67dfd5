"""Every recipe that scores rows of an intervention, and the reader of each."""

from functools import lru_cache

import pandas as pd

from ws.scoring.rows import Rows, read_rows
from ws.scoring.text import TextRows, read_text_rows
from ws.scoring.thought import ThoughtRows, read_thought_rows
from ws.scoring.written import WrittenRows, read_written_rows
from ws.store import Store

Scored = Rows | ThoughtRows | TextRows | WrittenRows


@lru_cache(maxsize=1024)
def read_scored(store: Store, recipe: Scored) -> pd.DataFrame:
    """The rows of a recipe, read once a process; whoever asks must leave the table as it is."""
    match recipe:
        case Rows():
            return read_rows(store, recipe)
        case ThoughtRows():
            return read_thought_rows(store, recipe)
        case TextRows():
            return read_text_rows(store, recipe)
        case WrittenRows():
            return read_written_rows(store, recipe)
