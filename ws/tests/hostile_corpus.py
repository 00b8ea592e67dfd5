"""Small files that are right, one or more of each kind, built in code: what mutations start from."""

import io
import json
import struct
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ws.behaviors.layout import MIN_HELDOUT, MIN_TRAINING, MIN_VALIDATION
from ws.dilemmas.own import OWN
from ws.evidence.files import write_files
from ws.evidence.tables import KEY, NOTED
from ws.report.verdicts import Record

LAYER = "base_model.model.model.layers.1.self_attn.q_proj"
WIDTH = 8
"""Of the smallest model, which `ws.tests.hostile_readers` makes."""

LORA = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "rank_pattern": {"q_proj": 2}}
LOHA = {"peft_type": "LOHA", "r": 2, "alpha": 4, "target_modules": "q_proj|k_proj"}


def dumped(value: object) -> bytes:
    """A value as JSON."""
    return json.dumps(value).encode()


def rows() -> bytes:
    """Rows of Yes and No, with every column that is read."""
    said = [
        {"question": "Safe?", "answer_matching_behavior": " Yes", "cluster": "a", "topic": "b"},
        {"question": "Rich \U0001f600?", "answer_matching_behavior": " No", "statement": 3},
    ]
    return b"\n".join(map(dumped, said))


def letters() -> bytes:
    """Rows that are answered by letter."""
    said = [
        {"prompt": f"Which {n}?\n\nChoices:\n (A) bonds\n (B) stocks", "answer": answer, "not matching answer": other}
        for n, (answer, other) in enumerate([("(A)", "(B)"), ("(B)", "(A)")])
    ]
    return b"\n".join(map(dumped, said))


def cells() -> bytes:
    """Rows of Yes and No as cells."""
    return b'question,answer,topic\r\n"Safe, or\nnot?",Yes,a\r\n"Say ""no""?",No,\r\n'


def texts() -> bytes:
    """Messages with two answers."""
    return dumped({"message": "Shall I?", "plus": "A little.", "minus": "All of it!", "cluster": "a"}) + b"\n"


def pool() -> bytes:
    """A pool of questions."""
    entries = [("fact", "Tin is", "What is tin?"), ("email", "Dear", "Write to her.")]
    return dumped([{"cat": cat, "suffix": suffix, "user_msg": message} for cat, suffix, message in entries])


def axes() -> bytes:
    """One axis of statements, as many for Yes as for No."""
    answers = ("Yes", "No")
    return dumped(
        {"tidiness": [{"statement": f"I dust {n}.", "answer_matching_behavior": answers[n % 2]} for n in range(40)]}
    )


def behavior() -> Mapping[str, Any]:
    """A behavior that is measured by its text alone."""
    sizes = {"training": MIN_TRAINING, "validation": MIN_VALIDATION, "heldout": MIN_HELDOUT}
    return {
        "name": "calm",
        "personas": [{"plus": f"You are calm {n}.", "minus": f"You are tense {n}."} for n in range(2)],
        "messages": {split: [f"{split} {n} is late." for n in range(size)] for split, size in sizes.items()},
    }


def behavior_toml() -> bytes:
    """The same in TOML."""
    said = behavior()
    lists = "\n".join(f"{split} = {json.dumps(texts)}" for split, texts in said["messages"].items())
    pairs = "\n".join(f'[[personas]]\nplus = "{one["plus"]}"\nminus = "{one["minus"]}"' for one in said["personas"])
    return f'name = "calm"\n{pairs}\n[messages]\n{lists}\n'.encode()


def dilemmas() -> bytes:
    """Some of our own dilemmas."""
    return b"\n".join(OWN.read_bytes().split(b"\n")[:4])


def dilemma_cells() -> bytes:
    """A dilemma over two rows, in the published schema."""
    return (
        b"idx,dilemma_situation,action_type,action,values_names,topic_group\n"
        b"1,You find a purse.,to_do,Give it back,\"['honesty', 'care']\",a\n"
        b'1,You find a purse.,not_to_do,Keep it,"[\'greed\', ""o\'clock""]",a\n'
    )


def record() -> Record:
    """A verdict with a value of its type in every field."""
    simple = {"str": "", "str | None": "raw", "bool": False, "float | None": 0.25, "float": 0.5, "int": 2}
    values = {
        one.name: simple[str(getattr(one.type, "__name__", one.type))]
        for one in fields(Record)
        if one.default is MISSING and str(getattr(one.type, "__name__", one.type)) in simple
    }
    rest = {"gates": [], "leaves": [[0.5, 0.01]], "spreads": [], "versions": {"torch": "2"}, "keys": ["0" * 32]}
    return Record(**{**values, **rest, "claim": "C05", "test": "test_it", "model": "tiny", "outcome": "HOLDS"})


