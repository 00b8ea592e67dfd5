"""A conversation with a model, held twice: with the model as it is, and with the model steered.

The user says the same to both, and each remembers its own answers. What steers, and how much of it, may change between
two messages; what was said stays.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ws.delta.folders.given import naming
from ws.engine.loading import loaded
from ws.engine.streaming import Choosing, streamed
from ws.errors import DataError
from ws.models.chat import turn_ends
from ws.models.language import LanguageModel
from ws.scoring.own_lengths import free_bytes, positions, prompt_bytes
from ws.steering.interventions import Intervention, Ready
from ws.store import Store
from ws.study.subject import Subject
from ws.talk.chosen import Chosen
from ws.talk.turns import Turn, conversation_ids

Side = Literal["unsteered", "steered"]
SIDES: tuple[Side, Side] = ("unsteered", "steered")
CUT = " [...]"
"""Is shown behind an answer that had no more room."""

Shows = Callable[[Side, str], None]
"""Is given what a side has said so far, each time that there is more."""


@dataclass(frozen=True)
class Setting:
    """Everything that decides the answers to a message besides the messages and answers before it."""

    subject: Subject
    chosen: Chosen
    coeff: float
    choosing: Choosing
    new_tokens: int

    @property
    def heading(self) -> str:
        """The head of the steered column."""
        return f"{self.chosen.name} at {self.coeff:+g}"

    @property
    def headings(self) -> Mapping[Side, str]:
        """The head of each column."""
        return {"unsteered": "unsteered", "steered": self.heading}

    def describe(self) -> str:
        """All of it in a line."""
        made_of = self.chosen.made_of(self.subject)
        return f"{self.heading}{f' ({made_of})' if made_of else ''}, {self.choosing.describe()}"


@dataclass(frozen=True)
class Exchange:
    """A message, both answers, and what they were given with."""

    user: str
    unsteered: str
    steered: str
    setting: Setting

    def turn(self, side: Side) -> Turn:
        """What one side remembers of it."""
        return Turn(self.user, self.unsteered if side == "unsteered" else self.steered)


@dataclass(eq=False)
class Conversation:
    """What was said, and the model that goes on with it."""

    lm: LanguageModel
    store: Store
    setting: Setting
    intervention: Intervention
    ready: Ready
    said: list[Exchange] = field(default_factory=list)
    """Since the last `forget`, also what is too long ago to be read."""
    unread: int = 0
    """How many of the first exchanges had no place in the last prompts."""

    @classmethod
    def of(cls, setting: Setting, store: Store) -> "Conversation":
        """A conversation about to begin; what steers is trained if need be."""
        intervention = setting.chosen.intervention(setting.subject)
        _check_coeff(intervention, setting.coeff)
        lm = loaded(setting.subject.on, store)
        return cls(lm, store, setting, intervention, _ready(setting, intervention, lm, store))

    def change(self, setting: Setting) -> None:
        """Go on with another setting; nothing changes if that is refused.

        Raises: WsError for what is not known, or does not fit the model or the coefficient.
        """
        intervention, ready = self.intervention, self.ready
        if (setting.subject, setting.chosen) != (self.setting.subject, self.setting.chosen):
            intervention = setting.chosen.intervention(setting.subject)
            _check_coeff(intervention, setting.coeff)
            ready = _ready(setting, intervention, self.lm, self.store)
        _check_coeff(intervention, setting.coeff)
        self.setting, self.intervention, self.ready = setting, intervention, ready

    def ask(self, user: str, shows: Shows) -> None:
        """Both answers to a message, remembered if neither is broken off.

        Raises: DataError for a message that is too long for the model; ChatError for one that it cannot be told.
        """
        self.said.append(self._exchange(self.said, user, shows))

    def again(self, shows: Shows) -> None:
        """Both answers to the last message as things are set now, remembered in place of the earlier ones.

        Raises: DataError if there is none.
        """
        if not self.said:
            raise DataError("no message to answer again; ask something first")
        *earlier, last = self.said
        self.said[-1] = self._exchange(earlier, last.user, shows)

    def forget(self) -> None:
        """Begin anew."""
        self.said.clear()
        self.unread = 0

    def _exchange(self, earlier: Sequence[Exchange], user: str, shows: Shows) -> Exchange:
        unread, prompts = self._that_fit(earlier, user)
        answers = {side: self._answer(prompts[side], side, shows) for side in SIDES}
        self.unread = unread
        return Exchange(user, answers["unsteered"], answers["steered"], self.setting)

    def _that_fit(self, earlier: Sequence[Exchange], user: str) -> tuple[int, dict[Side, list[int]]]:
        """How many exchanges must be left out, the same for both sides, and the prompts without these."""
        for first in range(len(earlier) + 1):
            prompts = {side: self._ids(earlier[first:], user, side) for side in SIDES}
            longest = max(map(len, prompts.values())) + self.setting.new_tokens
            if self._fits(longest):
                return first, prompts
        raise DataError(
            f"a message with room for its answer takes {longest:,} tokens, more than {self.lm.name} reads here; "
            "shorten it, or allow fewer tokens for answers"
        )

    def _fits(self, tokens: int) -> bool:
        most, free = positions(self.lm), free_bytes(self.lm)
        return (most is None or tokens <= most) and (free is None or prompt_bytes(self.lm, tokens) <= free)

    def _ids(self, earlier: Sequence[Exchange], user: str, side: Side) -> list[int]:
        system = self.intervention.system(self.setting.coeff) if side == "steered" else None
        return conversation_ids(self.lm.tokenizer, [one.turn(side) for one in earlier], user, system=system)

    def _answer(self, prompt: Sequence[int], side: Side, shows: Shows) -> str:
        coeff = self.setting.coeff if side == "steered" else 0.0

        def heard(ids: Sequence[int]) -> None:
            shows(side, self._text(ids, finished=False))

        with self.ready.at(coeff, tokens=len(prompt) + self.setting.new_tokens):
            ids = streamed(self.lm, prompt, heard, new_tokens=self.setting.new_tokens, choosing=self.setting.choosing)
        text = self._text(ids)
        shows(side, text if ids[-1] in turn_ends(self.lm) else f"{text}{CUT}")
        return text

    def _text(self, ids: Sequence[int], *, finished: bool = True) -> str:
        """What tokens say, without the end of the turn; while it goes on, also without half of a character."""
        ends = turn_ends(self.lm)
        text = self.lm.tokenizer.decode([token for token in ids if token not in ends], skip_special_tokens=True)
        return text if finished else text.rstrip("\ufffd")


def _ready(setting: Setting, intervention: Intervention, lm: LanguageModel, store: Store) -> Ready:
    chosen = setting.chosen
    with naming(chosen.plus, chosen.minus, chosen.adapter, lm=lambda: lm):
        return intervention.ready(lm, store)


def _check_coeff(intervention: Intervention, coeff: float) -> None:
    """Raises: DataError for a coefficient that has no meaning."""
    if not abs(coeff) < float("inf"):
        raise DataError(f"coefficient {coeff:g}; expected a finite number, such as 1, or 0 for the model as it is")
    intervention.check(coeff)
