"""Before something is trained for a conversation: what it costs, and whether that is wanted."""

from ws.errors import DataError
from ws.remote import spelled
from ws.store import Store
from ws.talk.conversation import Setting
from ws.talk.cost import cost, missing, needed
from ws.talk.screen import Screen


def check_wanted(setting: Setting, store: Store, screen: Screen, *, build: bool) -> None:
    """Asks the user if a steering has to be made first; `build` says whether that may be asked at all.

    Raises: DataError that says what to run, if it is not wanted or nobody can be asked.
    """
    absent = missing(needed(setting.chosen.intervention(setting.subject)), store)
    if not absent:
        return
    what = f"{setting.chosen.name} ({setting.chosen.made_of(setting.subject)}) is not in the store"
    price = cost(absent, store)
    if not (build and screen.agreed(f"{what}. It takes {price}. Make it now?")):
        raise DataError(f"{what}. It takes {price}; {advice(setting, store)}")


def advice(setting: Setting, store: Store) -> str:
    """What to run, so that a steering is in the store."""
    subject, chosen = setting.subject, setting.chosen
    if chosen.family is None:
        return "to make it, name it in a terminal, without --no-build"
    options = {"behavior": subject.behavior_name, "device": subject.device}
    if (place := spelled(store)) is not None:
        options["store"] = place
    said = "".join(f", {name}={value!r}" for name, value in options.items())
    call = f"ws.load({subject.model!r}{said}).train({chosen.family!r}, seed={chosen.training})"
    return f'to make it, run python -c "import ws; {call}"'
