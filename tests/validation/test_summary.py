"""Figures over cases: the sums give what the parts give, and intervals hold what they should."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nen_imaging.validation.detection import SIZE_BINS_MM, counts
from nen_imaging.validation.metrics import Overlap
from nen_imaging.validation.scores import detection_of, score_case
from nen_imaging.validation.statistics import Sums, estimate, weights_of
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


def test_detection_from_sums_is_detection_from_lesions(cases):
    summary = summarize(cases)
    found = [detection_of(case) for case in cases]
    for threshold in (0.0, 0.5):
        for size in (None, *SIZE_BINS_MM):
            expected = counts(found, threshold, size)
            suffix = f"_iou{threshold:g}" + (f", {size}" if size else "")
            for name in ("precision", "recall", "f1"):
                assert value(summary, "lesion", name + suffix).value == pytest.approx(
                    getattr(expected, name), nan_ok=True
                )
    assert value(summary, "lesion", "panoptic_quality").value == pytest.approx(counts(found, 0.5).panoptic_quality)


def test_agreement_of_loads_by_hand(cases):
    loads = ({"true_percent": true, "percent": found} for true, found in ((10, 12), (20, 19), (30, 35)))
    made = [case | {"load": case["load"] | load} for case, load in zip(cases, loads, strict=False)]
    expected = {"bias": 2, "rmse": math.sqrt(10), "limit_low": -3.88, "limit_high": 7.88, "largest_error": 5}
    summary = summarize(made)
    found = {name: value(summary, "load", f"{name}_points").value for name in expected}
    assert found == pytest.approx(expected)
    assert math.isnan(value(summarize(made[:1]), "load", "limit_low_points").value)


def test_global_dice_pools_voxels(cases):
    overlaps = [Overlap.of(truth == 2, prediction == 2) for truth, prediction in twin_pairs()]
    expected = 2 * sum(one.both for one in overlaps) / sum(one.truth + one.prediction for one in overlaps)
    assert value(summarize(cases), "lesion", "dice_global").value == pytest.approx(expected)


def test_unlabelled_lesions_never_count_as_none():
    truth, prediction = label_map(), label_map(lesions=[((20, 18, 10), 4.0)])
    case = scored(truth, prediction, lesions_labelled=False)
    assert (case["lesion"], case["load"], case["detection"]) == (None, None, None)
    assert case["volumes"]["true_lesion_ml"] is None
    assert {row.structure for row in summarize([case])} == {"liver"}


def test_a_liver_in_part_has_no_load_to_compare():
    case = scored(*twin_pairs()[0]) | {"whole_liver": False}
    assert not [row for row in summarize([case]) if row.structure == "load"]


def test_coverage_of_the_load_interval():
    truth, prediction = twin_pairs()[0]
    inside = scored(truth, prediction, load={"load_percent_low": 0.0, "load_percent_high": 90.0})
    outside = scored(truth, prediction, load={"load_percent_low": 80.0, "load_percent_high": 90.0})
    summary = summarize([inside, outside, outside])
    assert value(summary, "load", "interval_coverage").value == pytest.approx(1 / 3)
    assert value(summary, "load", "interval_width_points").value == pytest.approx((90 + 10 + 10) / 3)


def test_official_figures_stand_apart(cases):
    rows = {row.figure: row for row in summarize(cases, "codalab") if row.convention == "codalab"}
    assert len(rows) == 24
    assert rows["lesion_recall_greater_zero"].estimate.value == pytest.approx(4 / 6)


def test_the_lines_for_a_terminal(cases):
    summary = summarize(cases)
    text = summary_text(summary)
    assert text.count("\n") + 1 == len(headlines(summary))
    assert text.splitlines()[0].startswith("liver dice")


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


def test_the_interval_of_a_mean_is_that_of_the_textbook():
    numbers = np.random.default_rng(1).normal(3, 2, 200)
    sums = Sums([{"x": number} for number in numbers], weights_of(200))
    found = estimate(lambda sums: sums.mean("x"), sums, 200)
    half = 1.96 * numbers.std(ddof=1) / math.sqrt(200)
    assert (found.low, found.high) == pytest.approx((numbers.mean() - half, numbers.mean() + half), abs=0.05)


def test_two_cases_have_no_interval():
    sums = Sums([{"x": 1.0}, {"x": 2.0}], weights_of(2))
    found = estimate(lambda sums: sums.mean("x"), sums, 2)
    assert found.value == 1.5
    assert math.isnan(found.low)
