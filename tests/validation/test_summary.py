"""Figures over cases: the sums give what the parts give, and intervals hold what they should."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap

from nen_imaging.validation.scores import score_case
from nen_imaging.validation.statistics import Sums, estimate, ratio, weights_of
from nen_imaging.validation.summary import OWN, headlines, summarize, summary_text
from nen_imaging.volume import Volume
from tests.validation.shapes import SPACING_MM, label_map, twin_pairs

AFFINE = np.diag([*SPACING_MM, 1.0])


def scored(truth, prediction, **options):
    return {"case": "a", "whole_liver": True} | score_case(Volume(truth, AFFINE), Volume(prediction, AFFINE), **options)


@pytest.fixture(scope="module")
def cases():
    """The three twins and a clean liver, rightly seen."""
    clean = label_map()
    return [scored(*pair, compat="codalab") for pair in [*twin_pairs(), (clean, clean)]]


def value(summary, structure, figure):
    (row,) = [row for row in summary if (row.structure, row.figure, row.convention) == (structure, figure, OWN)]
    return row.estimate


def test_means_are_over_the_cases_that_have_a_figure(cases):
    summary = summarize(cases)
    dice = [case["lesion"]["dice"] for case in cases]
    assert value(summary, "lesion", "dice").value == pytest.approx(np.mean(dice))
    assert dice[3] == 1
    assert value(summary, "lesion", "dice_where_present").value == pytest.approx(np.mean(dice[:3]))
    distances = value(summary, "lesion", "assd_mm")
    assert distances.cases == 3
    assert distances.value == pytest.approx(np.mean([case["lesion"]["assd_mm"] for case in cases[:3]]))


def test_one_case_has_no_limits_of_agreement(cases):
    summary = summarize(cases[:1])
    assert math.isnan(value(summary, "load", "limit_low_points").value)
    assert value(summary, "load", "bias_points").cases == 1


def test_unlabelled_lesions_never_count_as_none():
    truth, prediction = label_map(), label_map(lesions=[((20, 18, 10), 4.0)])
    case = scored(truth, prediction, lesions_labelled=False)
    assert (case["lesion"], case["load"], case["detection"]) == (None, None, None)
    assert case["volumes"]["true_lesion_ml"] is None
    assert {row.structure for row in summarize([case])} == {"liver"}


def test_a_liver_in_part_has_no_load_to_compare():
    case = scored(*twin_pairs()[0]) | {"whole_liver": False}
    assert not [row for row in summarize([case]) if row.structure == "load"]


def test_what_is_found_in_a_liver_without_lesions():
    clean, invented = label_map(), label_map(lesions=[((20, 18, 10), 4.0)])
    cases = [scored(clean, clean), scored(clean, invented), scored(*twin_pairs()[0])]
    found = value(summarize(cases), "load", "percent_where_none")
    assert (found.value, found.cases) == (pytest.approx(100 * (invented == 2).sum() / (invented > 0).sum() / 2), 2)


def test_high_loads_alone():
    """Loads above 5 % count for their relative error and coverage; the twins' lie below."""
    truth, found = label_map(lesions=[((20, 18, 10), 9.0)]), label_map(lesions=[((20, 18, 10), 8.0)])
    load = {"load_percent_low": 20.0, "load_percent_high": 30.0}
    cases = [scored(truth, found, load=load), scored(*twin_pairs()[0], load=load)]
    summary = summarize(cases)
    true, percent = cases[0]["load"]["true_percent"], cases[0]["load"]["percent"]
    relative = value(summary, "load", "relative_error_over_5_percent")
    assert (relative.value, relative.cases) == (pytest.approx(1 - percent / true), 1)
    assert value(summary, "load", "interval_coverage_over_5_percent").value == (20 <= true <= 30)
    assert value(summary, "load", "interval_coverage").value == (20 <= true <= 30) / 2


def test_official_figures_stand_apart(cases):
    rows = {row.figure: row for row in summarize(cases, "codalab") if row.convention == "codalab"}
    assert len(rows) == 24
    assert rows["lesion_recall_greater_zero"].estimate.value == pytest.approx(4 / 6)


def test_the_lines_for_a_terminal(cases):
    summary = summarize(cases)
    text = summary_text(summary)
    known = [row for row in headlines(summary) if math.isfinite(row.estimate.value)]
    assert text.count("\n") + 1 == len(known) < len(headlines(summary))  # no lesion of 10 mm in the twins
    assert text.splitlines()[0].startswith("liver dice")


def test_one_load_alone_has_no_slope(cases):
    loads = [(0.3, 0.9), (17.3, 11.1), (33.9, 25.7)]
    known = {"low": None, "high": None, "misleading": False}
    several = [cases[0] | {"load": {**known, "true_percent": true, "percent": found}} for true, found in loads]
    slope = value(summarize(several), "load", "slope")
    assert 0.59 < slope.low <= slope.value <= slope.high < 0.89  # of each two of them 0.60, 0.74, 0.88
    assert math.isnan(value(summarize(several[1:2] * 3), "load", "slope").value)


def test_what_is_no_number_stays_empty(cases):
    cells = [row.cells() for row in summarize(cases[3:])]
    assert all("nan" not in str(cell["value"]) for cell in cells)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=3, max_size=30))
def test_an_interval_holds_its_value(numbers):
    sums = Sums([{"x": number} for number in numbers], weights_of(len(numbers), 500))
    found = estimate(lambda sums: sums.mean("x"), sums, len(numbers))
    assert found.value == pytest.approx(np.mean(numbers))
    assert found.low - 1e-9 <= found.value <= found.high + 1e-9


def test_scipys_bootstrap_finds_the_same_intervals():
    rng = np.random.default_rng(1)
    found, true = rng.integers(0, 5, 80), rng.integers(5, 9, 80)
    sums = Sums([{"found": a, "true": b} for a, b in zip(found, true, strict=True)], weights_of(80))
    for formula, samples, statistic in (
        (lambda sums: sums.mean("found"), (found,), np.mean),
        (lambda sums: ratio(sums.total("found"), sums.total("true")), (found, true), lambda a, b: a.sum() / b.sum()),
    ):
        own = estimate(formula, sums, 80)
        other = bootstrap(
            samples, statistic, paired=True, vectorized=False, n_resamples=2000, method="percentile", rng=2
        )
        width = other.confidence_interval.high - other.confidence_interval.low
        assert (own.low, own.high) == pytest.approx(tuple(other.confidence_interval), abs=0.06 * width)


def test_two_cases_have_no_interval():
    sums = Sums([{"x": 1.0}, {"x": 2.0}], weights_of(2))
    found = estimate(lambda sums: sums.mean("x"), sums, 2)
    assert found.value == 1.5
    assert math.isnan(found.low)
