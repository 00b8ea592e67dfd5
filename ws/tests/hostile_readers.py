"""The readers of files that somebody else wrote: what each is given, and what it reads."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ws.tests import hostile_corpus as corpus

if TYPE_CHECKING:
    from ws.changes.cases import Case
    from ws.models.language import LanguageModel

KEY = "0" * 32


@dataclass(frozen=True)
class Target:
    """A reader, and the file that it is tried with."""

    file: str
    """The name of the file, in a folder of its own."""
    read: Callable[[Path], object]
    """Reads the file of this path."""
    seeds: Callable[[], Sequence[bytes]]
    """Files that are right."""
    beside: Callable[[], Mapping[str, bytes]] = field(default=dict)
    """What else is in the folder."""

    def put(self, folder: Path, content: bytes) -> Path:
        """The file with this content, in a folder with all that belongs beside it."""
        for name, said in self.beside().items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(said)
        path = folder / self.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path


def _rows(path: Path) -> object:
    from ws.scoring.own_rows import answers_to, first_excess, read_rows_file

    found = read_rows_file(path)
    return answers_to(found), first_excess(found)


def _texts(path: Path) -> object:
    from ws.scoring.own_text import read_text_file

    return read_text_file(path)


def _pool(path: Path) -> object:
    from ws.behaviors.pool import messages, read_pool

    return messages(read_pool(path))


def _axes(path: Path) -> object:
    from ws.behaviors.axes import read_axes

    return read_axes(path)


def _behavior(path: Path) -> object:
    from ws.behaviors.layout import contents, read_behavior

    return contents(read_behavior(path))


def _dilemmas(path: Path) -> object:
    from ws.dilemmas.base import questions
    from ws.dilemmas.own import read_own

    return questions(read_own(path))


def _dilemma_cells(path: Path) -> object:
    from ws.dilemmas.csv_file import read_csv

    return read_csv(path)


def _results(path: Path) -> object:
    from ws.results.files import read, to_json

    return to_json(read(path))


def _snapshot(path: Path) -> object:
    from ws.report.verdicts import in_words, recorded

    return [in_words(one) for one in recorded(path.parent)]


def _diff(path: Path) -> object:
    from ws.changes.cases import Moved
    from ws.changes.sides import side_of_folder

    cases = side_of_folder(str(path.parent), path.parent).cases.values()
    found = [Moved(one, one) for one in cases] + [Moved(_whole_case(), one) for one in cases]
    return [
        (one.extent, one.turn, one.share, one.step, one.has_same_number, one.new.name, one.new.keys) for one in found
    ]


@cache
def _whole_case() -> "Case":
    from ws.changes.cases import Case

    return Case(("tiny", "test_it"), corpus.snapshot(), "a")


def _evidence(path: Path) -> object:
    from ws.evidence.folder import INDEX, Evidence
    from ws.evidence.supply import EvidenceSupply

    home = path.parent if path.name == INDEX else path.parent.parent
    parts = {name: (home / name).read_bytes() for name in PARTS if (home / name).is_file()}
    if path.name != INDEX:
        # Whoever wrote the part wrote the index too.
        (home / INDEX).write_bytes(corpus.index(parts))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = Evidence(home)
        out = home / "out"
        out.mkdir(exist_ok=True)
        return EvidenceSupply(found).bring(KEY, out), found.group("seed-0", recipes=True), found.check()


def _adapter(path: Path) -> object:
    from ws.delta.folders.given import check_adds_numbers, check_given

    check_given(path.parent)
    from ws.delta.folders.delta import folder_delta, folder_sha256

    folder_sha256(path.parent)
    delta = folder_delta(path.parent, small_model())
    check_adds_numbers(delta, path.parent)
    return delta


def _safetensors(path: Path) -> object:
    from ws.errors import ModelError
    from ws.files.safetensors_header import stored

    return stored(path, refuse=ModelError)


def _gguf(path: Path) -> object:
    from gguf import GGUFReader

    from ws.errors import ModelFileError
    from ws.files.gguf_header import placed

    found = placed(path, refuse=ModelFileError)
    reader = GGUFReader(path)
    assert {tensor.name for tensor in reader.tensors} == found.keys()
    return {name: field.contents() for name, field in reader.fields.items()}


def _model(path: Path) -> object:
    from ws.errors import ModelError
    from ws.files.folders import check_files
    from ws.models.model_files import fp32_bytes, model_files, read_config

    names = model_files(path.parent)
    check_files([path.parent / name for name in names], refuse=ModelError)
    return read_config(path.parent), fp32_bytes([path.parent / name for name in names])


def _register(path: Path) -> object:
    from ws.report.register import read

    return read(path)


@cache
def small_model() -> "LanguageModel":
    """A model of two layers of 8, whose tokenizer nobody asks for."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from ws.models.language import LanguageModel
    from ws.models.table import weights_of

    sizes = {"hidden_size": corpus.WIDTH, "intermediate_size": 16, "num_hidden_layers": 2, "vocab_size": 16}
    config = Qwen3Config(**sizes, num_attention_heads=1, num_key_value_heads=1, head_dim=corpus.WIDTH)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Qwen3ForCausalLM(config).eval().requires_grad_(False)
    return LanguageModel("small", model, None, weights_of("tiny-random-qwen3"))


