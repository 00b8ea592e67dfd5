"""Greedy answers: the likeliest token after each prompt, again and again, until the model ends its turn."""

from collections.abc import Sequence

import torch

from ws.chat import end_of_turn
from ws.models import LanguageModel


def greedy_answers(lm: LanguageModel, prompts: Sequence[Sequence[int]], *, new_tokens: int) -> list[list[int]]:
    """The greedy continuation of each prompt, up to and including the end of turn; in the order given.

    All prompts run as one batch, of the model as it is now: steered where the caller steers it.
    """
    stop, width = end_of_turn(lm.tokenizer), max(map(len, prompts))
    ids = torch.full((len(prompts), width), stop)
    attention = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        attention[row, width - len(prompt) :] = 1
    # What a model's own generation config says of sampling and repetition is none of a greedy answer.
    output = lm.model.generate(
        input_ids=ids.to(lm.device),
        attention_mask=attention.to(lm.device),
        do_sample=False,
        temperature=None,
        top_p=None,
        top_k=None,
        repetition_penalty=1.0,
        max_new_tokens=new_tokens,
        pad_token_id=stop,
        eos_token_id=stop,
    )
    return [_ended(tokens, stop) for tokens in output[:, width:].tolist()]


def _ended(tokens: list[int], stop: int) -> list[int]:
    return tokens[: tokens.index(stop) + 1] if stop in tokens else tokens
