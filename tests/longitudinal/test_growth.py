from __future__ import annotations

import math
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nen_imaging.longitudinal.growth import VolumeAt, fit_growth

START = date(2020, 1, 1)


def series(doubling_days, *days, spread=0.05):
    values = [(day, 10 * 2 ** (day / doubling_days)) for day in days]
    return [VolumeAt(START + timedelta(day), v, v * (1 - spread), v * (1 + spread)) for day, v in values]


@given(st.floats(30, 900), st.lists(st.integers(0, 1500), min_size=2, max_size=6, unique=True))
def test_a_tumour_that_doubles_has_that_doubling_time_and_one_that_halves_that_half_life(days, when):
    assert fit_growth(series(days, *when)).doubling_time_days == pytest.approx(days, rel=1e-6)
    assert fit_growth(series(-days, *when)).half_life_days == pytest.approx(days, rel=1e-6)


def test_the_interval_is_that_of_two_points():
    growth = fit_growth(series(200, 0, 100, spread=0.10))
    sigma = math.log(1.1 / 0.9) / (2 * 1.6449)
    half_width = 1.6449 * sigma * math.sqrt(2) / 100
    assert growth.rate_high - growth.rate_per_day == pytest.approx(half_width, rel=1e-6)
    assert growth.is_certain
    assert not fit_growth(series(5000, 0, 100, spread=0.10)).is_certain


def test_one_day_or_no_tumour_gives_no_rate():
    assert fit_growth(series(100, 5)) is None
    assert fit_growth([VolumeAt(START, 0.0, 0.0, 0.0), *series(100, 30)]) is None