@cache
def whole_model() -> bytes:
    """The weights of the small model, trained a little."""
    from safetensors.torch import save

    weights = {name: value.clone() for name, value in small_model().model.state_dict().items()}
    weights["model.layers.1.self_attn.q_proj.weight"] += 0.5
    return save(weights)


def _result_seeds(ending: str) -> Callable[[], Sequence[bytes]]:
    def seeds() -> Sequence[bytes]:
        from ws.results.files import FORMS
        from ws.results.results import Results

        return [FORMS[ending].write(Results([corpus.record()]))]

    return seeds


PARTS = {
    "seed-0/records.parquet": corpus.records,
    "seed-0/Rows.rows.parquet": corpus.part,
    "seed-0/files.parquet": corpus.kept_files,
}


def _parts(*, without: str = "") -> Mapping[str, bytes]:
    return {name: made() for name, made in PARTS.items() if name != without}


def _index() -> Sequence[bytes]:
    return [corpus.index(_parts())]


def _of_adapter(*names: str) -> Callable[[], Mapping[str, bytes]]:
    made = {
        "adapter_config.json": lambda: corpus.dumped(corpus.LORA),
        "adapter_model.safetensors": corpus.lora,
        "config.json": corpus.model_config,
        "tokenizer.json": lambda: b"{}",
        "model.safetensors": corpus.lora,
    }
    return lambda: {name: made[name]() for name in names}


MLX = corpus.dumped({"fine_tune_type": "lora", "lora_parameters": {"scale": 2.0, "keys": ["self_attn.q_proj"]}})

TARGETS: Mapping[str, Target] = {
    "rows": Target("rows.jsonl", _rows, lambda: [corpus.rows(), corpus.letters()]),
    "rows-csv": Target("rows.csv", _rows, lambda: [corpus.cells()]),
    "texts": Target("texts.jsonl", _texts, lambda: [corpus.texts()]),
    "pool": Target("pool.json", _pool, lambda: [corpus.pool()]),
    "axes": Target("axes.json", _axes, lambda: [corpus.axes()]),
    "behavior": Target("calm.json", _behavior, lambda: [corpus.dumped(corpus.behavior())]),
    "behavior-toml": Target("calm.toml", _behavior, lambda: [corpus.behavior_toml()]),
    "dilemmas": Target("own.jsonl", _dilemmas, lambda: [corpus.dilemmas()]),
    "dilemmas-csv": Target("set.csv", _dilemma_cells, lambda: [corpus.dilemma_cells()]),
    "results": Target("run.json", _results, _result_seeds(".json")),
    "results-csv": Target("run.csv", _results, _result_seeds(".csv")),
    "results-parquet": Target("run.parquet", _results, _result_seeds(".parquet")),
    "snapshot": Target("test_it.json", _snapshot, lambda: [corpus.snapshot()]),
    "diff": Target("test_it.json", _diff, lambda: [corpus.snapshot()]),
    "evidence-index": Target("index.json", _evidence, _index, _parts),
    **{
        f"evidence-{name.partition('/')[2].partition('.')[0].lower()}": Target(
            name, _evidence, lambda made=made: [made()], lambda name=name: _parts(without=name)
        )
        for name, made in PARTS.items()
    },
    "adapter-config": Target(
        "adapter_config.json",
        _adapter,
        lambda: [corpus.dumped(corpus.LORA)],
        _of_adapter("adapter_model.safetensors"),
    ),
    "adapter-tensors": Target(
        "adapter_model.safetensors", _adapter, lambda: [corpus.lora()], _of_adapter("adapter_config.json")
    ),
    "peft-config": Target(
        "adapter_config.json",
        _adapter,
        lambda: [corpus.dumped(corpus.LOHA)],
        lambda: {"adapter_model.safetensors": corpus.loha()},
    ),
    "mlx-config": Target(
        "adapter_config.json", _adapter, lambda: [MLX], lambda: {"adapters.safetensors": corpus.mlx()}
    ),
    "mlx-tensors": Target(
        "adapters.safetensors", _adapter, lambda: [corpus.mlx()], lambda: {"adapter_config.json": MLX}
    ),
    "model-index": Target(
        "model.safetensors.index.json",
        _adapter,
        lambda: [corpus.dumped({"metadata": {}, "weight_map": {"a": "part.safetensors"}})],
        lambda: {"config.json": corpus.model_config(), "part.safetensors": whole_model()},
    ),
    "model-tensors": Target(
        "model.safetensors", _adapter, lambda: [whole_model()], lambda: {"config.json": corpus.model_config()}
    ),
    "safetensors": Target("a.safetensors", _safetensors, lambda: [corpus.lora()]),
    "gguf": Target("a.gguf", _gguf, lambda: [corpus.gguf()]),
    "model-config": Target(
        "config.json", _model, lambda: [corpus.model_config()], _of_adapter("model.safetensors", "tokenizer.json")
    ),
    "register": Target("register.toml", _register, lambda: [corpus.register()]),
}
"""By name, every reader with a seed of each form of its file."""
