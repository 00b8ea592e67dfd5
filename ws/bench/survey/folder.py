"""A built model on the way that a model of one's own takes: saved in a folder, named, checked and loaded from there."""

from dataclasses import replace
from pathlib import Path

from ws.bench.survey.finding import Finding, told
from ws.errors import WsError
from ws.models.language import LanguageModel, load
from ws.models.own import chosen_model
from ws.store import Store
from ws.store.progress import without_bars


def saved(built: LanguageModel, folder: Path) -> Path:
    """The folder, with the model as safetensors, its tokenizer and its chat template."""
    with without_bars():
        built.model.save_pretrained(folder)
        built.tokenizer.save_pretrained(folder)
    return folder


def read(folder: Path, store: Store) -> LanguageModel:
    """The model that every command makes of this folder's name, called after the folder.

    Raises: as `chosen_model` and `load`, and whatever transformers raises.
    """
    known = chosen_model(str(folder), store)
    return replace(load(known.weights, store=store), name=folder.name)


def read_by_transformers(built: LanguageModel, folder: Path) -> LanguageModel:
    """The model that transformers reads from the folder if nothing but the number format is asked of it."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=built.dtype, local_files_only=True)
    return replace(built, model=model.eval().requires_grad_(False))


def unread(built: LanguageModel, folder: Path, error: Exception) -> Finding:
    """The finding for a folder that we did not read: transformers may be unable to read it as well."""
    note = told(error).replace(f"{folder.parent}/", "")
    if not isinstance(error, WsError):
        return Finding(built.name, "exception", note=note)
    try:
        read_by_transformers(built, folder)
    except Exception:
        return Finding(built.name, "not stored", note=note)
    return Finding(built.name, "refused", note=note)
