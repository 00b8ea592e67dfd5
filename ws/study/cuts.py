"""The vocabulary of cuts: what a claim, a figure or a notebook calls a part of dW, and the intervention that it means.

A cut is asked for by a name of `ws.lenses.names.LENSES` ("whole" is dW itself), a lens, `Along` some directions, a
native `Part` of a family, or a function that makes a lens for each seed, which is how controls are drawn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ws.adapters import FAMILIES
from ws.lenses.activations import ActivationCut, steered_basis
from ws.lenses.base import Lens, NormMatched, Then
from ws.lenses.cuts import WRITES, Cut, LensCut, PartCut, SharedCut
from ws.lenses.names import named
from ws.lenses.parts import applies
from ws.lenses.shared import RandomBasis
from ws.study.subject import Subject
from ws.training.direction import Direction


@dataclass(frozen=True)
class Along:
    """The residual writes along k directions of each layer, or all other writes.

    of: where the directions come from: "activation" are those in which steering moves what a block writes, "weight"
    those that the writes themselves use most, "shared" those that the dW of all families share.
    """

    k: int | None = None
    """None is as many as the journal's main result has, or what the model's scale has in its place."""
    keep: bool = True
    matched: bool = False
    """Whether the writes are scaled to the norm of all of them."""
    of: Literal["activation", "weight", "shared", "random"] = "activation"

    def applies(self, family: str) -> str | None:
        """Why it has no meaning for a family: every dW writes the residual stream."""
        return None


@dataclass(frozen=True)
class Part:
    """One native part of a family's dW, or all others."""

    name: str
    keep: bool = True

    def applies(self, family: str) -> str | None:
        """Why it has no meaning for a family, or None if it has one."""
        return applies(self.name, family)


Named = str | Lens | Along | Part
"""A cut that is the same for every seed."""
Asked = Named | Callable[[int], Lens]


def why_not(family: str, *cuts: Named) -> str | None:
    """The first reason why one of the cuts has no meaning for a family, None if there is none.

    Raises: UnknownNameError for a name that is no lens.
    """
    found = (named(cut) if isinstance(cut, str) else cut for cut in cuts)
    return next(filter(None, (cut.applies(family) for cut in found)), None)


def cut_of(subject: Subject, family: str, asked: Asked, *, seed: int) -> Cut:
    """A cut of a family's dW of one seed. Raises: UnknownNameError for a name that is no lens."""
    return cut_of_direction(subject, subject.direction(family, seed=seed), asked, seed=seed)


def cut_of_direction(subject: Subject, direction: Direction, asked: Asked, *, seed: int) -> Cut:
    """The cut of any direction; `seed` draws what is random and names the families' dW that share directions."""
    match asked:
        case Along():
            return _along(subject, direction, asked, seed)
        case Part():
            return PartCut(direction, asked.name, asked.keep)
        case str():
            return LensCut(direction, named(asked))
        case Lens():
            return LensCut(direction, asked)
    return LensCut(direction, asked(seed))


def _along(subject: Subject, direction: Direction, asked: Along, seed: int) -> Cut:
    k = asked.k or subject.scale.k
    match asked.of:
        case "activation":
            basis = steered_basis(direction, subject.fit_prompts)
            return ActivationCut(direction, basis, k, keep=asked.keep, matched=asked.matched)
        case "weight":
            return SharedCut(direction, (direction,), k, asked.keep, asked.matched)
        case "shared":
            everyone = tuple(subject.direction(name, seed=seed) for name in FAMILIES)
            return SharedCut(direction, everyone, k, asked.keep, asked.matched)
    lens = RandomBasis(k, seed, asked.keep)
    return LensCut(direction, Then(WRITES, NormMatched(lens) if asked.matched else lens))
