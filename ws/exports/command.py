"""An export, from a steering to a file that has been read back, compared, and put in its place."""

import textwrap
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version
from pathlib import Path

from ws.errors import DataError, MismatchError
from ws.exports import control_vector, gguf_lora, merged, mlx_lora, peft_lora, placing
from ws.exports.base import EXACT_NATS, Format, Limits, Trip, Written
from ws.exports.questions import Asked
from ws.exports.what import Exported, Source
from ws.store.progress import say

FORMATS: Mapping[str, Format] = {
    "peft": peft_lora,
    "merged": merged,
    "gguf": gguf_lora,
    "mlx": mlx_lora,
    "control-vector": control_vector,
}
"""Every format, by the name that `ws export dw --to` takes."""

WHOLE = (merged, control_vector)
"""Formats without thin factors."""


def check_asked(source: Source, form: Format, limits: Limits) -> None:
    """Raises: DataError for a steering or a limit that the format has no place for; before anything is trained."""
    if (form is control_vector) != (source.activation is not None):
        raise DataError(
            f"a {form.TITLE} holds {'an activation direction' if form is control_vector else 'dW'}, and "
            f"{'dW' if source.activation is None else 'an activation direction'} was named; "
            "--activation goes with --to control-vector, --family or --plus and --minus with the others"
        )
    if form in WHOLE and (limits.rank or limits.energy):
        raise DataError(f"--rank and --energy cut thin factors, of which {form.TITLE} have none; leave them out")
    if form is not merged and limits.dtype != "float32":
        raise DataError(f"--dtype {limits.dtype} is for --to merged; a {form.TITLE} is float32, which rounds nothing")


def check_place(place: Path, form: Format, *, force: bool) -> None:
    """Raises: DataError if an export cannot be put here; asked first, before anything is trained."""
    if form.HOLDS:
        placing.check_folder(place, holds=form.HOLDS, force=force)
    else:
        placing.check_file(place, kinds=form.KINDS, force=force)


def export(place: Path, what: Exported, form: Format, limits: Limits, asked: Asked) -> str:
    """Writes an export that `check_place` let pass, reads it back, and puts it in its place; what came of it, in words.

    Raises: DataError or ModelError for what the format cannot say; MismatchError if the other side reads something else
        than was written. Nothing is put in the place then.
    """
    with _in_place(place, form) as scratch:
        say(f"write {place}")
        written = form.write(scratch, what, limits)
        say(f"read it back with {form.READER}, and ask each model {len(asked.prompts)} questions")
        trip = travelled(scratch, what, form, written, asked)
        check_trip(trip, form)
        text = told(what, form, written, trip, share_off(scratch, what, form))
        if form.HOLDS:
            (scratch / placing.README).write_text(page(text, form.usage(place, what)), encoding="utf-8")
    return f"{place}\n{text}"


def travelled(place: Path, what: Exported, form: Format, written: Written, asked: Asked) -> Trip:
    """The questions under the model, under what was asked for and written, and under what the other side reads."""
    without = base = asked.log_ratios(what.lm)
    with what.ready.at(what.coeff):
        meant = ours = asked.log_ratios(what.lm)
    if written.meant is not None:
        with written.meant() as steered:
            meant = asked.log_ratios(steered)
    if written.without is not None:
        with written.without() as plain:
            without = asked.log_ratios(plain)
    with form.read_back(place, what) as other:
        return Trip(base, ours, meant, asked.log_ratios(other), without)


def check_trip(trip: Trip, form: Format) -> None:
    """Raises: MismatchError if the other side reads something else than was written."""
    if not trip.off <= EXACT_NATS:
        raise MismatchError(
            f"{form.READER} {version(form.READER)} reads something else than was written: a log-ratio is off by "
            f"{trip.off:.1e} nats, expected at most {EXACT_NATS:g}. Nothing was put in place; try the release of "
            f"{form.READER} that constraints.txt names"
        )


def share_off(place: Path, what: Exported, form: Format) -> float | None:
    """How far the update that is read is from all of dW, as a share of dW's norm; None if there is none of weights."""
    back = form.delta_of(place, what)
    if back is None:
        return None
    # A layer that dW leaves alone is in no file.
    meant = what.delta.select(lambda path: path in back.tensors)
    return (back - meant).norm / meant.norm


def told(what: Exported, form: Format, written: Written, trip: Trip, off: float | None) -> str:
    """What was exported and how much of it came back, for people."""
    rows = len(trip.base)
    lines = {
        "what": f"{form.TITLE} of {what.name}, for {what.lm.name}",
        "holds": written.holds,
        "read by": f"{form.READER} {version(form.READER)}",
        "dW": None if off is None else f"differs by {off:.1e} of its norm",
        "log-ratios": f"differ by {trip.off:.1e} nats at most from what was written, over {rows} held-out questions "
        f"that dW moves by {trip.moved:.3g} in the mean",
        "left out": None
        if written.meant is None
        else f"costs {trip.lost:.2g} nats at most; the effect is {trip.slope:.2f} of what it was (correlation "
        f"{trip.correlation:.3f})",
    }
    return "".join(labelled(label, said) for label, said in lines.items() if said is not None)


def labelled(label: str, said: str) -> str:
    """A line of a label and its text, in 80 columns."""
    first = f"  {label:12}"
    return textwrap.fill(said, 80, initial_indent=first, subsequent_indent=" " * 14, break_on_hyphens=False) + "\n"


def page(text: str, usage: str) -> str:
    """The README of a folder."""
    return f"{placing.HEADING}\n```\n{text}```\n\n```python\n{usage}\n```\n"


@contextmanager
def _in_place(place: Path, form: Format) -> Iterator[Path]:
    opened: AbstractContextManager[Path] = (
        placing.folder(place, holds=form.HOLDS) if form.HOLDS else placing.file(place, kinds=form.KINDS)
    )
    with opened as scratch:
        yield scratch
