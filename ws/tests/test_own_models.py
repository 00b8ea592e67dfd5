"""A model of one's own is identified by its contents, whatever path or commit they were found under."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer

from ws.bench.survey.build import tiny_model
from ws.errors import ChatError, DownloadError, ModelError, UnknownNameError
from ws.models import own as own_models
from ws.models import table as models
from ws.models import tiny
from ws.models.language import load
from ws.models.own import chosen_model, named_model
from ws.models.table import MODELS, known_model
from ws.store import Store
from ws.study.subject import Subject
from ws.tests import gguf_writing
from ws.tests.hub_stand_in import Hub, served
from ws.tests.small import ON, shared_store
from ws.training.hyperparameters import search_path


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder: that of the tiny model."""
    return shared_store(tmp_path_factory).get(ON.weights)


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may change."""
    return shutil.copytree(original, tmp_path / "mine", ignore=shutil.ignore_patterns("manifest.json"))


@pytest.fixture
def store(tmp_path: Path, no_own_models: None) -> Store:
    """An empty store, in a process that was told of no model."""
    return Store(tmp_path / "store")


@pytest.fixture
def hub(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that has the folder's files as main of some/model, and a README."""
    with served(Hub(), tmp_path / "cache", monkeypatch) as hub:
        hub.push(files(folder) | {"README.md": b"words"})
        yield hub


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_folder_is_named_after_itself_and_its_contents(folder: Path, store: Store) -> None:
    model = chosen_model(str(folder), store)
    assert model.name == f"mine@{model.source.place}"
    assert known_model(model.name) is model
    assert (model.seeds, model.untrained, model.thinks) == (3, False, True)
    assert (model.typed, Subject(model.name).on.weights) == (str(folder), model.weights)
    assert search_path(model.name, "honesty") == model.home / "searched" / f"{model.name}-honesty.json"


def test_the_same_files_are_the_same_model_wherever_they_lie(folder: Path, store: Store) -> None:
    before = chosen_model(str(folder), store)
    moved = folder.rename(folder.with_name("renamed"))
    after = chosen_model(str(moved), store)
    assert (after.name, after.weights) == (before.name, before.weights)
    assert after.typed == str(moved)
    elsewhere = Store(store.root.with_name("other"))
    named_anew = chosen_model(str(moved), elsewhere)
    assert named_anew.name == f"renamed@{before.source.place}"
    assert elsewhere.key(named_anew.weights) == store.key(before.weights)


def test_one_changed_file_makes_another_model(folder: Path, store: Store) -> None:
    before = chosen_model(str(folder), store)
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text() + "\n")
    after = chosen_model(str(folder), store)
    assert after.name != before.name
    assert store.key(after.weights) != store.key(before.weights)


@pytest.mark.parametrize("name", ["README.md", "notes.py", "pytorch_model.bin", "adapter_config.json"])
def test_what_is_not_read_changes_nothing(folder: Path, store: Store, name: str) -> None:
    before = chosen_model(str(folder), store)
    (folder / name).write_text("{")
    assert chosen_model(str(folder), store) == before
    assert name not in {path.name for path in (before.home / "files").iterdir()}


def test_what_is_loaded_computes_as_the_folder_says(folder: Path, store: Store, original: Path) -> None:
    lm = load(chosen_model(str(folder), store).weights, store=store)
    ours, theirs = lm.model.state_dict(), load(ON.weights, store=Store(original.parents[1])).model.state_dict()
    assert all(ours[name].equal(theirs[name]) for name in theirs)
    assert lm.tokenizer.get_vocab() == AutoTokenizer.from_pretrained(original).get_vocab()


@pytest.mark.parametrize("architecture", ["bloom", "gemma2", "gpt_neo", "gpt_oss", "llama"])
def test_a_model_computes_as_it_does_with_the_attention_that_it_has(
    folder: Path, store: Store, architecture: str
) -> None:
    """Not all have torch's: it can neither cap scores, as Gemma 2 does, nor add sinks, as GPT-OSS does."""
    (folder / "model.safetensors").unlink()
    model = tiny_model(architecture)
    model.resize_token_embeddings(tiny.VOCAB_SIZE, mean_resizing=False)
    model.save_pretrained(folder)
    lm = load(chosen_model(str(folder), store).weights, store=store)
    tokens = torch.arange(9)[None]
    torch.testing.assert_close(lm.model(tokens).logits, model(tokens).logits)
    assert (lm.model.config._attn_implementation == "sdpa") is (architecture == "llama")


