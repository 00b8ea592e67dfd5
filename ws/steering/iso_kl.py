"""Equal footing of steering methods: each at the coefficient that takes it equally far from the unchanged model.

A coefficient of 1 means something different in every method. What they share is a distance: KL(steered || base) of the
next token, in nats, at every token of the steered model's own greedy answers. The base model reads the same messages
and answers, but not the system prompt of an intervention that has one. `Divergence` measures the distance at given
coefficients; `IsoKL` finds the coefficient at which the 95th percentile over all tokens equals a budget.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from ws.engine.choice import prepared
from ws.engine.greedy import greedy_answers
from ws.engine.loading import loaded
from ws.engine.passes import Batch
from ws.errors import DataError, MismatchError
from ws.models.chat import prompt_ids
from ws.models.language import LanguageModel, Placed
from ws.steering.interventions import Intervention, Ready
from ws.store import Recipe, Store
from ws.store.progress import say, track

BUDGET_NATS = 0.5
TOLERANCE = 0.02
"""A KL within this part of the budget counts as equal to it."""

OCTAVES = 10
"""How often 1 is doubled or halved before a budget counts as out of reach."""

REFINEMENTS = 12
"""Coefficients tried between the two that enclose the budget. At worst every second one halves their log distance, so
the two end up within 1.1% of each other even where KL jumps."""

DIGITS = 4
"""Significant digits of every coefficient that is tried."""


class BudgetError(DataError):
    """A budget that no two coefficients within reach enclose."""


@dataclass(frozen=True)
class Divergence(Recipe):
    """`divergence.parquet`: the KL at every token of the steered answers, a row per coefficient, message and token."""

    on: Placed
    messages: tuple[str, ...]
    """What the user says; a conversation each."""
    intervention: Intervention
    coeffs: tuple[float, ...]
    new_tokens: int = 24
    """How long an answer may become."""

    def __post_init__(self) -> None:
        check_conversations(self.on, self.messages, self.intervention, new_tokens=self.new_tokens)
        if not self.coeffs:
            raise DataError("a divergence at 0 coefficients; give one or more")
        for coeff in self.coeffs:
            self.intervention.check(coeff)

    def describe(self) -> str:
        coeffs = " ".join(f"{coeff:+g}" for coeff in self.coeffs)
        return f"KL at {coeffs}, {self.intervention.describe()}"

    def build(self, out: Path, store: Store) -> None:
        lm = loaded(self.on, store)
        ready, tables = self.intervention.ready(lm, store), []
        for coeff in track(self.coeffs, self.describe()):
            system = self.intervention.system(coeff)
            tables.append(
                divergence_at(lm, ready, self.messages, coeff=coeff, system=system, new_tokens=self.new_tokens)
            )
        pd.concat(tables, ignore_index=True).to_parquet(out / "divergence.parquet")


def read_divergence(store: Store, recipe: Divergence) -> pd.DataFrame:
    """Columns coeff, message (its index in the recipe), token (its place in the answer) and kl (nats, fp32)."""
    return pd.read_parquet(store.get(recipe) / "divergence.parquet")


class Calibration(NamedTuple):
    """A coefficient, its distance from the unchanged model, and what was tried to find it."""

    coeff: float
    kl: float
    """Quantile of the KL at `coeff`, in nats."""
    converged: bool
    """Whether `kl` is within TOLERANCE of the budget; it may not be, since KL jumps where an answer changes."""
    evaluations: int
    curve: tuple[tuple[float, float | None], ...]
    """Every coefficient that was tried, in that order, with its KL; None for a KL that was no finite number."""


@dataclass(frozen=True)
class IsoKL(Recipe):
    """`iso_kl.json`: the coefficient at which a quantile of the KL over all tokens of all answers is the budget."""

    on: Placed
    messages: tuple[str, ...]
    intervention: Intervention
    budget: float = BUDGET_NATS
    """In nats."""
    quantile: float = 0.95
    new_tokens: int = 24
    side: int = +1
    """The sign of the coefficient."""

    def __post_init__(self) -> None:
        check_conversations(self.on, self.messages, self.intervention, new_tokens=self.new_tokens)
        if not 0 < self.budget < math.inf or not 0 < self.quantile < 1:
            raise DataError(
                f"quantile {self.quantile:g} of the KL at a budget of {self.budget:g} nats; "
                "expected a quantile between 0 and 1 and a budget that is finite and more than 0"
            )
        if self.side not in (+1, -1):
            raise DataError(f"side {self.side}; expected +1 or -1, the sign of the coefficient")
        try:
            self.intervention.check(self.side / 2)
        except DataError as error:
            raise DataError(
                f"{self.intervention.describe()} has no strength to calibrate ({error}); "
                "measure its Divergence at a coefficient that it has"
            ) from error

    def describe(self) -> str:
        sign = "positive" if self.side > 0 else "negative"
        return f"{sign} coefficient of {self.budget:g} nats, {self.intervention.describe()}"

    def build(self, out: Path, store: Store) -> None:
        lm = loaded(self.on, store)
        ready = self.intervention.ready(lm, store)

        def kl_at(coeff: float) -> float:
            system = self.intervention.system(coeff)
            table = divergence_at(lm, ready, self.messages, coeff=coeff, system=system, new_tokens=self.new_tokens)
            return kl_quantile(table, quantile=self.quantile)

        try:
            found = calibrated(kl_at, budget=self.budget, side=self.side)
        except BudgetError as error:
            raise BudgetError(f"{self.intervention.describe()}: {error}") from error
        say(
            f"{self.describe()}: {found.coeff:+g} has {found.kl:.3f} nats after {found.evaluations} evaluations"
            f"{'' if found.converged else '; none that was tried is nearer'}"
        )
        (out / "iso_kl.json").write_text(json.dumps(found._asdict(), indent=1, allow_nan=False) + "\n")


def read_iso_kl(store: Store, recipe: IsoKL) -> Calibration:
    """What the search found."""
    fields = json.loads((store.get(recipe) / "iso_kl.json").read_text())
    return Calibration(**fields | {"curve": tuple(map(tuple, fields["curve"]))})


def check_conversations(on: Placed, messages: tuple[str, ...], intervention: Intervention, *, new_tokens: int) -> None:
    """Raises for conversations that cannot be held.

    Raises: DataError for no message, a blank message or answers of no token; MismatchError if the intervention was made
        for another model.
    """
    if not messages or not all(message.strip() for message in messages) or new_tokens < 1:
        raise DataError(
            f"answers of {new_tokens} tokens to {len(messages)} messages, "
            f"{sum(not message.strip() for message in messages)} of them blank; "
            "give one token or more and one message or more, each with words in it"
        )
    if intervention.on not in (None, on):
        raise MismatchError(
            f"cannot steer {on.describe()} with {intervention.describe()}: it was made for "
            f"{intervention.on.describe()}; make it anew for this model"
        )


def kl_quantile(table: pd.DataFrame, *, quantile: float = 0.95) -> float:
    """A quantile of the KL over all tokens at one coefficient, in nats; NaN if the KL of any token is NaN.

    Raises: DataError unless the table is of one coefficient.
    """
    if (n := table["coeff"].nunique()) != 1:
        raise DataError(f"a quantile over {n} coefficients at once; choose the rows of one")
    # numpy, since pandas' quantile skips NaN, and a NaN is how one sees that steering broke the model.
    return float(np.quantile(table["kl"].to_numpy(np.float64), quantile))


def divergence_at(
    lm: LanguageModel, ready: Ready, messages: Sequence[str], *, coeff: float, system: str | None, new_tokens: int
) -> pd.DataFrame:
    """KL(steered || base) along the steered greedy answers to some messages; columns as in `read_divergence`.

    system: a message that only the steered model sees. To be called on the unchanged model.
    """
    plain = [prompt_ids(lm.tokenizer, user=message) for message in messages]
    asked = plain if system is None else [prompt_ids(lm.tokenizer, user=m, system=system) for m in messages]
    with ready.at(coeff):
        answers = greedy_answers(lm, asked, new_tokens=new_tokens)
    steered, base = (answering(lm, prompts, answers, start=ready.start) for prompts in (asked, plain))
    lengths = list(map(len, answers))
    spans = [slice(-length, None) for length in lengths]
    # Logits of all answers at once would take tokens times vocabulary in fp32, so they stay uncomputed until needed.
    with ready.at(coeff, tokens=steered.nodes):
        moved = dict(steered.read(lm, spans))
    kl = {place: kl_nats(moved.pop(place)(), still()).cpu() for place, still in base.read(lm, spans)}
    return pd.DataFrame(
        {
            "coeff": float(coeff),
            "message": np.repeat(np.arange(len(messages)), lengths),
            "token": np.concatenate([np.arange(length) for length in lengths]),
            "kl": torch.cat([kl[place] for place in range(len(messages))]).numpy(),
        }
    )


def answering(
    lm: LanguageModel, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], *, start: int
) -> Batch:
    """Each prompt followed by its answer without the last token, after which nothing was predicted."""
    said = zip(prompts, answers, strict=True)
    return prepared(lm, tuple((*prompt, *answer[:-1]) for prompt, answer in said), start=start)


def kl_nats(steered: Float[Tensor, "token vocab"], base: Float[Tensor, "token vocab"]) -> Float[Tensor, " token"]:
    """KL(steered || base) of the next token over the whole vocabulary, from the logits of both models; fp32."""
    log_p, log_q = steered.float().log_softmax(dim=-1), base.float().log_softmax(dim=-1)
    # Rounding can leave distributions that are nearly equal a hair below 0.
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1).clamp(min=0)


class _End(NamedTuple):
    """One of the two coefficients that enclose the budget."""

    size: float
    """Absolute value of the coefficient."""
    gap: float
    """log(KL / budget): below 0 at one end, above 0 at the other."""


def calibrated(kl_at: Callable[[float], float], *, budget: float, side: int) -> Calibration:
    """The coefficient of this sign whose KL is the budget, or of those tried the one whose KL is nearest to it.

    The search starts at 1 and doubles or halves until two coefficients enclose the budget. Between them it follows the
    secant of log KL over log coefficient (regula falsi), since KL is close to a power of the coefficient, and halves
    the interval after a secant that gained less. A KL that is no finite number counts as above any budget. KL may jump
    and need not grow steadily; if several coefficients have the budget's KL, the search finds one of them.

    Raises: BudgetError if no coefficient within reach is below the budget, or none above.
    """
    curve: dict[float, float] = {}

    def tried(size: float) -> _End:
        kl = curve[size] = kl_at(side * size)
        return _End(size, _gap(kl, budget))

    def met() -> bool:
        return any(_distance(kl, budget) <= TOLERANCE for kl in curve.values())

    ends = _enclosed(tried, met)
    if ends is not None:
        _narrow(tried, met, *ends)
    elif not met():
        raise BudgetError(
            f"no coefficient of sign {side:+d} has a KL of {budget:g} nats: it is "
            f"{'more' if _gap(curve[1.0], budget) > 0 else 'less'} at each of "
            f"{', '.join(f'{side * size:+g} ({kl:.3g})' for size, kl in curve.items())}; choose a budget among these"
        )
    best = min(curve, key=lambda size: (_distance(curve[size], budget), size))
    told = tuple((side * size, kl if math.isfinite(kl) else None) for size, kl in curve.items())
    return Calibration(side * best, curve[best], met(), len(curve), told)


def _enclosed(tried: Callable[[float], _End], met: Callable[[], bool]) -> tuple[_End, _End] | None:
    """Two coefficients, one twice the other, with KL below and above the budget; None if a coefficient meets the budget
    on the way, or if none within reach passes it."""
    end = tried(1.0)
    factor = 0.5 if end.gap > 0 else 2.0
    for octave in range(1, OCTAVES + 1):
        if met():
            return None
        before, end = end, tried(_rounded(factor**octave))
        if (before.gap > 0) != (end.gap > 0):
            return (end, before) if before.gap > 0 else (before, end)
    return None


def _narrow(tried: Callable[[float], _End], met: Callable[[], bool], below: _End, above: _End) -> None:
    """Try coefficients between the two until one meets the budget, or no number of DIGITS digits lies between them."""
    halve = False
    for _ in range(REFINEMENTS):
        secant, mean = _between(below, above)
        inside = [size for size in ((mean,) if halve else (secant, mean)) if below.size < size < above.size]
        if met() or not inside:
            return
        end, width = tried(inside[0]), above.size / below.size
        below, above = (below, end) if end.gap > 0 else (end, above)
        # At a jump of KL, secants would only creep towards the jump from one side.
        halve = not halve and above.size / below.size > math.sqrt(width)


def _between(below: _End, above: _End) -> tuple[float, float]:
    """Two sizes to try: where the secant of the gap over log size crosses 0, and the geometric mean of both ends.

    If a gap is infinite there is no secant; both are then the mean.
    """
    known = math.isfinite(below.gap) and math.isfinite(above.gap)
    shares = below.gap / (below.gap - above.gap) if known else 0.5, 0.5
    secant, mean = (_rounded(below.size * (above.size / below.size) ** share) for share in shares)
    return secant, mean


def _gap(kl: float, budget: float) -> float:
    if not math.isfinite(kl):
        return math.inf
    return math.log(kl) - math.log(budget) if kl > 0 else -math.inf


def _distance(kl: float, budget: float) -> float:
    return abs(kl / budget - 1) if math.isfinite(kl) else math.inf


def _rounded(size: float) -> float:
    return float(f"{size:.{DIGITS}g}")
