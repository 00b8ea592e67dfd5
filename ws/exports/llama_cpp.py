"""llama.cpp itself, through two packages: `xllamacpp` has the library, `llama-cpp-py-sync` its declarations.

The declarations lay out structures in memory, so both must be of one release of llama.cpp; any other pair is refused.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ws.errors import DeviceError, ModelFileError

RELEASES = {"xllamacpp": "2026.10.11549", "llama-cpp-py-sync": "0.11548"}
"""Releases that belong together; the extra [llama] installs them."""

F32 = 0
"""ggml's number of float32."""

FLASH_OFF, FLASH_AUTO = 0, -1

Adding = AbstractContextManager[None]
"""Something is added to a model for as long as this lasts."""


@dataclass(frozen=True, eq=False)
class Native:
    """The library and the declarations of its functions."""

    ffi: Any
    lib: Any
    said: list[str] = field(default_factory=list)
    """Warnings and errors that the library has logged."""


def why_absent() -> str | None:
    """What keeps llama.cpp from being used here; None if nothing does."""
    for package, expected in RELEASES.items():
        try:
            found = version(package)
        except PackageNotFoundError:
            found = "none"
        if found != expected:
            return f"llama.cpp needs {package} {expected}, found {found}; pip install 'weight-steering-claims[llama]'"
    return None


@cache
def native() -> Native:
    """The library, loaded once. Raises: DeviceError if it is not installed."""
    if why := why_absent():
        raise DeviceError(why)
    import xllamacpp
    from llama_cpp_py_sync._cffi_bindings import ffi

    try:
        lib = ffi.dlopen(xllamacpp.xllamacpp.__file__)
    except OSError as failed:
        raise DeviceError(f"llama.cpp cannot be loaded ({failed}); reinstall xllamacpp") from failed
    made = Native(ffi, lib)

    def heard(level: int, text: Any, _: Any) -> None:
        if level >= lib.GGML_LOG_LEVEL_WARN:
            made.said.append(ffi.string(text).decode("utf-8", "replace").strip())

    _KEPT.append(ffi.callback("void(enum ggml_log_level, const char *, void *)", heard))
    lib.llama_log_set(_KEPT[-1], ffi.NULL)
    lib.llama_backend_init()
    return made


_KEPT: list[Any] = []
"""Functions that the library calls, which must live as long as it does."""


