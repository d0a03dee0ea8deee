"""Figures over cases with bootstrap intervals.

Every figure is a function of sums over cases. So a resample of the cases is a vector of weights, all resamples are one
matrix product, and value and interval come from the same formula.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ingredients = Mapping[str, float]
RESAMPLES = 2000
LEVEL_PERCENT = 95.0
_SEED = 20170


class Sums:
    """Sums over the cases of every resample, by the name of what was summed; each an array of shape (resamples,)."""

    def __init__(self, rows: Sequence[Ingredients], weights: Floats) -> None:
        names = sorted({name for row in rows for name in row})
        table = np.array([[row.get(name, np.nan) for name in names] for row in rows]).reshape(len(rows), len(names))
        known = np.isfinite(table)
        self._place = {name: n for n, name in enumerate(names)}
        self._sums, self._counts = weights @ np.where(known, table, 0.0), weights @ known.astype(float)
        self._resamples = len(weights)

    def total(self, name: str) -> Floats:
        """The sum of a quantity over the cases that have it; 0 where no case has."""
        return self._sums[:, self._place[name]] if name in self._place else np.zeros(self._resamples)

    def count(self, name: str) -> Floats:
        """How many cases have a quantity."""
        return self._counts[:, self._place[name]] if name in self._place else np.zeros(self._resamples)

    def mean(self, name: str) -> Floats:
        """The mean over the cases that have it."""
        return ratio(self.total(name), self.count(name))


Formula = Callable[[Sums], Floats]


@dataclass(frozen=True)
class Estimate:
    """A figure of a set of cases with its bootstrap interval, and the cases it rests on."""

    value: float
    low: float
    high: float
    cases: int


def ratio(above: ArrayLike, below: ArrayLike) -> Floats:
    """Not-a-number where there is nothing to divide by; of two numbers a number."""
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=np.asarray(below) != 0)[()]


def weights_of(cases: int, resamples: int = RESAMPLES) -> Floats:
    """How often each case is drawn: first every case once, then random draws of as many; shape (1 + resamples, cases).

    The draws are the same in every run.
    """
    rng = np.random.default_rng(_SEED)
    drawn = rng.multinomial(cases, np.full(cases, 1 / cases), size=resamples).astype(float)
    return np.vstack([np.ones(cases), drawn])


def estimate(formula: Formula, sums: Sums, cases: int) -> Estimate:
    """Evaluate a formula on the cases and on their resamples; no interval below three cases."""
    values = formula(sums)
    drawn = values[1:][np.isfinite(values[1:])]
    edge = (100 - LEVEL_PERCENT) / 2
    low, high = np.percentile(drawn, [edge, 100 - edge]) if cases > 2 and drawn.size else (np.nan, np.nan)
    return Estimate(float(values[0]), float(low), float(high), cases)
