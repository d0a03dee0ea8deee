"""How fast a tumour grows: exponential growth, its doubling time, and the half-life of one that shrinks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

_NORMAL_90 = 1.6449
"""Half width of a 90 % interval in standard deviations."""


@dataclass(frozen=True)
class VolumeAt:
    """A volume (or load) of one day, with its 90 % interval."""

    day: date
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Growth:
    """Exponential rate per day with its 90 % interval; positive where the tumour grows."""

    rate_per_day: float
    rate_low: float
    rate_high: float

    @property
    def doubling_time_days(self) -> float | None:
        """Time to twice the volume, ln 2 over the rate; None where the tumour does not grow."""
        return math.log(2) / self.rate_per_day if self.rate_per_day > 0 else None

    @property
    def half_life_days(self) -> float | None:
        """Time to half the volume; None where the tumour does not shrink."""
        return -math.log(2) / self.rate_per_day if self.rate_per_day < 0 else None

    @property
    def is_certain(self) -> bool:
        """Whether the interval tells growth from shrinking."""
        return self.rate_low * self.rate_high > 0


def fit_growth(series: Sequence[VolumeAt]) -> Growth | None:
    """Fit ``V = V0 exp(k t)`` by weighted least squares on the logarithm.

    Each point weighs by the variance that its interval means for the logarithm (at least 2 %). None where fewer
    than two days have a volume above 0.
    """
    points = [point for point in series if point.value > 0]
    days = np.array([point.day.toordinal() for point in points], float)
    if len(set(days)) < 2:
        return None
    spread = np.array([max(0.02, _log_spread(point)) for point in points])
    weights = 1 / spread**2
    centred = days - np.average(days, weights=weights)
    information = float(np.sum(weights * centred**2))
    rate = float(np.sum(weights * centred * np.log([point.value for point in points]))) / information
    half_width = _NORMAL_90 / math.sqrt(information)
    return Growth(rate, rate - half_width, rate + half_width)


def _log_spread(point: VolumeAt) -> float:
    """Standard deviation of the logarithm that a 90 % interval stands for."""
    low = max(point.low, 0.01 * point.value)
    return math.log(max(point.high, low) / low) / (2 * _NORMAL_90)
