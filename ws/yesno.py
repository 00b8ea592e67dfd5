"""Yes against No: the log-ratio of the two answers at the last real token of a prompt."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from ws.errors import ChatError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class AnswerTokens:
    """Vocabulary ids of every one-token spelling of yes and of no."""

    yes: tuple[int, ...]
    no: tuple[int, ...]


def answer_tokens(tokenizer: "PreTrainedTokenizerBase") -> AnswerTokens:
    """Ids of all tokens that read "yes" or "no" once spaces and case are dropped.

    Raises: ChatError if the vocabulary has no such token for one of the two.
    """
    special = set(tokenizer.all_special_ids)
    ids = [i for i in range(len(tokenizer)) if i not in special]
    spelled = [text.strip().lower() for text in tokenizer.batch_decode([[i] for i in ids])]
    yes, no = (tuple(i for i, text in zip(ids, spelled, strict=True) if text == word) for word in ("yes", "no"))
    if not yes or not no:
        missing = "yes" if not yes else "no"
        raise ChatError(
            f"no single token of {tokenizer.name_or_path!r} reads {missing!r} in any spelling; "
            "Yes/No scoring needs both: use another tokenizer"
        )
    return AnswerTokens(yes, no)


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
    """Yes and no summed over their spellings, from a log-softmax in fp32 whatever the dtype of the logits."""
    log_p = logits.float().log_softmax(dim=-1)
    yes, no = (torch.tensor(ids, device=logits.device) for ids in (answers.yes, answers.no))
    return Scores(log_p[:, yes].logsumexp(dim=-1), log_p[:, no].logsumexp(dim=-1))
