"""Agreement of loads."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nen_imaging.validation.burden import coverage, is_misleading, load_agreement, response_if_unchanged

loads = st.lists(st.tuples(st.floats(0, 80), st.floats(0, 80)), min_size=2, max_size=12)


def test_agreement_by_hand():
    found = load_agreement([10, 20, 30], [12, 19, 35])
    assert (found.bias, found.largest) == (2, 5)
    assert found.rmse == pytest.approx(math.sqrt((4 + 1 + 25) / 3))
    assert (found.limit_low, found.limit_high) == pytest.approx((2 - 1.96 * 3, 2 + 1.96 * 3))


@given(loads)
def test_swapping_truth_and_prediction_turns_the_signs(pairs):
    truth, predicted = np.array(pairs).T
    there, back = load_agreement(truth, predicted), load_agreement(predicted, truth)
    assert there.rmse == pytest.approx(back.rmse)
    assert (there.bias, there.limit_low) == pytest.approx((-back.bias, -back.limit_high), abs=1e-9)
    assert abs(there.largest) == pytest.approx(abs(back.largest))


@given(loads)
def test_rmse_is_bias_and_spread(pairs):
    truth, predicted = np.array(pairs).T
    found = load_agreement(truth, predicted)
    spread = (predicted - truth).std()
    assert found.rmse == pytest.approx(math.hypot(found.bias, spread), abs=1e-9)


def test_no_case_gives_no_figure():
    assert all(map(math.isnan, astuple(load_agreement([], []))))
    assert math.isnan(coverage([], [], []))
    assert math.isnan(load_agreement([3], [4]).limit_low)


def test_coverage_counts_the_ends():
    assert coverage([1, 2, 3, 4], [1, 0, 3.1, 2], [2, 2, 5, 9]) == 0.75


@pytest.mark.parametrize(
    ("truth", "predicted", "response", "misleads"),
    [
        (20.0, 21.0, "SD", False),
        (20.0, 26.0, "PD", True),  # +30 %, +6 points
        (2.0, 4.0, "SD", False),  # +100 %, but 2 points
        (20.0, 13.0, "PR", True),
        (20.0, 0.0, "CR", True),
        (0.0, 0.0, "NE", False),
        (0.0, 6.0, "PD", True),
    ],
)
def test_the_class_that_the_error_alone_would_make(truth, predicted, response, misleads):
    found = response_if_unchanged(truth, predicted)
    assert found == response
    assert is_misleading(truth, found) is misleads
