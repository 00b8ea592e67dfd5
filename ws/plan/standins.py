"""Stand-ins: files like those of an artifact, with made-up numbers, so that a test can go on without it.

Rows, columns and labels are those that the recipe names. Numbers are random, apart from each other for two recipes, so
that no difference is zero and no ratio is one.
"""

import json
import zlib
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from ws.behaviors import Question
from ws.exports.llama_rows import LlamaRows, LlamaTextRows
from ws.lenses.cosine import InnerProducts
from ws.lenses.identity import Identity
from ws.lenses.oracle import OWN, OracleOverlaps
from ws.scoring.fluency import FluentRange
from ws.scoring.rows import KEY, Rows
from ws.scoring.side_effects import SideEffects
from ws.scoring.text import GivenAnswers, SampledAnswers, TextRows
from ws.scoring.thought import ThoughtRows
from ws.scoring.written import WrittenRows
from ws.steering.iso_kl import Calibration, Divergence, IsoKL
from ws.store import Recipe
from ws.training.direction import Direction

Numbers = np.random.Generator
SomeTable = Callable[..., pd.DataFrame]

TENSORS = tuple(f"model.layers.{layer}.self_attn.o_proj" for layer in range(2))
"""What a made-up dW consists of. A test that asks for each layer of dW stops before it asks (`Store.needs`)."""


def stand_in(recipe: Recipe, out: Path, *, key: str) -> bool:
    """Write a stand-in of an artifact into the empty folder `out`; whether there is one for its class."""
    numbers = np.random.default_rng(zlib.crc32(key.encode()))
    tables = TABLES.get(type(recipe))
    if tables is not None:
        for file, table in tables.items():
            table(recipe, numbers).to_parquet(out / file)
    elif isinstance(recipe, IsoKL):
        found = Calibration(coeff=1.0 * recipe.side, kl=recipe.budget, converged=True, evaluations=0, curve=())
        (out / "iso_kl.json").write_text(json.dumps(found._asdict()), encoding="utf-8")
    elif isinstance(recipe, FluentRange):
        base = {"pmass": 0.9, "perplexity": 10.0}
        reach = {"low": 0.0, "high": 0.0, "open_low": True, "open_high": True, "base": base, "points": []}
        (out / "range.json").write_text(json.dumps(reach), encoding="utf-8")
    elif isinstance(recipe, Identity):
        (out / "gap.json").write_text(json.dumps({"gap": 0.0}), encoding="utf-8")
    else:
        return False
    return True


def rows(recipe: Rows, numbers: Numbers) -> pd.DataFrame:
    """The table of `ws.scoring.rows.read_rows`."""
    return _answered(recipe.questions, recipe.coeffs, numbers).assign(norm=1.0)


def thought_rows(recipe: ThoughtRows, numbers: Numbers) -> pd.DataFrame:
    """The table of `ws.scoring.thought.read_thought_rows`."""
    return _answered(recipe.questions, recipe.coeffs, numbers).assign(closed=True, thought_tokens=recipe.new_tokens)


def text_rows(recipe: TextRows, numbers: Numbers) -> pd.DataFrame:
    """The table of `ws.scoring.text.read_text_rows`."""
    match recipe.answers:
        case SampledAnswers(messages=messages, pairs=pairs):
            said = [
                (f"{m.id}/{n}", m.id, m.topic, f"personas {n}", f"pair-{n}") for m in messages for n in range(pairs)
            ]
        case GivenAnswers(pairs=given):
            said = [(one.id, one.cluster, one.topic, "given", "pair-0") for one in given]
        case other:
            raise TypeError(f"no stand-in for text of {other.describe()}")
    asked = [(f"{name}/{sign:+d}", *rest, sign) for name, *rest in said for sign in (+1, -1)]
    asked = [one for one in asked if recipe.pair in (None, one[KEY.index("pair")])]
    table = _at_each(pd.DataFrame(asked, columns=list(KEY)).assign(tokens=8), recipe.coeffs)
    return table.assign(log_p=numbers.normal(-3.0, 1.0, len(table)), norm=1.0)


def written_rows(recipe: WrittenRows, numbers: Numbers) -> pd.DataFrame:
    """The table of `ws.scoring.written.read_written_rows`."""
    turns = [f"judge-{place % len(recipe.judges)}" for place in range(len(recipe.messages))]
    asked = [(m.id, m.id, m.topic, turn, turn, 1) for m, turn in zip(recipe.messages, turns, strict=True)]
    table = pd.DataFrame(asked, columns=list(KEY)).assign(tokens=8, answer="")
    return _measured(_at_each(table, recipe.coeffs), ("log_ratio", "log_p"), numbers).assign(norm=1.0)