def test_an_adapter_beside_a_model_does_not_lead_to_another(folder: Path, store: Store) -> None:
    # transformers would load the model that this file names, and the adapter on it, in place of the folder's own.
    adapter = {"base_model_name_or_path": str(folder.parent / "elsewhere"), "peft_type": "LORA"}
    (folder / "adapter_config.json").write_text(json.dumps(adapter))
    assert load(chosen_model(str(folder), store).weights, store=store).n_layers == 6


def test_a_folder_that_changes_under_a_run_is_refused(folder: Path, store: Store) -> None:
    model = chosen_model(str(folder), store)
    (folder / "config.json").write_text("{}")
    with pytest.raises(DownloadError, match=r"mine/config.json changed while it was in use"):
        load(model.weights, store=store)


def test_a_folder_that_goes_under_a_run_is_named(folder: Path, store: Store) -> None:
    model = chosen_model(str(folder), store)
    shutil.rmtree(folder)
    with pytest.raises(DownloadError, match=rf"lacks \[.*{folder}/config.json.*name the model again"):
        load(model.weights, store=store)


def test_another_store_must_be_told_of_a_model(folder: Path, store: Store) -> None:
    model = chosen_model(str(folder), store)
    with pytest.raises(DownloadError, match=r"does not know where the files of model .* are; name the model again"):
        load(model.weights, store=Store(store.root.with_name("other")))


def test_a_model_is_known_to_its_store_by_name(folder: Path, store: Store) -> None:
    model = chosen_model(str(folder), store)
    models.OWN_MODELS.clear()
    assert chosen_model(model.name, store) == model
    with pytest.raises(UnknownNameError, match=rf"unknown model 'mine'; known: .*{model.name}"):
        named_model("mine", store)


def test_a_name_whose_files_changed_is_refused(folder: Path, store: Store) -> None:
    name = chosen_model(str(folder), store).name
    (folder / "generation_config.json").write_text("{}")
    with pytest.raises(ModelError, match=rf"{folder} is no longer {name} but mine@\w{{8}}: its files changed"):
        named_model(name, store)


