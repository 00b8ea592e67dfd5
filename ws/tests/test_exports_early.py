"""What an export would be refused for in the end is refused before anything is trained, or weights are fetched."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from transformers import AutoConfig, AutoModelForCausalLM

from ws import cli
from ws.adapters import FAMILIES
from ws.delta.folders.peft_files import CONFIG
from ws.errors import MismatchError, ModelError
from ws.exports import early, gguf_lora
from ws.exports.early import check_config, check_file, has_factors, why_full
from ws.exports.what import Source
from ws.models.language import LanguageModel
from ws.models.own import chosen_model
from ws.store import Store
from ws.tests.exporting import llama_file
from ws.tests.hub_stand_in import Hub, served
from ws.tests.small import ON, shared_store
from ws.tests.test_interventions import folders

pytestmark = pytest.mark.usefixtures("told")

Refused = Callable[..., str]
LORA = Source(family="lora")


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Refused:
    """What `ws export dw` says as it refuses; a steering that is made fails the test."""
    monkeypatch.setattr("ws.exports.what.exported", lambda *_: pytest.fail("it was trained"))

    def said(*args: str, store: Store | Path = tmp_path / "store") -> str:
        where = store.root if isinstance(store, Store) else store
        monkeypatch.setattr(sys, "argv", ["ws", "export", "dw", *args, "--store", str(where)])
        with pytest.raises(SystemExit, match=r"^2$"):
            cli.main()
        return capsys.readouterr().err

    return said


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is read fails the test."""
    monkeypatch.setattr("ws.engine.loading.loaded", lambda *_: pytest.fail("a model was read"))


@pytest.fixture
def gemma(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, no_own_models: None) -> Path:
    """The folder of a Gemma 3 of 6 blocks."""
    original = shared_store(tmp_path_factory).get(ON.weights)
    folder = shutil.copytree(original, tmp_path / "gemma", ignore=shutil.ignore_patterns("manifest.json"))
    said = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(said | {"model_type": "gemma3_text"}))
    AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
    return folder


# What was asked for


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_has_factors_or_full_rank(family: str) -> None:
    assert has_factors(family) == (family in ("lora", "pissa", "delora"))


@pytest.mark.parametrize("to", ["peft", "gguf", "mlx"])
@pytest.mark.parametrize("family", ["dora", "oft", "boft", "ia3"])
@pytest.mark.usefixtures("unread")
def test_full_rank_needs_a_limit_at_once(refused: Refused, tmp_path: Path, to: str, family: str) -> None:
    said = refused(str(tmp_path / "out.gguf"), "--to", to, "--family", family)
    assert f"dW of {family} has full rank, and a " in said
    assert "say how much to keep, as --rank 64 or --energy 0.99, or export merged weights" in said


@pytest.mark.usefixtures("unread")
def test_a_whole_model_and_an_adapter_of_full_rank_need_one_too(
    refused: Refused, lm: LanguageModel, store: Store, gemma: Path, tmp_path: Path
) -> None:
    plus, minus = folders(lm, store, tmp_path)
    assert why_full(plus) is None
    for change, why in ((True, f"{minus}, a dora adapter,"), ("olora", f"{minus}, with init_lora_weights='olora'")):
        settings = json.loads((minus / CONFIG).read_text())
        key = "use_dora" if change is True else "init_lora_weights"
        (minus / CONFIG).write_text(json.dumps(settings | {key: change}))
        said = refused(str(tmp_path / "out"), "--to", "peft", "--plus", str(plus), "--minus", str(minus))
        assert f"dW of {why}" in said
    said = refused(str(tmp_path / "out"), "--to", "mlx", "--plus", str(gemma), "--minus", str(plus))
    assert f"dW of {gemma}, a whole model, has full rank, and a mlx-lm LoRA holds thin factors" in said


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--to", "peft", "--family", "lorra"), "unknown adapter family 'lorra'; "),
        (("--to", "merged", "--plus", "nowhere", "--minus", "nowhere"), "nowhere has no adapter_config.json and no"),
        (("--to", "control-vector", "--activation", "pca", "--blocks", "0"), "1 to the last one, counted from 0, and"),
        (("--to", "merged", "--family", "lora", "--coeff", "nan"), "--coeff nan; expected a finite number"),
        (("--to", "merged", "--family", "lora", "--seed", "-1"), "--seed -1; expected a number from 0 on"),
        (("--to", "merged", "--family", "lora", "--questions", "0"), "--questions 0; expected a number from 1 on"),
    ],
)
@pytest.mark.usefixtures("unread")
def test_what_was_asked_for_is_looked_at_first(
    refused: Refused, tmp_path: Path, args: tuple[str, ...], message: str
) -> None:
    assert message in refused(str(tmp_path / "out.gguf"), *args)


