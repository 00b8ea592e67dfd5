"""What all workers of a machine import, in the process that they are forked from.

A worker that imports it by itself has 0.3 GB more of its own: objects of Python, and the tables of shared libraries.
Numbers are the same, since nothing is computed here.
"""

import gc

import pandas  # noqa: F401
import pyarrow.parquet  # noqa: F401
import transformers.models.auto.modeling_auto
import transformers.models.llama.modeling_llama  # noqa: F401

import ws.engine.loading  # noqa: F401

# A collection writes to every object that it looks at, and a page that is written to is not shared any more.
gc.collect()
gc.freeze()
