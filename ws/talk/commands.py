"""What can be said to the conversation itself: lines that begin with a slash."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ws.behaviors.own import chosen_behavior
from ws.errors import CommandError, DataError, UnknownNameError
from ws.talk.conversation import Conversation, Setting, Shows, Side
from ws.talk.making import check_wanted
from ws.talk.screen import Screen
from ws.talk.signals import Stopped, stopping
from ws.talk.transcript import save


class Left(Exception):
    """The user has left."""


@dataclass(frozen=True)
class Talk:
    """A conversation on a screen."""

    conversation: Conversation
    screen: Screen
    build: bool
    """Whether what steers may be made, if the user agrees."""

    def change(self, setting: Setting) -> str:
        """Go on with another setting; what it is now, in words. Raises: WsError, and nothing has changed then."""
        conversation = self.conversation
        before = conversation.setting
        if (setting.subject, setting.chosen) != (before.subject, before.chosen):
            check_wanted(setting, conversation.store, self.screen, build=self.build)
        conversation.change(setting)
        return setting.describe()

    @property
    def setting(self) -> Setting:
        """How things are set now."""
        return self.conversation.setting

    def answered(self, asks: Callable[[Shows], None]) -> None:
        """Shows what a way to ask answers, unless it is broken off; and what had no place any more."""
        conversation = self.conversation
        unread = conversation.unread
        try:
            with stopping() as check, self.screen.answers(conversation.setting.headings) as show:

                def shows(side: Side, text: str) -> None:
                    check()
                    show(side, text)

                asks(shows)
        except Stopped:
            self.screen.note("broken off: this message and its answers are forgotten")
        if conversation.unread > unread:
            self.screen.note(f"the first {conversation.unread} messages had no place any more, and were not read")


Runs = Callable[[Talk, str], str]
"""Does what a command says with its argument; returns what to answer."""


@dataclass(frozen=True)
class Command:
    """One command."""

    takes: str
    """Its argument in words; empty if it takes none."""
    does: str
    run: Runs


def obeyed(talk: Talk, line: str) -> str:
    """What a command answers.

    Raises: UnknownNameError for no command; CommandError for an argument too many or too few; WsError for one that
        cannot be; Left where that was said.
    """
    name, _, rest = line.partition(" ")
    if name not in COMMANDS:
        raise UnknownNameError("command", name, COMMANDS, others="a message that begins with a slash begins with two")
    command, argument = COMMANDS[name], rest.strip()
    if bool(argument) != bool(command.takes):
        expected = f"{name} {command.takes}".strip()
        raise CommandError(f"{line.strip()}; expected {expected}: {command.does}")
    return command.run(talk, argument)


def _coeff(talk: Talk, text: str) -> str:
    return talk.change(replace(talk.setting, coeff=_number(text, "/coeff 2")))


def _family(talk: Talk, name: str) -> str:
    return talk.change(replace(talk.setting, chosen=talk.setting.chosen.of_family(name)))


def _behavior(talk: Talk, text: str) -> str:
    setting = talk.setting
    if not setting.chosen.is_trained:
        raise DataError(f"{setting.heading} is of no behavior; name a family first, such as /family delora")
    name = chosen_behavior(text, talk.conversation.store).name
    return talk.change(replace(setting, subject=replace(setting.subject, behavior_name=name)))


def _training(talk: Talk, text: str) -> str:
    seed = _whole(text, "/training 1")
    return talk.change(replace(talk.setting, chosen=replace(talk.setting.chosen, training=seed)))


def _temperature(talk: Talk, text: str) -> str:
    temperature = _number(text, "/temperature 0.8")
    return talk.change(replace(talk.setting, choosing=replace(talk.setting.choosing, temperature=temperature)))


def _seed(talk: Talk, text: str) -> str:
    said = talk.change(replace(talk.setting, choosing=replace(talk.setting.choosing, seed=_whole(text, "/seed 1"))))
    return f"{said}; the seed counts from /temperature 0.8 on" if talk.setting.choosing.is_greedy else said


def _again(talk: Talk, _: str) -> str:
    talk.answered(talk.conversation.again)
    return ""


def _reset(talk: Talk, _: str) -> str:
    talk.conversation.forget()
    return "both have forgotten what was said"


def _save(talk: Talk, text: str) -> str:
    conversation, place = talk.conversation, Path(text)
    save(place, conversation.lm, conversation.said)
    return f"saved in {place}"


def _help(talk: Talk, _: str) -> str:
    listed = [(f"{name} {command.takes}".strip(), command.does) for name, command in COMMANDS.items()]
    width = max(len(words) for words, _ in listed)
    lines = [f"{words:{width}}  {does}" for words, does in listed]
    return "\n".join([*lines, f"Now: {talk.setting.describe()}"])


def _quit(talk: Talk, _: str) -> str:
    raise Left


COMMANDS: Mapping[str, Command] = {
    "/coeff": Command("NUMBER", "steer by this much from now on; 0 is the model as it is", _coeff),
    "/family": Command("NAME", "steer with dW of this family: lora, delora, oft, ...", _family),
    "/behavior": Command("NAME", "steer towards this behavior: honesty, sycophancy, or a file", _behavior),
    "/training": Command("SEED", "steer with what another training has made", _training),
    "/temperature": Command("NUMBER", "draw answers at this temperature; 0: the likeliest token", _temperature),
    "/seed": Command("NUMBER", "draw with these random numbers", _seed),
    "/again": Command("", "answer the last message again, as things are set now", _again),
    "/reset": Command("", "forget what was said", _reset),
    "/save": Command("FILE", "write the conversation to a new .json, .md or .txt file", _save),
    "/help": Command("", "this list", _help),
    "/quit": Command("", "leave, as Ctrl-D does; Ctrl-C breaks an answer off", _quit),
}
"""Every command, in the order of the help."""


def _number(text: str, example: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise DataError(f"{text!r} is no number; expected one, as in {example}") from None


def _whole(text: str, example: str) -> int:
    if not text.isdecimal():
        raise DataError(f"{text!r} is no whole number from 0 on; expected one, as in {example}")
    return int(text)
