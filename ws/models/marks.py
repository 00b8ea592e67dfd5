"""How models spell where a thought begins and where it ends.

Source: the chat templates that Qwen, DeepSeek, Mistral, ByteDance, Cohere, the Swiss AI initiative, Google and OpenAI
publish with their models.
"""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Marks(NamedTuple):
    """The text before a thought and the text behind it."""

    opening: str
    closing: str


MARKS = (
    Marks("<think>", "</think>"),
    Marks("[THINK]", "[/THINK]"),
    Marks("<seed:think>", "</seed:think>"),
    Marks("<|START_THINKING|>", "<|END_THINKING|>"),
    Marks("<|inner_prefix|>", "<|inner_suffix|>"),
    Marks("<thinking>", "</thinking>"),
    Marks("<thought>", "</thought>"),
)

CHANNELS = ("<|channel|>analysis", "<|channel>thought")
"""Openings of thoughts whose closing mark also ends other things."""


def left_open(text: str) -> Marks | None:
    """The marks of a thought that begins in a text and does not end there; None if no thought is left open."""
    return next((marks for marks in MARKS if text.rfind(marks.opening) > text.rfind(marks.closing)), None)


def holds_thought(text: str) -> bool:
    """Whether a thought begins or ends anywhere in a text."""
    return any(mark in text for marks in (*MARKS, CHANNELS) for mark in marks)


def marks_of(tokenizer: "PreTrainedTokenizerBase") -> Marks | None:
    """The pair of marks that are single tokens of this tokenizer; None for a model that does not think."""
    known = tokenizer.get_vocab()
    return next((marks for marks in MARKS if set(marks) <= known.keys()), None)
