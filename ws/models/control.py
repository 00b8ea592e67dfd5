"""Control tokens, which begin and end turns, told apart from words that merely spell them.

Source: transformers' `sanitize_control_tokens`, whose marks are used here on prompts and also on single texts.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ws.errors import ChatError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, eq=False)
class Control:
    """The control tokens of a chat: a tokenizer's special ones, and others that the chat template writes."""

    tokenizer: "PreTrainedTokenizerBase"
    ids: frozenset[int]
    spelled: re.Pattern[str]
    """Matches the text of any of them."""

    def marked(self, words: str) -> str:
        """The words, with every control token that they spell marked as ordinary text.

        Raises: ChatError if the words hold the marks themselves, which transformers would drop.
        """
        from transformers.utils.chat_template_utils import mark_control_tokens

        if not (found := self.spelled.findall(words)):
            return words
        marked = mark_control_tokens(words, self.spelled)
        if len(marked) != len(words) + 2 * len(found):
            raise ChatError(
                f"{words[:60]!r} spells the control token {found[0]!r} beside a character of a private plane that is "
                "lost in encoding it as text; remove one of the two"
            )
        return marked

    def encoded(self, text: str, *, words: str) -> list[int]:
        """Token ids of a text that holds `words`; what `marked` has marked in it is encoded as ordinary characters.

        Raises: ChatError if the tokenizer turns these characters into the control token all the same.
        """
        from transformers.utils.chat_template_utils import encode_marked_chat

        if not self.spelled.search(words):
            return self.tokenizer.encode(text, add_special_tokens=False)
        try:
            return encode_marked_chat(self.tokenizer, text)
        except ValueError as error:
            raise ChatError(
                f"{words[:60]!r} spells a control token that {self.tokenizer.name_or_path!r} cannot encode as text "
                f"({error}); reword it"
            ) from error

    def among(self, ids: list[int]) -> list[int]:
        """The control tokens among `ids`, in their order."""
        return [id for id in ids if id in self.ids]


@lru_cache(maxsize=16)
def control_of(tokenizer: "PreTrainedTokenizerBase", source: str) -> Control:
    """The control tokens of a tokenizer under a chat template."""
    # Some tokenizers, such as Gemma's, have tokens for runs of blanks; these are ordinary text.
    chosen = {
        id: token.content
        for id, token in tokenizer.added_tokens_decoder.items()
        if token.special or (token.content in source and not token.content.isspace())
    }
    longest_first = sorted(chosen.values(), key=len, reverse=True)
    spelled = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")
    # The token for unknown text is special, but begins no turn.
    return Control(tokenizer, frozenset(chosen) - {tokenizer.unk_token_id}, spelled)
