"""A conversation as a file: JSON with all that its answers depend on, or text as it was read."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ws.errors import DataError
from ws.models.language import LanguageModel
from ws.talk.conversation import Exchange

KINDS = (".json", ".md", ".txt")


def save(place: Path, lm: LanguageModel, said: Iterable[Exchange]) -> None:
    """Writes a conversation to a new file.

    Raises: DataError for a file that is there already or is of another kind, and for a conversation without a message.
    """
    listed, place = list(said), place.expanduser()
    if place.suffix not in KINDS:
        raise DataError(f"{place} ends in {place.suffix or 'no suffix'}; expected one of {', '.join(KINDS)}")
    if not listed:
        raise DataError("nothing was said yet; ask something, then save it")
    text = as_json(lm, listed) if place.suffix == ".json" else as_text(lm, listed)
    try:
        with place.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise DataError(f"{place} is there already; name a new file") from None
    except OSError as error:
        raise DataError(f"{place} cannot be written: {error.strerror}; name another file") from error


def as_json(lm: LanguageModel, said: Iterable[Exchange]) -> str:
    """The model, and of each message the answers and the setting that they were given with."""
    exchanges = [
        {
            "user": one.user,
            "unsteered": one.unsteered,
            "steered": one.steered,
            "steering": _given(asdict(one.setting.chosen)),
            "behavior": one.setting.subject.behavior_name if one.setting.chosen.is_trained else None,
            "coeff": one.setting.coeff,
            "choosing": asdict(one.setting.choosing),
            "new_tokens": one.setting.new_tokens,
        }
        for one in said
    ]
    return json.dumps({"model": lm.name, "exchanges": exchanges}, indent=1, ensure_ascii=False) + "\n"


def as_text(lm: LanguageModel, said: Iterable[Exchange]) -> str:
    """For people, as Markdown."""
    parts = [f"# {lm.name}"]
    for one in said:
        parts += [f"**{one.user}**", f"*unsteered*: {one.unsteered}"]
        parts += [f"*{one.setting.describe()}*: {one.steered}"]
    return "\n\n".join(parts) + "\n"


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, paths as texts."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in options.items()
        if value not in (None, ())
    }
