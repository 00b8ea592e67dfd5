"""GGUF files, llama.cpp's quantised models, as plain model folders in float32."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ws import gguf_tokenizer
from ws.errors import ModelFileError
from ws.progress import say, without_bars

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


def convert(gguf: Path, out: Path) -> None:
    """Write the weights of a quantised file, in float32, and its tokenizer as a plain model folder.

    Raises: ModelFileError if the file says something that would be read otherwise than it is meant.
    """
    say(f"converting {gguf.name} to safetensors, about 20 s on two idle cores")
    # The bar of the conversion is drawn on stderr whatever transformers is told.
    with _named(gguf), without_bars(), contextlib.redirect_stderr(io.StringIO()):
        tokenizer = gguf_tokenizer.read(gguf, metadata(gguf))
        _save_model(gguf, out)
        tokenizer.save_pretrained(out)
        check_saved(tokenizer, out)


def metadata(gguf: Path) -> dict[str, object]:
    """What the file says besides its tensors; of lists of words only the vocabulary, of the others their length."""
    from transformers.integrations.gguf import read_gguf_metadata

    said, _ = read_gguf_metadata(str(gguf), ("tokenizer.ggml.tokens",))
    return said


@contextlib.contextmanager
def _named(gguf: Path) -> Iterator[None]:
    """Errors about a file begin with its name."""
    try:
        yield
    except ModelFileError as error:
        raise ModelFileError(f"{gguf.name}: {error}") from error


def _save_model(gguf: Path, out: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    _forget_quantisation(model)
    model.save_pretrained(out)


def _forget_quantisation(model: "PreTrainedModel") -> None:
    """transformers refuses to save a model read from GGUF, though its tensors are plain float32 by then."""
    vars(model.config).pop("quantization_config", None)
    model.hf_quantizer = None


def check_saved(tokenizer: "PreTrainedTokenizerFast", folder: Path) -> None:
    """Raises: ModelFileError if the folder's tokenizer is not this one when it is loaded.

    For some architectures transformers builds a tokenizer of its own and ignores what the folder says.
    """
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if loaded.backend_tokenizer.to_str() != tokenizer.backend_tokenizer.to_str():
        raise ModelFileError(
            f"transformers makes another tokenizer, {type(loaded).__name__}, of what this file says; "
            + gguf_tokenizer.ORIGINAL_REMEDY
        )
