"""The model's own forward pass, whatever lies inside: no packing, no padding, no part of the model run by itself.

It is right for every causal model that takes token ids and gives logits, and `ws.engine.selfcheck` compares everything
else with it. Only prompts of equal length run together, so that no mask is needed. With `together=False` each prompt
runs by itself, and for every token of a continuation the whole text is read anew, without any cache.
"""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ws.engine.blocks import Output, stream, watched, with_stream
from ws.engine.generating import Processor, generated
from ws.engine.packing import BUDGET
from ws.engine.passes import Batch, Begun, Logits, Spans, check_prompts, until
from ws.errors import MismatchError
from ws.models.language import LanguageModel

PROBE = (1, 2, 3, 4, 5)
"""Tokens that every vocabulary has, for a look at what a model's logits are made of."""
APART = 0.05
"""How far log-probabilities may be apart, in nats: 16-bit models round by as much."""


@dataclass(frozen=True, eq=False)
class PlainBatch(Batch):
    """Prompts that are read anew each time, from the first block on."""

    texts: tuple[tuple[int, ...], ...]
    start: int
    together: bool = True

    @property
    def nodes(self) -> int:
        return sum(map(len, self.texts))

    @property
    def prompts(self) -> int:
        return len(self.texts)

    def ends(self, lm: LanguageModel) -> Iterator[tuple[Int[Tensor, " some"], Float[Tensor, "some vocab"]]]:
        for places in groups(self.texts, range(self.prompts), together=self.together):
            with torch.no_grad():
                logits = own_logits(lm, [self.texts[place] for place in places], keep=1)[:, 0]
            yield torch.tensor(places), logits

    def read(self, lm: LanguageModel, spans: Spans) -> Iterator[tuple[int, Logits]]:
        for place, span in enumerate(spans):
            with torch.no_grad():
                logits = self.predicted(lm, [place], [span])
            yield place, lambda logits=logits: logits

    def states(self, lm: LanguageModel, spans: Spans) -> Iterator[tuple[int, Float[Tensor, "depth token d_model"]]]:
        for place, (text, span) in enumerate(zip(self.texts, spans, strict=True)):
            with torch.no_grad(), watched(lm, start=self.start) as seen:
                own_logits(lm, [text], keep=1)
            if {state.shape for state in seen} != {(1, len(text), lm.d_model)}:
                raise MismatchError(
                    f"a prompt of {len(text)} tokens leaves states of {sorted({tuple(state.shape) for state in seen})} "
                    f"in {lm.name}, expected {(1, len(text), lm.d_model)}; score this model without its states"
                )
            yield place, torch.stack([state[0, span] for state in seen])

    def predicted(self, lm: LanguageModel, places: Sequence[int], spans: Spans) -> Float[Tensor, "token vocab"]:
        return torch.cat(
            [self._spanned(lm, self.texts[place], span) for place, span in zip(places, spans, strict=True)]
        )

    def _spanned(self, lm: LanguageModel, text: Sequence[int], span: slice) -> Float[Tensor, "token vocab"]:
        first, stop, _ = span.indices(len(text))
        return own_logits(lm, [text], keep=len(text) - first)[0, : max(0, stop - first)]


def own_logits(lm: LanguageModel, texts: Sequence[Sequence[int]], *, keep: int) -> Float[Tensor, "batch keep vocab"]:
    """The model's own logits at the last `keep` tokens of texts of equal length."""
    takes = _takes(type(lm.model))
    how = {"use_cache": False, "logits_to_keep": keep}
    ids = torch.tensor([list(text) for text in texts], device=lm.device)
    logits = lm.model(input_ids=ids, **{name: value for name, value in how.items() if name in takes}).logits
    # A model without `logits_to_keep` gives the logits of all tokens.
    return logits[:, logits.shape[1] - keep :]


def own_readout(lm: LanguageModel, states: Float[Tensor, "prompts d_model"]) -> Float[Tensor, "prompts vocab"]:
    """The model's own logits if these states, one token each, were what its last block leaves.

    Raises: MismatchError for a model whose logits are made of more than that, such as of what earlier blocks leave.
    """
    _check_read_alone(lm)
    return _read_alone(lm, states)


