"""The vocabulary of cuts: how a claim, a figure or a notebook names a part of dW, and the intervention that is meant.

A cut is named by a name of `ws.lenses.names.LENSES` ("whole" is dW itself), a lens, `Along` for cuts along directions,
`Part` for a part that belongs to one of the family's own parameters, or (for controls) a function from seed to lens.
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

    of: where the directions come from: "activation", along which steering changes the output of a block; "weight", the
    top directions of the writes themselves; "shared", those that the dW of all families share.
    """

    k: int | None = None
    """None means as many as in the journal's main result, or as many as the model's scale allows."""
    keep: bool = True
    matched: bool = False
    """Whether what is kept is scaled to the norm of all residual writes."""
    of: Literal["activation", "weight", "shared", "random"] = "activation"

    def applies(self, family: str) -> str | None:
        """None: it has a meaning for every family, since every dW writes the residual stream."""
        return None


@dataclass(frozen=True)
class Part:
    """The part of dW that belongs to one of a family's own parameters, or all other parts."""

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
    """The cut of any direction; `seed` is that of random values, and of the families' dW that share directions."""
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
