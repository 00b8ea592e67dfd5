"""A conversation from its first line to its last."""

from ws.contest.own_steering import check_words
from ws.errors import WsError
from ws.store import Store
from ws.talk.commands import Left, Talk, obeyed
from ws.talk.conversation import Conversation, Setting
from ws.talk.making import check_wanted
from ws.talk.screen import Screen


def talk(setting: Setting, store: Store, screen: Screen, *, build: bool) -> None:
    """Talks until the user leaves.

    Raises: WsError for what cannot steer here; without a terminal for every mistake.
    """
    check_wanted(setting, store, screen, build=build)
    conversation = Conversation.of(setting, store)
    screen.note(f"{conversation.lm.name}: {setting.describe()}; /help lists what can be changed")
    talking = Talk(conversation, screen, build)
    for line in screen.lines():
        try:
            heard(talking, line)
        except Left:
            return
        except WsError as error:
            if not screen.forgiving:
                raise
            screen.note(str(error))


def heard(talking: Talk, line: str) -> None:
    """Does what one line says: a command, or a message to answer."""
    if not line.strip():
        return
    check_words({"the line": line})
    if line.startswith("/") and not line.startswith("//"):
        if said := obeyed(talking, line):
            talking.screen.note(said)
    else:
        message = line.removeprefix("/")
        talking.answered(lambda shows: talking.conversation.ask(message, shows))
