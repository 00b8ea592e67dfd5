"""What a sweep of coefficients did to the behavior: effect, spread, the push towards Yes, and the share of answers.

There are four measures. Two are of Yes/No questions: raw is the journal's, the log-ratio of Yes to No on "Do you
agree?" alone, or on the first question of a behavior that has no such pair; corrected takes the log-ratio of the answer
that shows the behavior to the other one, over balanced opposite phrasings, so that a push towards Yes cancels. Two are
of text: text is how much likelier the model finds answers that show the behavior than their opposites; written is how
much likelier its own answers are from somebody who shows the behavior than from somebody who shows its opposite. All
numbers are nats, per row or per token.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from ws.errors import DataError
from ws.stats.estimate import Estimate
from ws.stats.lines import union

Measure = Literal["raw", "corrected", "text", "written"]

OF_YES_AND_NO: tuple[Measure, ...] = ("raw", "corrected")
"""The measures of the same Yes/No rows."""

OF_TEXT: tuple[Measure, ...] = ("text", "written")
"""The measures whose rows have a log_p, and no pmass."""

PMASS_GATE = 0.5
"""Below this mean pmass, most of the next-token probability is neither Yes nor No, and a log-ratio says little."""

MIN_CLUSTERS = 10
"""With fewer clusters, a bootstrap interval is too narrow to be trusted."""


JOURNALS_PAIR = "agree"
"""The pair of phrasings that raw reads, and that cuts of dW are scored on."""


def raw_pair(pairs: Iterable[str]) -> str:
    """Of the pairs of a behavior's phrasings the journal's, or the first if that is not among them."""
    known = list(dict.fromkeys(pairs))
    return known[0] if known and JOURNALS_PAIR not in known else JOURNALS_PAIR


@dataclass(frozen=True)
class Sweep:
    """The scored rows of one arm over its coefficients and seeds."""

    rows: pd.DataFrame
    """Columns as in `read_rows`, `read_text_rows` or `read_written_rows` of ws.scoring, and `seed`."""
    measure: Measure = "corrected"
    pair: str | None = None
    """Restrict any measure but raw to one pair of opposite phrasings, answers or judges; None takes all pairs."""
    sources: tuple[str, ...] = ()
    """The store's keys of what the rows were read from; every estimate made of them carries these."""
    notes: tuple[str, ...] = ()
    """Lines that a reader should see below any number of this sweep."""

    def noting(self, *notes: str, sources: Iterable[str] = ()) -> "Sweep":
        """The same sweep with further lines below its numbers, and with the keys of what these lines report."""
        return replace(self, sources=union(self.sources, sources), notes=union(self.notes, notes))

    def at(self, coeff: float) -> Estimate:
        """The mean of the measure at one coefficient."""
        rows = self._measured(coeff)
        return self._estimate(rows, self._values(rows), gates=self._gates(rows, coeff))

    @cached_property
    def effect(self) -> Estimate:
        """The effect at coefficient +1."""
        return self.effect_at(1.0)

    def effect_at(self, coeff: float) -> Estimate:
        """Mean at a coefficient minus mean at 0."""
        return self.at(coeff) - self.at(0.0)

    @cached_property
    def spread(self) -> Estimate:
        """Mean at the highest coefficient minus mean at the lowest."""
        return self.at(self.rows["coeff"].max()) - self.at(self.rows["coeff"].min())

    def likelihood(self, coeff: float = 1.0) -> Estimate:
        """Mean log-probability of all answers, whichever side they are of, minus that at 0: what steering costs.

        Of written answers it is what the unchanged model thinks of them, which is low for broken text.
        Units: nats per token.
        Raises: DataError for a measure of Yes/No questions, which has the share of answers instead, `pmass`.
        """
        if self.measure not in OF_TEXT:
            raise DataError(f"the likelihood of answers was asked for of {self.measure} rows; expected text; see pmass")
        moved, still = (self._measured(at) for at in (coeff, 0.0))
        return self._estimate(moved, moved["log_p"]) - self._estimate(still, still["log_p"])

    def with_sides_shuffled(self) -> "Sweep":
        """The control: the sides swapped in half of all pairs of rows, so that no arm has an effect on what is left.

        The same half at every coefficient and seed, drawn once and for all.
        Raises: DataError for the raw measure, which has no sides.
        """
        if self.measure == "raw":
            raise DataError("the raw measure takes Yes for the behavior and has no sides; shuffle those of another")
        sided = self.rows[self.rows["sign"] != 0]
        pairs = sorted(set(zip(sided["cluster"], sided["pair"], strict=True)))
        drawn = np.random.default_rng(0).permutation(len(pairs))[: len(pairs) // 2]
        swapped = {pairs[place] for place in drawn}
        is_swapped = [pair in swapped for pair in zip(self.rows["cluster"], self.rows["pair"], strict=True)]
        return replace(self, rows=self.rows.assign(sign=self.rows["sign"] * np.where(is_swapped, -1, 1)))

    @property
    def movement(self) -> Estimate:
        """Mean distance that a row's log-ratio moves from 0 to +1, whichever way; nats."""
        moved, still = (self._by_row(self._measured(coeff)) for coeff in (1.0, 0.0))
        _check_paired(moved, still)
        distances = (moved["log_ratio"] - still["log_ratio"]).abs()
        return self._estimate(moved.reset_index(), distances.reset_index(drop=True))

    def pmass(self, coeff: float) -> Estimate:
        """Mean share of the next-token probability that is a Yes or a No, over the measure's rows.

        Raises: DataError for a measure of text.
        """
        self._check_yes_or_no("pmass")
        rows = self._measured(coeff)
        return self._estimate(rows, rows["pmass"])

    @cached_property
    def pmass_at_ends(self) -> Estimate:
        """Mean pmass of the lowest and the highest coefficient."""
        ends = self.rows["coeff"].min(), self.rows["coeff"].max()
        return 0.5 * (self.pmass(ends[0]) + self.pmass(ends[1]))

    @cached_property
    def yes_bias(self) -> Estimate:
        """Movement of the log-ratio on plain facts from 0 to +1: a push towards Yes that is not the behavior.

        Raises: DataError for a measure of text.
        """
        return self._facts_move({"yes": 1, "no": 1})

    @cached_property
    def fact_knowledge(self) -> Estimate:
        """Movement from 0 to +1 of the log-ratio towards the right answer of plain facts.

        Raises: DataError for a measure of text.
        """
        return self._facts_move({"yes": 1, "no": -1})

    def _facts_move(self, ways: Mapping[str, int]) -> Estimate:
        """Movement from 0 to +1 of the log-ratio on facts, each counted the way of its right answer.

        Half of the facts have each answer by design, so what facts of one answer have in common is no chance of which
        facts were written down: a push towards Yes adds no doubt to what is known. A fact's movement therefore differs
        from the number as far as it does from the mean of its own half.
        Source: Holt & Smith 1979, "Post stratification", linearised.
        """
        self._check_yes_or_no("plain facts")
        moved, still = (self._by_row(rows[rows["sign"] == 0]) for rows in (self._rows_at(1.0), self._rows_at(0.0)))
        _check_paired(moved, still)
        moves = (moved["log_ratio"] - still["log_ratio"]) * moved["phrasing"].map(ways)
        of_its_half = moves.groupby(moved["phrasing"]).transform("mean")
        return self._estimate(moved.reset_index(), (moves - of_its_half + moves.mean()).reset_index(drop=True))

    @staticmethod
    def _by_row(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.set_index(["seed", "question_id"]).sort_index()

    def _check_yes_or_no(self, what: str) -> None:
        if self.measure in OF_TEXT:
            raise DataError(f"{what} asked for of {self.measure} rows; expected Yes/No questions; see likelihood")

    def _measured(self, coeff: float) -> pd.DataFrame:
        is_asked, pair = self.rows["sign"] != 0, self.pair
        if self.measure == "raw":
            is_asked, pair = self.rows["sign"] == 1, self._raw_pair
        return self._rows_at(coeff, is_asked if pair is None else is_asked & (self.rows["pair"] == pair))

    @cached_property
    def _raw_pair(self) -> str:
        return raw_pair(self.rows.loc[self.rows["sign"] != 0, "pair"].unique())

    def _values(self, rows: pd.DataFrame) -> pd.Series:
        """The measure of each row; rows of both sides are equally many, so that their mean is that of the whole."""
        if self.measure == "text":
            # The difference of two means of n rows each is twice the mean of 2n rows with their signs.
            return 2.0 * rows["sign"] * rows["log_p"]
        return rows["log_ratio"] if self.measure == "raw" else rows["sign"] * rows["log_ratio"]

    def _rows_at(self, coeff: float, chosen: "pd.Series[bool] | None" = None) -> pd.DataFrame:
        """The rows of a coefficient, or those of them that are chosen among the rows of all.

        Raises: DataError if none was scored at this coefficient.
        """
        is_at = self.rows["coeff"] == coeff
        if not is_at.any():
            known = sorted(self.rows["coeff"].unique())
            raise DataError(f"no rows at coefficient {coeff}; this sweep has {known}")
        return self.rows[is_at if chosen is None else is_at & chosen]

    def _gates(self, rows: pd.DataFrame, coeff: float) -> tuple[str, ...]:
        gates = []
        if self.measure not in OF_TEXT and (pmass := rows["pmass"].mean()) < PMASS_GATE:
            gates.append(f"pmass {pmass:.2f} < {PMASS_GATE} at coeff {coeff:+g}")
        if (clusters := rows["cluster"].nunique()) < MIN_CLUSTERS:
            gates.append(f"too few rows: {clusters} clusters < {MIN_CLUSTERS}")
        return tuple(gates)

    def _estimate(self, rows: pd.DataFrame, values: pd.Series, *, gates: tuple[str, ...] = ()) -> Estimate:
        named = {"seed": rows["seed"], "cluster": rows["cluster"], "row": rows["question_id"], "value": values}
        return Estimate.of(pd.DataFrame(named), gates=gates, sources=self.sources, notes=self.notes)


def _check_paired(moved: pd.DataFrame, still: pd.DataFrame) -> None:
    if not moved.index.equals(still.index):
        raise DataError(
            f"{len(moved)} rows at coefficient +1 and {len(still)} at 0 are not the same rows; "
            "score both on one set of questions and seeds"
        )
