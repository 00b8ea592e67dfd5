"""What is left of dW in llama.cpp: what it does there beside what it does here, over seeds and on the same rows.

llama.cpp reads the quantised file that a model ships as, or the same weights in float32.
"""

from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from ws.exports.llama_rows import LlamaRows, LlamaTextRows
from ws.exports.model_file import ModelFile
from ws.scoring.scored import read_scored
from ws.stats.estimate import Estimate
from ws.stats.sweep import Measure, Sweep
from ws.steering.interventions import Intervention, Nothing, Weights
from ws.study import sweeps
from ws.study.replicates import Replicates
from ws.study.twins import changes, of_changes, standardised

File = Literal["quantised", "float32"]


@dataclass(frozen=True)
class InLlama:
    """dW of a family, seed by seed, in llama.cpp and here."""

    replicates: Replicates
    family: str
    file: File
    measure: Measure = "corrected"

    @property
    def effect(self) -> Estimate:
        """The mean effect there over the mean effect here, a ratio of paired means."""
        here, there = self.here, self.there
        return (there.effect / here.effect).noting(
            f"effect here {here.effect.value:+.3f}, in llama.cpp {there.effect.value:+.3f} nats {self.family}"
        )

    @property
    def slope(self) -> Estimate:
        """How far rows move there for each nat that they move here: the least-squares slope through 0."""
        here, there = self.here, self.there
        still, moved = changes(here), changes(there)
        return of_changes(still * moved, here, there) / of_changes(still * still, here)

    @property
    def effect_of_shuffled(self) -> Estimate:
        """The control: the share of the effect here that is left there with sides swapped in half of all pairs."""
        return self.there.with_sides_shuffled().effect / self.here.effect

    @property
    def correlation(self) -> Estimate:
        """Pearson's correlation of how far rows move there and here."""
        here, there = self.here, self.there
        return of_changes(standardised(changes(here)) * standardised(changes(there)), here, there)

    @property
    def off(self) -> Estimate:
        """How far the movement of one row is from what it is here, whichever way; nats."""
        here, there = self.here, self.there
        return of_changes((changes(there) - changes(here)).abs(), here, there)

    @property
    def here(self) -> Sweep:
        """The rows of dW by our own passes, at coefficients 0 and 1."""
        swept = sweeps.sweep(self.replicates, self.family, measure=self.measure)
        rows = swept.rows
        return replace(swept, rows=rows[rows["coeff"].isin((0.0, 1.0)) & (rows["sign"] != 0)], notes=())

    @property
    def there(self) -> Sweep:
        """The same rows in llama.cpp."""
        tables = [read_scored(self.replicates.store, recipe).assign(seed=seed) for seed, recipe in self.recipes]
        keys = self.replicates.keys(*dict.fromkeys(recipe for _, recipe in self.recipes))
        return Sweep(pd.concat(tables, ignore_index=True), self.measure, sources=keys)

    @property
    def recipes(self) -> tuple[tuple[int, LlamaRows | LlamaTextRows], ...]:
        """What llama.cpp scores: for each seed the model with its dW, and as it is."""
        arms: list[tuple[int, Intervention, float]] = []
        for seed in self.replicates.seeds:
            arms += [(seed, Weights(self.replicates.direction(self.family, seed=seed)), 1.0), (seed, Nothing(), 0.0)]
        return tuple((seed, self._recipe(steering, coeff, seed)) for seed, steering, coeff in arms)

    def _recipe(self, steering: Intervention, coeff: float, seed: int) -> LlamaRows | LlamaTextRows:
        subject = self.replicates.subject
        file = ModelFile(subject.on.weights, quantised=self.file == "quantised")
        if self.measure == "text":
            return LlamaTextRows(subject.on, subject.answers(seed), steering, (coeff,), file=file)
        # Plain facts tell nothing of the behavior, and take a seventh of the time.
        questions = tuple(one for one in subject.base_rows.questions if one.sign)
        return LlamaRows(subject.on, questions, subject.behavior.prefill, steering, (coeff,), file=file)