# The model's config


@pytest.mark.usefixtures("unread")
def test_an_architecture_that_llama_cpp_s_order_is_not_known_of_is_refused_by_its_config(
    refused: Refused, gemma: Path, tmp_path: Path
) -> None:
    said = refused(str(tmp_path / "out.gguf"), "--to", "gguf", "--family", "lora", "--model", str(gemma))
    assert f"ws: {gemma} is a gemma3_text; the orders of llama.cpp's matrices are known here for llama, " in said
    pca = ("--to", "control-vector", "--activation", "pca", "--blocks", "3", "6")
    said = refused(str(tmp_path / "out.gguf"), *pca, "--model", str(gemma))
    assert "adds vectors behind the blocks 1 to 5, counted from 0, and none behind block 6" in said


@pytest.fixture
def hub(gemma: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with served(Hub(), tmp_path / "cache", monkeypatch) as hub:
        hub.push({path.name: path.read_bytes() for path in gemma.iterdir()})
        yield hub


@pytest.mark.usefixtures("unread")
def test_the_weights_of_a_repository_are_not_fetched_for_nothing(hub: Hub, refused: Refused, tmp_path: Path) -> None:
    said = refused(str(tmp_path / "out.gguf"), "--to", "gguf", "--family", "lora", "--model", "some/model")
    assert "ws: some/model is a gemma3_text" in said
    assert not [asked for asked in hub.asked if "safetensors" in asked]
    # With a format that has a place for it, they are.
    chosen_model("some/model", Store(tmp_path / "store"))
    assert [asked for asked in hub.asked if "safetensors" in asked]


def test_a_model_of_the_table_is_asked_for_its_config_alone(
    refused: Refused, gemma: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[set[str]] = []

    def pinned_files(repo: str, revision: str, pins: dict[str, str]) -> Path:
        fetched.append(set(pins))
        return gemma

    monkeypatch.setattr(early.downloads, "pinned_files", pinned_files)
    said = refused(str(tmp_path / "out.gguf"), "--to", "gguf", "--family", "lora", "--model", "gemma-3-1b-it")
    assert "ws: gemma-3-1b-it is a gemma3_text" in said
    assert fetched == [{"config.json"}]


def test_a_config_of_several_parts_tells_too_little(gemma: Path) -> None:
    said = json.loads((gemma / "config.json").read_text())
    with pytest.raises(ModelError, match="mine is a gemma3_text"):
        check_config(gemma, LORA, gguf_lora, of="mine")
    (gemma / "config.json").write_text(json.dumps(said | {"model_type": "gemma3", "text_config": {}}))
    check_config(gemma, LORA, gguf_lora, of="mine")


# The model in memory


def test_what_shows_in_memory_alone_is_refused_before_a_training(
    refused: Refused, store: Store, tmp_path: Path
) -> None:
    pca = ("--to", "control-vector", "--activation", "pca", "--blocks", "6", "--model", ON.weights.name)
    assert "the blocks 1 to 5, counted from 0, and none behind block 6" in refused(
        str(tmp_path / "out.gguf"), *pca, store=store
    )


def test_the_file_of_another_model_is_refused_by_what_it_says(lm: LanguageModel, tmp_path: Path) -> None:
    llama, file = llama_file("Llama", tmp_path)
    check_file(file, llama, gguf_lora)
    with pytest.raises(MismatchError, match=r"Llama.gguf is of 'llama', tiny-random-qwen3 is a qwen3; give a file of"):
        check_file(file, lm, gguf_lora)
    qwen, other = llama_file("Qwen3", tmp_path)
    check_file(other, qwen, gguf_lora)
    with pytest.raises(MismatchError, match=r"Qwen3.gguf has \d+ tokens, tiny-random-qwen3 has \d+; give a file of"):
        check_file(other, lm, gguf_lora)
