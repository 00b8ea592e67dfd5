"""A behavior of one's own: what names it, and where it is kept.

Its contents are its identity: the same texts in another file, under another path or in the other format are the same
behavior, with the same artifacts and verdicts, and one changed word makes another. Layout inside a store:

    behaviors/NAME@DIGEST/behavior.json     its texts, in the layout of a file
    behaviors/NAME@DIGEST/searched/         what `ws search --behavior` chose for it, a file for each model
    behaviors/NAME@DIGEST/snapshots/        its recorded verdicts by the claims of this project, a folder for each model
    behaviors/NAME@DIGEST/repositories/     those by other tests, each folder of them apart
"""

import hashlib
import json
import os
import re
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from ws.behaviors.base import Behavior
from ws.behaviors.brought import OwnBehavior
from ws.behaviors.entries import Entry
from ws.behaviors.layout import behavior_of, contents, read_behavior
from ws.behaviors.table import BEHAVIORS, OWN_BEHAVIORS, Kept
from ws.errors import DataError, UnknownNameError
from ws.store import Store

FOLDER = "behaviors"
"""The folder of a store with the behaviors that it was told of."""

GROUP = "weight_steering.behaviors"
"""The entry points by which an installed package offers behaviors: each is a dict in the layout of a file."""

FORMS = "or give a file (NAME.toml or NAME.json), or a name that an installed package offers"
"""How a behavior that is none of ours is named."""

_NAME = re.compile(r"[a-z-]+@[0-9a-f]{8}")


def chosen_behavior(text: str, store: Store) -> Behavior:
    """The behavior that a command line names; one of one's own is from then on known by its name.

    Raises: UnknownNameError for what names no behavior; DataError for a file that breaks the layout.
    """
    return BEHAVIORS[text] if text in BEHAVIORS else own_behavior(text, store).behavior


def own_behavior(text: str, store: Store) -> Kept:
    """The behavior of one's own that a command line names, and where it is kept.

    Raises: UnknownNameError for what names none; DataError for one of ours, and for a file that breaks the layout.
    """
    if text in BEHAVIORS:
        raise DataError(
            f"{text} is a behavior of ours, which claims name where they are about it; leave it out, {FORMS}"
        )
    with store.usable():
        own = _own(text, store)
    OWN_BEHAVIORS[own.behavior.name] = own
    return own


def _own(text: str, store: Store) -> Kept:
    home = store.root / FOLDER / text
    if _NAME.fullmatch(text) and (home / "behavior.json").is_file():
        return _as_named(text, home)
    offered = _offered()
    if text in offered:
        return _kept(_of_entry_point(offered[text]), store, typed=text)
    if text.endswith((".toml", ".json")) or any(mark in text for mark in ("/", os.sep, "~")) or os.path.exists(text):
        path = Path(os.path.expanduser(text)).absolute()
        return _kept(read_behavior(path), store, typed=str(path))
    raise UnknownNameError("behavior", text, [*BEHAVIORS, *offered, *_seen(store)], others=FORMS)


def _as_named(name: str, home: Path) -> Kept:
    """The behavior that a store knows by a name; its copy must be unchanged."""
    found = _named(read_behavior(home / "behavior.json"))
    if found.name != name:
        raise DataError(f"{home / 'behavior.json'} is no longer {name} but {found.name}; name the file it came from")
    return Kept(found, home, typed=name)


def _offered() -> dict[str, metadata.EntryPoint]:
    return {point.name: point for point in metadata.entry_points(group=GROUP)}


def _of_entry_point(point: metadata.EntryPoint) -> OwnBehavior:
    """The behavior that a package offers; runs the package's own code, which is installed here."""
    where = f"{point.value} (behavior {point.name!r} of an installed package)"
    try:
        found = point.load()
    except (ImportError, AttributeError) as error:
        raise DataError(f"{where}: cannot be loaded ({error}); expected a dict; mend the package") from error
    return behavior_of(Entry(where, found))


def _seen(store: Store) -> list[str]:
    """The names of the behaviors that this store has been told of."""
    return sorted(path.parent.name for path in (store.root / FOLDER).glob("*@*/behavior.json"))


def _kept(behavior: OwnBehavior, store: Store, *, typed: str) -> Kept:
    """The behavior under its name, with a copy of its texts in the store."""
    named = _named(behavior)
    home = store.root / FOLDER / named.name
    file, text = home / "behavior.json", json.dumps(contents(named), indent=1, ensure_ascii=False) + "\n"
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        home.mkdir(parents=True, exist_ok=True)
        # Several workers may be told of it at once, and nobody may read half of it.
        scratch = home / f"behavior.json.{os.getpid()}"
        scratch.write_text(text, encoding="utf-8")
        os.replace(scratch, file)
    return Kept(named, home, typed)


def _named(behavior: OwnBehavior) -> OwnBehavior:
    """The behavior with a hash of its contents in its name."""
    said = contents(behavior)
    digest = hashlib.sha256(json.dumps(said).encode()).hexdigest()[:8]
    return replace(behavior, name=f"{said['name']}@{digest}")