@lru_cache(maxsize=2)
def _check_read_alone(lm: LanguageModel) -> None:
    """Raises: MismatchError unless what the last block leaves gives the model's own logits."""
    left: list[Output] = []
    handle = lm.layers[-1].register_forward_hook(lambda module, inputs, output: left.append(output))
    try:
        with torch.no_grad():
            logits = own_logits(lm, [PROBE], keep=1)[:, 0]
    finally:
        handle.remove()
    with torch.no_grad():
        read = _read_alone(lm, stream(left[-1])[:, -1])
    apart = (read.float().log_softmax(-1) - logits.float().log_softmax(-1)).abs().max().item()
    if not apart <= APART:
        raise MismatchError(
            f"read from what the last block of {lm.name} leaves, the log-probabilities are off by {apart:.2g} nats; "
            f"expected at most {APART}, rounding: its logits are made of more, such as of what earlier blocks leave, "
            "so they cannot be read layer by layer; score the model without readouts"
        )


def _read_alone(lm: LanguageModel, states: Float[Tensor, "prompts d_model"]) -> Float[Tensor, "prompts vocab"]:

    def leaving(_: nn.Module, inputs: tuple[Tensor, ...], output: Output) -> Output:
        return with_stream(output, states[:, None])

    handle = lm.layers[-1].register_forward_hook(leaving)
    try:
        return own_logits(lm, [[0]] * len(states), keep=1)[:, 0]
    finally:
        handle.remove()


@dataclass(frozen=True, eq=False)
class PlainBegun(Begun):
    """Prompts that are read once more for each continuation."""

    lm: LanguageModel
    prompts: Sequence[Sequence[int]]
    together: bool = True

    def continued(
        self,
        batch: Sequence[int],
        *,
        ends: Sequence[int],
        new_tokens: int,
        do_sample: bool = False,
        processors: Sequence[Processor] = (),
    ) -> list[list[int]]:
        how = {"ends": ends, "new_tokens": new_tokens, "do_sample": do_sample, "processors": processors}
        said: dict[int, list[int]] = {}
        for places in groups(self.prompts, batch, together=self.together):
            texts = [self.prompts[place] for place in places]
            answers = said_together(self.lm, texts, **how) if self.together else [said_alone(self.lm, texts[0], **how)]
            said.update(zip(places, answers, strict=True))
        return [said[place] for place in batch]


def said_together(
    lm: LanguageModel, texts: Sequence[Sequence[int]], *, ends: Sequence[int], **how: object
) -> list[list[int]]:
    """What follows texts of one length, by transformers' `generate`, with whatever the model itself caches."""
    ids = torch.tensor([list(text) for text in texts], device=lm.device)
    output = generated(lm.model, ids, torch.ones_like(ids), ends=ends, **how)
    return [until(ends, tokens) for tokens in output[:, ids.shape[1] :].tolist()]


def said_alone(
    lm: LanguageModel,
    text: Sequence[int],
    *,
    ends: Sequence[int],
    new_tokens: int,
    do_sample: bool,
    processors: Sequence[Processor],
) -> list[int]:
    """What follows a text, by one whole forward pass a token."""
    said: list[int] = []
    while len(said) < new_tokens and not (said and said[-1] in ends):
        ids = torch.tensor([[*text, *said]], device=lm.device)
        with torch.no_grad():
            scores = own_logits(lm, ids.tolist(), keep=1)[:, 0].float()
        for processor in processors:
            scores = processor(ids, scores)
        drawn = torch.multinomial(scores.softmax(dim=-1), 1) if do_sample else scores.argmax(dim=-1)
        said.append(int(drawn))
    return said


def groups(texts: Sequence[Sequence[int]], places: Sequence[int], *, together: bool) -> list[list[int]]:
    """The places in groups of texts of equal length, shortest first; a group has at most BUDGET tokens or one text."""
    if not together:
        return [[place] for place in places]
    found: list[list[int]] = []
    for place in sorted(places, key=lambda place: len(texts[place])):
        length = len(texts[place])
        if not found or len(texts[found[-1][0]]) != length or (len(found[-1]) + 1) * length > BUDGET:
            found.append([])
        found[-1].append(place)
    return found


def plain_batch(prompts: tuple[tuple[int, ...], ...], *, start: int, together: bool) -> PlainBatch:
    """The prompts as they are. Raises: DataError if there is no prompt or one is empty."""
    check_prompts(prompts)
    return PlainBatch(prompts, start, together)


def plain_begun(lm: LanguageModel, prompts: Sequence[Sequence[int]], *, together: bool) -> PlainBegun:
    """The prompts as they are. Raises: DataError if there is no prompt or one is empty."""
    check_prompts(prompts)
    return PlainBegun(lm, prompts, together)


@cache
def _takes(model: type) -> frozenset[str]:
    """The arguments that a class of models takes by name; any other might vanish silently in its **kwargs."""
    return frozenset(inspect.signature(model.forward).parameters)