def test_a_file_that_cannot_be_read_is_named(folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(own_models, "sha256_once", refuse)
    with pytest.raises(ModelError, match=rf"cannot read {folder}/\w+.\w+: Permission denied"):
        named_model(str(folder), store)


@pytest.mark.parametrize("text", ["some/model", "hf:some/model", "hf:some/model@main"])
def test_a_repository_is_its_files_too(hub: Hub, folder: Path, store: Store, text: str) -> None:
    model = chosen_model(text, store)
    assert model.name == f"model@{model.source.place}"
    assert model.typed == f"hf:some/model@{hub.branches['main']}"
    assert model.weights == chosen_model(str(folder), store).weights
    assert load(model.weights, store=store).model.config.model_type == "qwen3"


def test_a_folder_wins_over_a_repository_and_says_so(
    hub: Hub, folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(own_models, "say", said.append)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    here = shutil.copytree(folder, folder.parent / "some" / "model")
    monkeypatch.chdir(folder.parent)
    assert named_model("some/model", store).typed == str(here)
    assert said[0] == f"some/model is taken for the folder {here}; the repository of the hub would be hf:some/model"
    assert hub.asked == []


def test_a_repository_that_cannot_be_had_may_have_been_meant_as_a_folder(
    hub: Hub, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        DownloadError, match=rf"could not look up hf:my/folder@main: .*; no folder {tmp_path}/my/folder"
    ):
        named_model("my/folder", store)
    with pytest.raises(DownloadError, match=r"could not look up hf:my/folder@main: .*NAME$"):
        named_model("hf:my/folder", store)


def test_models_of_the_table_are_themselves_by_name_and_by_source(store: Store) -> None:
    for model in MODELS.values():
        assert named_model(model.name, store) is named_model(str(model.source), store) is model
    assert not store.root.exists()


def test_what_names_no_model_is_refused_with_the_forms(store: Store) -> None:
    forms = r"known: .*; or give a folder \(./NAME\), a file .* a repository of the"
    for text in ("gpt2", "", "hf:gpt2", "hf:../x/y", "hf:a/b@", "a/b/c", "hf:a/b@v 1", "hf:/etc/model"):
        with pytest.raises(UnknownNameError, match=forms):
            named_model(text, store)


def test_a_path_to_no_model_is_refused(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").touch()
    for text in ("./nothing", "/nothing/here", "~/no-such-model", "~nobody-here/x", "./notes.txt", "./gone.gguf"):
        with pytest.raises(ModelError, match=r"is no folder and no .gguf file; expected the folder of a model"):
            named_model(text, store)


def test_a_folder_of_the_hub_s_cache_is_called_by_its_repository(folder: Path, store: Store) -> None:
    snapshots = folder.parent / "models--some--Small-1B" / "snapshots"
    snapshots.mkdir(parents=True)
    cached = folder.rename(snapshots / ("0" * 40))
    assert named_model(str(cached), store).name.startswith("Small-1B@")


def test_a_name_is_safe_in_files_and_ids() -> None:
    for name in ("mit Leerzeichen", "été", "a/../b", "x" * 300, "..."):
        assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,39}", own_models._safe(name))


# A GGUF file


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    """A Llama with the tiny model's tokenizer in one file."""
    tokenizer = tiny.tiny_tokenizer(["a stone floats on water"])
    model = gguf_writing.random_model("Llama", len(tokenizer), tie_word_embeddings=True)
    return gguf_writing.write(tmp_path / "mine.q8.gguf", model, tokenizer)


def test_a_gguf_file_is_converted_once_whatever_it_is_called(gguf: Path, store: Store) -> None:
    model = chosen_model(str(gguf), store)
    assert (model.name, model.typed, model.thinks) == (f"mine.q8@{model.source.place}", str(gguf), True)
    assert load(model.weights, store=store).model.config.model_type == "llama"
    again = chosen_model(str(gguf.rename(gguf.with_name("other.gguf"))), store)
    assert (again.name, again.weights) == (model.name, model.weights)
    assert [built.recipe for built in store.built] == [model.weights]


def test_a_gguf_file_that_is_too_large_is_refused_before_it_is_converted(
    gguf: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ws.models.model_files.available_bytes", lambda: 1000)
    with pytest.raises(ModelError, match=r"weights of mine.q8@\w{8} take .* GB in float32"):
        chosen_model(str(gguf), store)
    assert store.built == []


# What is refused before anything is built


def test_a_model_without_a_chat_template_is_refused(folder: Path, store: Store) -> None:
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ChatError, match="no chat template"):
        chosen_model(str(folder), store)


def test_a_model_that_cannot_say_yes_is_refused(folder: Path, store: Store) -> None:
    text = (folder / "tokenizer.json").read_text()
    for word in ("Yes", "yes"):
        text = text.replace(f'"{word}"', f'"{word}s"').replace(f'"\\u0120{word}"', f'"\\u0120{word}s"')
        text = text.replace(f'"Ġ{word}"', f'"Ġ{word}s"')
    tokenizer = json.loads(text)
    tokenizer["model"]["merges"] = []
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ChatError, match=r"no single token of .* reads 'yes'"):
        chosen_model(str(folder), store)


def test_a_model_that_is_too_large_is_refused(folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ws.models.model_files.available_bytes", lambda: 1000)
    with pytest.raises(ModelError, match=r"weights of mine@\w{8} take 0.0 GB in float32"):
        chosen_model(str(folder), store)


def test_the_hub_s_weights_are_not_fetched_for_a_model_without_a_chat_template(hub: Hub, store: Store) -> None:
    hub.push({name: content for name, content in hub.commits[hub.branches["main"]].items() if "template" not in name})
    with pytest.raises(ChatError, match="no chat template"):
        chosen_model("some/model", store)
    assert not [path for path in hub.asked if path.endswith("safetensors")]


def test_a_model_without_its_head_is_refused(folder: Path, store: Store) -> None:
    config = AutoConfig.from_pretrained(folder)
    config.tie_word_embeddings = False
    AutoModel.from_config(config).save_pretrained(folder)
    with pytest.raises(ModelError, match=r"files of mine@\w{8} lack lm_head.weight, which Qwen3ForCausalLM computes"):
        chosen_model(str(folder), store)


def test_weights_of_other_shapes_than_the_config_says_are_refused(folder: Path, store: Store) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 1200}))
    with pytest.raises(ModelError, match=r"cannot load mine@\w{8} as a causal language model \(RuntimeError: "):
        chosen_model(str(folder), store)


@pytest.mark.parametrize(("token", "special"), [(" YES ", False), ("<|im_begin|>", True)])
def test_a_token_of_the_prompt_without_a_row_is_refused(folder: Path, store: Store, token: str, special: bool) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([token], special_tokens=special)
    tokenizer.chat_template = tokenizer.chat_template.replace("<|im_start|>", "<|im_begin|>")
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelError, match=rf"has 1,000 rows .* writes '.*{token.strip()}.*' as number 1,000; expected"):
        chosen_model(str(folder), store)


def test_a_token_without_a_row_that_no_prompt_has_is_no_matter(folder: Path, store: Store) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    tokenizer.save_pretrained(folder)
    assert chosen_model(str(folder), store).name.startswith("mine@")


def test_an_answer_behind_a_gap_in_the_numbers_of_tokens_is_refused(folder: Path, store: Store) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["ĠYes"] = 1050
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ChatError, match=r"has 1,000 tokens and numbers 'ĠYes', an answer, 1,050; expected"):
        chosen_model(str(folder), store)
