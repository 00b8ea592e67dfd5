"""The arms by name, each at a footing, which decides the coefficient that it is judged at.

"one" is coefficient 1 for all arms; "iso-kl" is the coefficient at which each is equally far from the base model;
"best" is the one that an activation direction chose on validation rows. A system prompt has a single strength, so
it is the same arm at every footing.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Literal

import numpy as np

from ws.contest.arm import Arm, Dose, Side
from ws.contest.choosing import By, best_activation, best_blocks, best_method, best_prompt
from ws.contest.contest import RANKED, Contest
from ws.contest.vectors import METHODS
from ws.errors import DataError, UnknownNameError
from ws.steering.interventions import Intervention, SystemPrompt
from ws.steering.iso_kl import kl_quantile, read_divergence, read_iso_kl
from ws.store import Store

Footing = Literal["one", "iso-kl", "best"]
Control = Literal["random", "same_sign"]

BEST_PROMPT, BEST_ACTIVATION = "best-prompt", "best-activation"


def arm_at(
    store: Store,
    contest: Contest,
    seeds: tuple[int, ...],
    name: str,
    footing: Footing = "one",
    *,
    control: Control | None = None,
    trained: str | None = None,
    side: Side = 1,
    by: By = "dilemmas",
) -> Arm:
    """A family's dW, a system prompt or an activation direction, with the coefficient that each seed applies.

    name: a family of RANKED, a prompt of `ws.behaviors.prompts`, a method of METHODS, "best-prompt" or
    "best-activation", which were chosen on validation rows. control: "random" (dW's or the direction's length, any
    direction) or "same_sign" (two plus adapters, for a family). trained: the behavior that dW was trained on, if it is
    not the contest's. side: -1 turns the arm round. by: the rows on which settings are chosen.
    Raises: UnknownNameError for a name, or a control that it does not have; DataError for another behavior of what is
        not trained on it.
    """
    if trained == contest.subject.behavior_name:
        trained = None
    if trained is not None and (name not in RANKED or control):
        what = f"a {control} control of {name}" if control else name
        raise DataError(
            f"{what} was asked for as trained on {trained}; only dW of {', '.join(RANKED)} is, so leave it out"
        )
    return _arm(store, contest, seeds, name, footing, control, trained, side, by)


@lru_cache(maxsize=256)
def _arm(
    store: Store,
    contest: Contest,
    seeds: tuple[int, ...],
    name: str,
    footing: Footing,
    control: Control | None,
    trained: str | None,
    side: Side,
    by: By,
) -> Arm:
    of = _chosen(store, contest, name, by, seed=seeds[0])
    made = [_intervention(store, contest, seeds, of, seed, control, trained, by) for seed in seeds]
    if footing == "iso-kl":
        store.needs(*(contest.iso_kl(one) for one in made if not isinstance(one, SystemPrompt)))
    coeffs = [side * _coefficient(store, contest, seeds, of, one, footing, by) for one in made]
    doses = tuple(map(Dose, seeds, made, coeffs))
    return Arm(name, doses, side, ranked=control is None and trained is None and side > 0)


def _chosen(store: Store, contest: Contest, name: str, by: By, *, seed: int) -> str:
    """The prompt or method that a name stands for; "best" ones are chosen with the first seed, for all seeds."""
    if name == BEST_PROMPT:
        return best_prompt(store, contest, seed=seed, by=by).choice
    return best_method(store, contest, seed=seed, by=by) if name == BEST_ACTIVATION else name


def _intervention(
    store: Store,
    contest: Contest,
    seeds: tuple[int, ...],
    name: str,
    seed: int,
    control: Control | None,
    trained: str | None,
    by: By,
) -> Intervention:
    match "family" if name in RANKED else "method" if name in METHODS else "prompt", control:
        case "family", None:
            return contest.weights(name, seed=seed, trained=trained)
        case "family", "random":
            return contest.random_weights(name, seed=seed)
        case "family", "same_sign":
            return contest.same_sign_weights(name, seed=seed, other=seeds[(seeds.index(seed) + 1) % len(seeds)])
        case "method", None | "random":
            blocks = best_blocks(store, contest, name, seed=seeds[0], by=by)
            return contest.activations(name, blocks=blocks, seed=seed, random=control is not None)
        case "prompt", None:
            return contest.prompt(name)
        case kind, _:
            known = {"family": ["random", "same_sign"], "method": ["random"]}.get(kind, ["none"])
            raise UnknownNameError(f"control of {name}", control, known)


def _coefficient(
    store: Store, contest: Contest, seeds: tuple[int, ...], name: str, made: Intervention, footing: Footing, by: By
) -> float:
    if footing == "one" or isinstance(made, SystemPrompt):
        return 1.0
    if footing == "iso-kl":
        return read_iso_kl(store, contest.iso_kl(made)).coeff
    return best_activation(store, contest, name, seed=seeds[0], by=by).coeff


def strength(store: Store, contest: Contest, arm: Arm) -> str:
    """An arm's mean coefficient and its KL from the base model there, in nats, as text."""
    coeffs = [dose.coeff for dose in arm.doses]
    return f"{arm.name} x{np.mean(coeffs):.3g} at KL {np.mean(_kls(store, contest, arm)):.2f}"


@lru_cache(maxsize=256)
def _kls(store: Store, contest: Contest, arm: Arm) -> tuple[float, ...]:
    """The KL of each seed's arm from the base model, in nats."""
    return tuple(_kl(store, contest, dose.intervention, dose.coeff) for dose in arm.doses)


def _kl(store: Store, contest: Contest, made: Intervention, coeff: float) -> float:
    if isinstance(made, SystemPrompt):
        return kl_quantile(read_divergence(store, contest.divergence(made)))
    calibration = read_iso_kl(store, contest.iso_kl(made))
    known = dict(calibration.curve) | {calibration.coeff: calibration.kl}
    if (kl := known.get(coeff)) is not None:
        return kl
    return kl_quantile(read_divergence(store, replace(contest.divergence(made), coeffs=(coeff,))))
