"""What `ws eval` steers by: dW of a family or of two folders, a system prompt, an activation direction, or nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ws.behaviors.words import half_character
from ws.contest.contest import Contest
from ws.contest.vectors import vectors_by
from ws.delta.folders.bases import say_other_base
from ws.errors import DataError
from ws.models.table import known_model
from ws.steering.interventions import Activations, Intervention, Nothing, SystemPrompt, Weights, folder_weights
from ws.steering.iso_kl import BUDGET_NATS, read_iso_kl
from ws.store import Store
from ws.study.subject import Subject

STEERED, PROMPTED = (-1.0, 0.0, 1.0), (0.0, 1.0)
"""Default coefficients: of steering that has a strength and an opposite, and of a system prompt, which has neither."""


@dataclass(frozen=True)
class Steering:
    """What is scored: an intervention for each seed, its coefficients, and how to name it."""

    interventions: Mapping[int, Intervention]
    coeffs: tuple[float, ...]
    name: str
    units: Mapping[int, float] = field(default_factory=dict)
    """What a coefficient of 1 is for a seed, where it is not 1."""


def chosen_steering(
    subject: Subject,
    *,
    family: str | None = None,
    plus: Path | None = None,
    minus: Path | None = None,
    system: str | None = None,
    activation: str | None = None,
    blocks: tuple[int, ...] = (),
    coeffs: tuple[float, ...] = (),
    seeds: int | None = None,
) -> Steering:
    """The steering that is asked for by a family, a pair of folders, a system prompt or an activation direction.

    The unchanged model if none is given.
    Raises: DataError for two of these at once, one folder only, seeds for steering that has none, or an activation
        direction without blocks; UnknownNameError for an unknown method.
    """
    given = {"--family": family, "--plus": plus, "--system": system, "--activation": activation}
    _check_choice([name for name, it in given.items() if it is not None], pair=(plus, minus), seeds=seeds)
    check_blocks(activation, blocks)
    check_words({"--system": system})
    if family is not None:
        number = seeds or known_model(subject.model).few_seeds
        trained = {seed: Weights(subject.direction(family, seed=seed)) for seed in range(number)}
        return Steering(trained, coeffs or STEERED, f"dW of {family}, {subject.behavior_name}")
    if activation is not None:
        added = Activations(vectors_by(subject, activation, seed=0), blocks)
        return Steering({0: added}, coeffs or STEERED, f"{added.describe()}, {subject.behavior_name}")
    if plus is not None and minus is not None:
        one: Intervention = folder_weights(plus, minus)
        # Said here too, as rows that are in the store are read without a look at the folders.
        for folder in (plus, minus):
            say_other_base(folder, subject.on.weights)
        usual: tuple[float, ...] = STEERED
    else:
        one = Nothing() if system is None else SystemPrompt(system)
        usual = (0.0,) if system is None else PROMPTED
    return Steering({0: one}, coeffs or usual, one.describe())


def at_equal_kl(steering: Steering, subject: Subject, store: Store) -> Steering:
    """The same in units in which each seed is, at coefficient 1, as far from the base model as any other.

    Raises: DataError for what has no strength, such as a system prompt.
    """
    contest, made = Contest(subject), steering.interventions
    units = {seed: read_iso_kl(store, contest.iso_kl(one)).coeff for seed, one in made.items()}
    said = ", ".join(f"{unit:.3g}" for unit in units.values())
    return replace(steering, units=units, name=f"{steering.name}, in units of {said} (KL {BUDGET_NATS:g})")


def _check_choice(given: list[str], *, pair: tuple[Path | None, Path | None], seeds: int | None) -> None:
    if (pair[0] is None) != (pair[1] is None):
        raise DataError(alone(*pair))
    if len(given) > 1:
        raise DataError(f"{' and '.join(given)} are different interventions; give one, and run the other beside it")
    if seeds is not None and seeds < 1:
        raise DataError(f"{seeds} seeds; expected 1 or more")
    if seeds not in (None, 1) and given != ["--family"]:
        raise DataError(
            f"{seeds} seeds of {' '.join(given) or 'the base model'}, which comes out the same under each; "
            "leave --seeds out, or give --family, whose pairs, start values and order a seed varies"
        )


def alone(plus: Path | None, minus: Path | None) -> str:
    """What to say of one folder of two."""
    given, lacks = (f"--plus {plus}", "--minus") if plus is not None else (f"--minus {minus}", "--plus")
    return f"dW needs both adapters, and {given} is one; give {lacks} FOLDER too"


def check_blocks(activation: str | None, blocks: tuple[int, ...]) -> None:
    """Raises: DataError for an activation direction without blocks to add it in, or blocks without a direction."""
    if (activation is None) != (not blocks):
        raise DataError(
            f"--activation {activation} in the blocks {blocks}; give both: a way to find a direction, and the blocks "
            "whose output it is added to, counted from 0, such as --activation pca --blocks 14"
        )


def check_seeded(activation: str | None, seeds: Mapping[str, int]) -> None:
    """Raises: DataError for a seed of a direction that no random numbers go into."""
    for name, seed in seeds.items():
        if seed and activation not in (None, "persona-vector"):
            raise DataError(f"{name} {seed} of --activation {activation}, which comes out the same under each; drop it")


def check_words(words: Mapping[str, str | None]) -> None:
    """Raises: DataError for half a character, which a terminal can hand over."""
    for name, text in words.items():
        if text and (half := half_character(text)):
            raise DataError(f"{name} holds {half}, which is no character; give text in UTF-8")
