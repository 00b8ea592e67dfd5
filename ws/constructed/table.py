"""The constructions by name, and the recipe of each for a model and a behavior.

All of them read the messages and the personas that adapters are trained on, and validation messages where they choose;
never a held-out one.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial

from ws.constructed.attention import AttendedContrasts, AttendedWrite, Kind
from ws.constructed.base import Construction, Contrast
from ws.constructed.function_vectors import FunctionVectors, HeadEffects
from ws.constructed.gate_kernel import GateKernel, MeanGates
from ws.constructed.inputs import MeanInputs
from ws.constructed.ov_write import OVWrite
from ws.constructed.persona import PersonaWrite
from ws.constructed.reft import RankOneReFT
from ws.constructed.write_not_read import WriteNotRead
from ws.contest.vectors import sides
from ws.errors import UnknownNameError
from ws.steering.states import Prompt
from ws.study.subject import Subject


def construction(subject: Subject, name: str) -> Construction:
    """The recipe of a construction. Raises: UnknownNameError for a name that does not exist."""
    if name not in CONSTRUCTIONS:
        raise UnknownNameError("construction", name, CONSTRUCTIONS)
    return CONSTRUCTIONS[name](subject)


@lru_cache(maxsize=4)
def contrast(subject: Subject) -> Contrast:
    """The mean inputs at the training messages under the training personas, and without a persona."""
    plus, minus = sides(subject)
    plain = tuple(dict.fromkeys(prompt._replace(system=None) for prompt in plus))
    return Contrast(*(MeanInputs(subject.on, prompts) for prompts in (plus, minus, plain)))


@lru_cache(maxsize=4)
def in_turns(subject: Subject) -> tuple[tuple[Prompt, ...], tuple[Prompt, ...]]:
    """Each training message under one pair of opposite personas, which take turns."""
    b = subject.behavior
    turns: dict[str, tuple[Prompt, Prompt]] = {}
    for plus, minus in zip(*sides(subject), strict=True):
        if plus.user not in turns and plus.system == b.positive[len(turns) % len(b.positive)]:
            turns[plus.user] = plus, minus
    return tuple(zip(*turns.values(), strict=True))  # type: ignore[return-value]  # pairs, turned into two sides


def _gate_kernel(subject: Subject) -> GateKernel:
    made = contrast(subject)
    return GateKernel(made, MeanGates(subject.on, made.plain.prompts))


def _attended(kind: Kind, subject: Subject) -> AttendedWrite:
    return AttendedWrite(contrast(subject), AttendedContrasts(subject.on, *in_turns(subject)), kind)


def _function_vectors(subject: Subject) -> FunctionVectors:
    made = contrast(subject)
    return FunctionVectors(made, HeadEffects(made, subject.answers(0, split="validation")))


CONSTRUCTIONS: Mapping[str, Callable[[Subject], Construction]] = {
    "persona-write": lambda subject: PersonaWrite(contrast(subject)),
    "write-not-read": lambda subject: WriteNotRead(contrast(subject)),
    "ov-write": lambda subject: OVWrite(contrast(subject)),
    "gate-kernel": _gate_kernel,
    "attention-min": partial(_attended, "min"),
    "attention-max": partial(_attended, "max"),
    "attention-difference": partial(_attended, "difference"),
    "function-vectors": _function_vectors,
    "reft-r1": lambda subject: RankOneReFT(contrast(subject)),
}
"""What makes the recipe behind each name."""
