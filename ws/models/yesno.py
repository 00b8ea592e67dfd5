"""Yes against No, or A against B: the log-ratio of the two answers at the last real token of a prompt."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from ws.errors import ChatError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Answers:
    """The two answers that are compared, the one that counts as positive first."""

    kind: str
    reads: tuple[str, str]
    """The text of an answer token once the characters of `around` (None: spaces) are stripped, for each answer."""
    around: str | None
    any_case: bool
    names: tuple[str, str]
    """What people call them."""
    ask: str
    """The words that ask for one of them."""

    def read(self, text: str) -> str:
        """A token's text in the form that `reads` is compared with."""
        bare = text.strip(self.around)
        return bare.lower() if self.any_case else bare


YES_NO = Answers("yes-no", ("yes", "no"), None, True, ("Yes", "No"), "Answer Yes or No.")
# Case counts here: a lower-case "a" is mostly a word.
A_B = Answers("a-b", ("A", "B"), " ()", False, ("(A)", "(B)"), "Answer (A) or (B).")
ANSWERS = {answers.kind: answers for answers in (YES_NO, A_B)}


@dataclass(frozen=True)
class AnswerTokens:
    """Vocabulary ids of every one-token spelling of yes and of no (or of A and of B)."""

    yes: tuple[int, ...]
    no: tuple[int, ...]


def answer_tokens(tokenizer: "PreTrainedTokenizerBase", answers: Answers = YES_NO) -> AnswerTokens:
    """Ids of all tokens that spell one of the answers; by default "yes" or "no", whatever their spaces and case.

    Raises: ChatError if the vocabulary has no such token for one of the two.
    """
    special = set(tokenizer.all_special_ids)
    ids = [i for i in range(len(tokenizer)) if i not in special]
    spelled = [answers.read(text) for text in tokenizer.batch_decode([[i] for i in ids])]
    found = tuple(tuple(i for i, text in zip(ids, spelled, strict=True) if text == word) for word in answers.reads)
    if not all(found):
        missing = answers.reads[1 if found[0] else 0]
        raise ChatError(
            f"no single token of {tokenizer.name_or_path!r} reads {missing!r} in any spelling; "
            f"{' or '.join(answers.names)} scoring needs both: use another tokenizer"
        )
    return AnswerTokens(*found)


def answer_start(tokenizer: "PreTrainedTokenizerBase", prefill: str, answers: Answers) -> str:
    """How an answer begins, up to the token that tells the two answers apart.

    Yes and No follow `prefill`. For "(A)" and "(B)" the bracket belongs to the start, unless the tokenizer has "(A" as
    one token: such a model has hardly seen a bracket and then a letter as separate tokens.
    Raises: ChatError if the tokenizer writes both answers with the same tokens.
    """
    if answers.kind == YES_NO.kind:
        return prefill
    before = prefill.removesuffix("(")
    gap = " " if before and not before[-1].isspace() else ""
    spelled = [tokenizer.encode(f"{before}{gap}{name}", add_special_tokens=False) for name in answers.names]
    shared = next((place for place, (a, b) in enumerate(zip(*spelled, strict=False)) if a != b), None)
    if shared is None:
        raise ChatError(f"{tokenizer.name_or_path!r} writes (A) and (B) with the same tokens: use another tokenizer")
    return tokenizer.decode(spelled[0][:shared], clean_up_tokenization_spaces=False)


@dataclass(frozen=True)
class Scores:
    """Log-probabilities, in nats, of answering yes and of answering no."""

    log_yes: Float[Tensor, " prompts"]
    log_no: Float[Tensor, " prompts"]

    @property
    def log_ratio(self) -> Float[Tensor, " prompts"]:
        """log P(yes) - log P(no), in nats."""
        return self.log_yes - self.log_no

    @property
    def pmass(self) -> Float[Tensor, " prompts"]:
        """P(yes) + P(no): how much of the model's next token is an answer at all."""
        return self.log_yes.exp() + self.log_no.exp()


def scores(logits: Float[Tensor, "prompts vocab"], answers: AnswerTokens) -> Scores:
    """Log-probability of yes and of no, each summed over its spellings; in fp32 whatever the dtype of the logits."""
    log_p = logits.float().log_softmax(dim=-1)
    yes, no = (torch.tensor(ids, device=logits.device) for ids in (answers.yes, answers.no))
    return Scores(log_p[:, yes].logsumexp(dim=-1), log_p[:, no].logsumexp(dim=-1))
