"""The tokenizer inside a GGUF file: how text becomes the words that byte-level merges start from.

A file holds all of the vocabulary and the merges, but of the splitting before them only a name, `tokenizer.ggml.pre`.
transformers knows some of the names, splits like GPT-2 for the others, and never sets the two flags `composed` and
`whole_words` that go with a name.

Source: the tokenizer.json of the models that the names stand for. The names are llama.cpp's, src/llama-vocab.cpp.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ws.errors import ModelFileError

if TYPE_CHECKING:
    from tokenizers.pre_tokenizers import PreTokenizer
    from transformers import PreTrainedTokenizerFast

ORIGINAL_REMEDY = "take the model's original folder, which has a config.json and a tokenizer.json, instead of this file"
RENAME_REMEDY = (
    "if you know which of these the model was trained with, write its name into a copy: "
    "gguf-new-metadata --pre-tokenizer NAME IN.gguf OUT.gguf"
)
CONTROL, USER_DEFINED = 3, 4
"""Types of tokens that are never taken apart, wherever they occur in a text."""

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_LETTERS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"

LLAMA3 = rf"{_CONTRACTIONS}|{_LETTERS}|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}"
QWEN2 = rf"{_CONTRACTIONS}|{_LETTERS}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}"
TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*"
    rf"|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"
)


@dataclass(frozen=True)
class Splitting:
    """How text is cut into the words that merges are applied to."""

    pattern: str = ""
    """A regular expression that matches one word; GPT-2's if empty."""
    single_digits: bool = False
    """Whether every digit is split off first, so that the pattern sees only what lies between digits."""
    composed: bool = False
    """Whether characters are composed first (Unicode's NFC), so that e and a combining accent become one."""
    whole_words: bool = False
    """Whether a word that is a token stays whole even if no merges lead to it (`ignore_merges`)."""

    def pre_tokenizer(self) -> "PreTokenizer":
        """The splitting alone, then the step from characters to bytes."""
        from tokenizers import Regex, pre_tokenizers

        words = [pre_tokenizers.Split(Regex(self.pattern), behavior="isolated")] if self.pattern else []
        steps = [
            *[pre_tokenizers.Digits(individual_digits=True)] * self.single_digits,
            *words,
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not words),
        ]
        return pre_tokenizers.Sequence(steps) if len(steps) > 1 else steps[0]

    def apply(self, tokenizer: "PreTrainedTokenizerFast") -> None:
        """Make a byte-level tokenizer cut text this way."""
        from tokenizers import normalizers

        backend = tokenizer.backend_tokenizer
        backend.normalizer = normalizers.NFC() if self.composed else None
        backend.pre_tokenizer = self.pre_tokenizer()
        backend.model.ignore_merges = self.whole_words


_GPT2 = Splitting()
_STARCODER = Splitting(single_digits=True)
_LLAMA3 = Splitting(LLAMA3, whole_words=True)

SPLITTINGS = {
    "gpt-2": _GPT2,
    "phi-2": _GPT2,
    "smollm": _STARCODER,
    "starcoder": _STARCODER,
    "refact": _STARCODER,
    "command-r": Splitting(single_digits=True, composed=True),
    "llama-bpe": _LLAMA3,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "qwen2": Splitting(QWEN2, composed=True),
    "tekken": Splitting(TEKKEN, whole_words=True),
}
"""By the name in `tokenizer.ggml.pre`. `default` and a missing name are left out: the file's writer did not know."""


def splitting(metadata: Mapping[str, object]) -> Splitting:
    """How the file's model splits text.

    Raises: ModelFileError if the vocabulary is not byte-level, or the file names no splitting known here.
    """
    kind, name = metadata.get("tokenizer.ggml.model"), metadata.get("tokenizer.ggml.pre")
    if kind != "gpt2":
        raise ModelFileError(
            f"its vocabulary is of type {kind!r} (tokenizer.ggml.model), expected 'gpt2', a byte-level one; "
            + ORIGINAL_REMEDY
        )
    if name not in SPLITTINGS:
        seen = "it does not say how it splits text" if name in (None, "default") else f"it splits text as {name!r} does"
        raise ModelFileError(
            f"{seen} (tokenizer.ggml.pre), expected one of {', '.join(sorted(SPLITTINGS))}; "
            f"{ORIGINAL_REMEDY}; {RENAME_REMEDY}"
        )
    return SPLITTINGS[str(name)]


def read(gguf: Path, metadata: Mapping[str, object]) -> "PreTrainedTokenizerFast":
    """The file's tokenizer.

    Raises: ModelFileError if the file does not say how text is split, or a control token is taken apart.
    """
    from transformers import PreTrainedTokenizerFast

    chosen = splitting(metadata)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(gguf.parent, gguf_file=gguf.name)
    chosen.apply(tokenizer)
    check_whole(tokenizer, metadata)
    return tokenizer


def check_whole(tokenizer: "PreTrainedTokenizerFast", metadata: Mapping[str, object]) -> None:
    """Raises: ModelFileError if a token that the file keeps whole is not the one token its text becomes."""
    tokens, types = metadata["tokenizer.ggml.tokens"], metadata.get("tokenizer.ggml.token_type", ())
    kept = [i for i, kind in enumerate(types) if kind in (CONTROL, USER_DEFINED)]
    broken = [tokens[i] for i in kept if tokenizer.encode(tokens[i], add_special_tokens=False) != [i]]
    if broken:
        raise ModelFileError(
            f"the tokens {broken[:5]} are control tokens of the file, but transformers takes them apart when it reads "
            f"text; {ORIGINAL_REMEDY}"
        )