def passages(recipe: SideEffects, numbers: Numbers) -> pd.DataFrame:
    """The table of `ws.scoring.side_effects.read_text`."""
    names = [f"passage-{place:02}" for place in range(len(recipe.passages))]
    return _measured(_at_each(pd.DataFrame({"passage": names, "tokens": 8}), recipe.coeffs), ("nll",), numbers)


def answers(recipe: SideEffects, numbers: Numbers) -> pd.DataFrame:
    """The table of `ws.scoring.side_effects.read_answers`."""
    table = pd.DataFrame({"message": list(recipe.messages), "answer": "", "tokens": 8})
    return _measured(_at_each(table, recipe.coeffs), ("repetition",), numbers)


def geometry(recipe: Direction, numbers: Numbers) -> pd.DataFrame:
    """The table of `ws.training.direction.geometry`."""
    columns = ("plus_sq", "minus_sq", "dot", "delta_sq", "weak_sq", "weak_null")
    return pd.DataFrame({"tensor": TENSORS}).assign(
        **{name: numbers.uniform(1.0, 2.0, len(TENSORS)) for name in columns}
    )


def products(recipe: InnerProducts, numbers: Numbers) -> pd.DataFrame:
    """The table of `ws.lenses.cosine.read_products`."""
    columns = ("dot", "first_sq", "second_sq")
    return pd.DataFrame({"tensor": TENSORS}).assign(
        **{name: numbers.uniform(1.0, 2.0, len(TENSORS)) for name in columns}
    )


def oracle_overlaps(recipe: OracleOverlaps, numbers: Numbers) -> pd.DataFrame:
    """The table of `ws.lenses.oracle.oracle_overlaps`."""
    names = (*OWN, *(view.name for view in recipe.views))
    couples = [(first, second, layer, recipe.k, 64) for first, second in combinations(names, 2) for layer in range(2)]
    table = pd.DataFrame(couples, columns=["first", "second", "layer", "k", "width"])
    return table.assign(overlap=numbers.uniform(0.1, 0.9, len(table)), chance=0.1, chance_sd=0.01)


def divergence(recipe: Divergence, numbers: Numbers) -> pd.DataFrame:
    """The table of `ws.steering.iso_kl.read_divergence`."""
    table = pd.DataFrame({"message": range(len(recipe.messages)), "token": 0})
    table = _at_each(table, recipe.coeffs)
    return table.assign(kl=numbers.uniform(0.1, 1.0, len(table)))


TABLES: dict[type[Recipe], dict[str, SomeTable]] = {
    Rows: {"rows.parquet": rows},
    ThoughtRows: {"rows.parquet": thought_rows},
    TextRows: {"rows.parquet": text_rows},
    LlamaRows: {"rows.parquet": rows},
    LlamaTextRows: {"rows.parquet": text_rows},
    WrittenRows: {"rows.parquet": written_rows},
    SideEffects: {"text.parquet": passages, "answers.parquet": answers},
    Direction: {"geometry.parquet": geometry},
    InnerProducts: {"products.parquet": products},
    OracleOverlaps: {"overlaps.parquet": oracle_overlaps},
    Divergence: {"divergence.parquet": divergence},
}
"""For each class of recipes the tables of its artifacts, and what makes one up."""


def _answered(questions: Sequence[Question], coeffs: Sequence[float], numbers: Numbers) -> pd.DataFrame:
    asked = pd.DataFrame(questions, columns=Question._fields).rename(columns={"id": "question_id"})
    table = _measured(_at_each(asked[list(KEY)], coeffs), ("log_yes", "log_no"), numbers)
    return table.assign(log_ratio=table["log_yes"] - table["log_no"], pmass=0.9)


def _energies(columns: Sequence[str], numbers: Numbers) -> pd.DataFrame:
    table = pd.DataFrame({"tensor": TENSORS})
    return table.assign(**{name: numbers.uniform(1.0, 2.0, len(table)) for name in columns})


def _at_each(table: pd.DataFrame, coeffs: Sequence[float]) -> pd.DataFrame:
    return pd.concat([table.assign(coeff=coeff) for coeff in coeffs], ignore_index=True)


def _measured(table: pd.DataFrame, columns: Sequence[str], numbers: Numbers) -> pd.DataFrame:
    return table.assign(**{name: numbers.normal(0.0, 1.0, len(table)) for name in columns})