@dataclass(frozen=True, eq=False)
class LlamaCpp:
    """A model in llama.cpp."""

    native: Native
    model: Any
    context: Any
    longest: int
    """The most tokens that a prompt may have."""
    held: list[int] = field(default_factory=list)
    """The tokens in its cache."""

    @property
    def vocab_size(self) -> int:
        lib = self.native.lib
        return int(lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(self.model)))

    def ends(self, prompts: Iterable[Sequence[int]]) -> Iterator[Float[Tensor, " vocab"]]:
        """The logits after the last token of each prompt, with whatever is added to the model now."""
        for prompt in prompts:
            yield self.logits(prompt, last=1)[0]

    def logits(self, prompt: Sequence[int], *, last: int) -> Float[Tensor, "last vocab"]:
        """The logits after each of the last tokens of a prompt, with whatever is added to the model now.

        What it begins with as the prompt before it did is not read again.
        """
        ffi, lib = self.native.ffi, self.native.lib
        alike = takewhile(lambda both: both[0] == both[1], zip(self.held, prompt, strict=False))
        shared = min(sum(1 for _ in alike), len(prompt) - last)
        lib.llama_memory_seq_rm(lib.llama_get_memory(self.context), 0, shared, -1)
        rest = prompt[shared:]
        tokens = ffi.new("llama_token[]", list(rest))
        batch = lib.llama_batch_get_one(tokens, len(rest))
        asked = ffi.new("int8_t[]", [place >= len(rest) - last for place in range(len(rest))])
        batch.logits = asked
        if status := lib.llama_decode(self.context, batch):
            self._forget()
            raise ModelFileError(f"llama.cpp read no prompt of {len(prompt)} tokens (status {status}){self._why()}")
        self.held[:] = prompt
        rows = [lib.llama_get_logits_ith(self.context, place) for place in range(len(rest) - last, len(rest))]
        found = [torch.frombuffer(bytearray(ffi.buffer(row, 4 * self.vocab_size)), dtype=torch.float32) for row in rows]
        return torch.stack(found)

    def _forget(self) -> None:
        """Empty the cache, which belongs to the model with what was added to it."""
        self.native.lib.llama_memory_clear(self.native.lib.llama_get_memory(self.context), True)
        self.held.clear()

    @contextmanager
    def with_lora(self, file: Path, *, scale: float = 1.0) -> Iterator[None]:
        """A LoRA is added to the model inside.

        Raises: ModelFileError if llama.cpp refuses the file.
        """
        ffi, lib = self.native.ffi, self.native.lib
        adapter = lib.llama_adapter_lora_init(self.model, str(file).encode())
        if adapter == ffi.NULL:
            raise ModelFileError(f"llama.cpp refuses the adapter {file}{self._why()}")
        try:
            self._add([adapter], [scale])
            yield
        finally:
            self._add([], [])
            lib.llama_adapter_lora_free(adapter)

    def _add(self, adapters: list[Any], scales: list[float]) -> None:
        ffi, lib = self.native.ffi, self.native.lib
        self._forget()
        made = ffi.new("struct llama_adapter_lora *[]", adapters)
        if lib.llama_set_adapters_lora(self.context, made, len(adapters), ffi.new("float[]", scales)):
            raise ModelFileError(f"llama.cpp does not add the adapter{self._why()}")

    @contextmanager
    def with_vectors(self, steps: Float[Tensor, "block d_model"]) -> Iterator[None]:
        """A vector is added to what each block but the first leaves inside: `steps[0]` to block 1's output, and so on.

        Raises: ModelFileError if llama.cpp refuses them.
        """
        ffi, lib = self.native.ffi, self.native.lib
        self._forget()
        flat = steps.float().contiguous().flatten()
        data = ffi.from_buffer("float[]", flat.numpy())
        if lib.llama_set_adapter_cvec(self.context, data, len(flat), steps.shape[1], 1, len(steps)):
            raise ModelFileError(f"llama.cpp does not add the vectors{self._why()}")
        try:
            yield
        finally:
            self._forget()
            lib.llama_set_adapter_cvec(self.context, ffi.NULL, 0, steps.shape[1], 0, 0)

    def _why(self) -> str:
        return f": {'; '.join(self.native.said[-3:])}" if self.native.said else ""


@contextmanager
def opened(file: Path, *, longest: int, exactly: bool = False) -> Iterator[LlamaCpp]:
    """A model file in llama.cpp, on the CPU.

    exactly: keep the cache in float32 and leave flash attention out; by default llama.cpp is run as its users run it.
    Raises: DeviceError if llama.cpp is not installed; ModelFileError if it refuses the file.
    """
    made = native()
    ffi, lib = made.ffi, made.lib
    made.said.clear()
    with ExitStack() as closing:
        wanted = lib.llama_model_default_params()
        wanted.n_gpu_layers = 0
        model = lib.llama_model_load_from_file(str(file).encode(), wanted)
        if model == ffi.NULL:
            raise ModelFileError(f"llama.cpp cannot read {file}: {'; '.join(made.said[-3:]) or 'it does not say why'}")
        closing.callback(lib.llama_model_free, model)
        settings = lib.llama_context_default_params()
        settings.n_ctx = settings.n_batch = settings.n_ubatch = longest
        settings.n_threads = settings.n_threads_batch = torch.get_num_threads()
        if exactly:
            settings.type_k = settings.type_v = F32
            settings.flash_attn_type = FLASH_OFF
        context = lib.llama_init_from_model(model, settings)
        if context == ffi.NULL:
            raise ModelFileError(f"llama.cpp cannot run {file} on {longest} tokens: {'; '.join(made.said[-3:])}")
        closing.callback(lib.llama_free, context)
        yield LlamaCpp(made, model, context, longest)