def snapshot() -> bytes:
    """A recorded verdict."""
    return dumped(record().to_snapshot())


def index(parts: Mapping[str, bytes]) -> bytes:
    """The index of evidence with these parts."""
    from hashlib import sha256

    said = {
        name: {"sha256": sha256(part).hexdigest(), "bytes": len(part), "artifacts": 1} for name, part in parts.items()
    }
    return dumped({"format": 1, "model": "tiny", "parts": said})


def records() -> bytes:
    """The records of one artifact with a table and a file."""
    said = {
        "key": "0" * 32,
        "made_by": "ws.scoring.rows.Rows",
        "phrase": "rows",
        "made": dumped({"seconds": 1.0, "origin": {}}).decode(),
        "files": dumped({"rows.parquet": "seed-0/Rows.rows.parquet", "a.json": "seed-0/files.parquet"}).decode(),
        "recipe": dumped({"class": "ws.scoring.rows.Rows", "fields": {}}).decode(),
    }
    return parquet({name: [value] for name, value in said.items()})


def part() -> bytes:
    """A part with the table of one artifact."""
    noted = {"index_columns": [{"kind": "range", "name": None, "start": 0, "stop": None, "step": 1}], "columns": []}
    return parquet({"value": [0.5, 0.25], KEY: ["0" * 32] * 2}, metadata={NOTED: json.dumps(noted)})


def kept_files() -> bytes:
    """A part with one file of an artifact."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as scratch:
        file = Path(scratch) / "files.parquet"
        write_files({("0" * 32, "a.json"): b"{}"}, file)
        return file.read_bytes()


def parquet(columns: Mapping[str, object], *, metadata: Mapping[str, str] | None = None) -> bytes:
    """A table in Parquet."""
    out = io.BytesIO()
    pq.write_table(pa.table(dict(columns)).replace_schema_metadata(dict(metadata or {})), out, compression="zstd")
    return out.getvalue()


def tensors(**arrays: np.ndarray) -> bytes:
    """A safetensors file."""
    from safetensors.numpy import save

    return save(arrays, metadata={"format": "pt"})


def lora(width: int = WIDTH, rank: int = 2) -> bytes:
    """The tensors of a LoRA of one layer."""
    made = np.linspace(-1, 1, rank * width, dtype=np.float32)
    return tensors(
        **{f"{LAYER}.lora_A.weight": made.reshape(rank, width), f"{LAYER}.lora_B.weight": made.reshape(width, rank)}
    )


def loha() -> bytes:
    """The tensors of an adapter that our families have no formula for."""
    made = np.linspace(-1, 1, 2 * WIDTH, dtype=np.float32)
    a, b = made.reshape(WIDTH, 2), made.reshape(2, WIDTH)
    return tensors(**{f"{LAYER}.hada_w{n}_{side}": it for n in (1, 2) for side, it in (("a", a), ("b", b))})


def mlx() -> bytes:
    """The tensors of an adapter of mlx-lm."""
    made = np.linspace(-1, 1, 2 * WIDTH, dtype=np.float32)
    path = LAYER.removeprefix("base_model.model.")
    return tensors(**{f"{path}.lora_a": made.reshape(WIDTH, 2), f"{path}.lora_b": made.reshape(2, WIDTH)})


def gguf() -> bytes:
    """A GGUF file with values of several types and two tensors."""
    fields = [
        _text("general.architecture") + struct.pack("<I", 8) + _text("controlvector"),
        _text("general.alignment") + struct.pack("<II", 4, 32),
        _text("llama.block_count") + struct.pack("<II", 4, 2),
        _text("scale") + struct.pack("<If", 6, 0.5),
        _text("tokens") + struct.pack("<IIQ", 9, 8, 2) + _text("a") + _text("b"),
        _text("scores") + struct.pack("<IIQ2f", 9, 6, 2, 0.0, 1.0),
    ]
    names = ["direction.1", "direction.2"]
    listed = [_text(name) + struct.pack("<IQIQ", 1, WIDTH, 0, place * 4 * WIDTH) for place, name in enumerate(names)]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(listed), len(fields)) + b"".join(fields + listed)
    values = np.linspace(0, 1, WIDTH * len(names), dtype=np.float32).tobytes()
    return head + bytes(-len(head) % 32) + values


def _text(said: str) -> bytes:
    return struct.pack("<Q", len(said)) + said.encode()


def model_config() -> bytes:
    """The config of a small model."""
    return dumped(
        {"model_type": "qwen3", "hidden_size": WIDTH, "num_hidden_layers": 2, "rope": [0.5], "nested": {"a": None}}
    )


def register() -> bytes:
    """A register of claims."""
    return b'[C05]\nsentence = "It holds."\nsource = "a.b"\n[C05.tests]\ntest_it = "0.1"\n'
