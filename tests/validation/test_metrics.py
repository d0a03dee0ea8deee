"""Figures of one mask: invariances, another library's answers, the table of empty masks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings

from nen_imaging.validation.metrics import FIGURES, WHEN_EMPTY, lesions_of, liver_of, mask_figures
from tests.validation.shapes import SPACING_MM, ball, flips, label_map, mask_pairs, permutations, spacings

NOTHING = np.zeros((6, 6, 6), bool)
SOMETHING = ball((6, 6, 6), (3, 3, 3), 2)
IN_MM = [name for name in FIGURES if name.endswith("_mm")]


def test_figures_of_shifted_boxes_by_hand():
    truth, prediction = np.zeros((8, 4, 4), bool), np.zeros((8, 4, 4), bool)
    truth[1:5] = True
    prediction[2:7] = True
    found = mask_figures(truth, prediction, (1, 1, 1))
    assert found["dice"] == pytest.approx(2 * 3 / 9)
    assert found["voe"] == pytest.approx(1 - 3 / 6)
    assert found["rvd"] == pytest.approx(1 / 4)
    assert found["msd_mm"] == pytest.approx(2.0)


def test_a_perfect_mask():
    found = mask_figures(SOMETHING, SOMETHING, SPACING_MM)
    expected = {name: 1.0 if "dice" in name else 0.0 for name in FIGURES}
    assert found == expected


@settings(max_examples=25, deadline=None)
@given(pair=mask_pairs, spacing_mm=spacings)
def test_all_but_the_volume_difference_are_symmetric(pair, spacing_mm):
    assume(all(mask.any() for mask in pair))
    there, back = mask_figures(*pair, spacing_mm), mask_figures(*pair[::-1], spacing_mm)
    assert (1 + there.pop("rvd")) * (1 + back.pop("rvd")) == pytest.approx(1)
    assert there == pytest.approx(back)


@settings(max_examples=25, deadline=None)
@given(pair=mask_pairs, spacing_mm=spacings, order=permutations, flipped=flips)
def test_axes_and_flips_do_not_matter(pair, spacing_mm, order, flipped):
    turned = [np.flip(mask, flipped).transpose(order) for mask in pair]
    there = mask_figures(*turned, np.array(spacing_mm)[order])
    assert there == pytest.approx(mask_figures(*pair, spacing_mm), nan_ok=True)


@settings(max_examples=15, deadline=None)
@given(pair=mask_pairs, spacing_mm=spacings)
def test_only_distances_scale_with_the_spacing(pair, spacing_mm):
    once, twice = mask_figures(*pair, spacing_mm), mask_figures(*pair, 2 * np.array(spacing_mm))
    assert [twice[name] for name in IN_MM] == pytest.approx([2 * once[name] for name in IN_MM], nan_ok=True)
    same = ("dice", "voe", "rvd")
    assert [twice[name] for name in same] == pytest.approx([once[name] for name in same], nan_ok=True)


@pytest.mark.parametrize(
    ("truth", "prediction", "column"),
    [(NOTHING, NOTHING, "both"), (NOTHING, SOMETHING, "truth"), (SOMETHING, NOTHING, "prediction")],
)
def test_empty_masks_follow_the_table(truth, prediction, column):
    found = mask_figures(truth, prediction, SPACING_MM)
    assert found == pytest.approx({name: getattr(rule, column) for name, rule in WHEN_EMPTY.items()}, nan_ok=True)


def test_the_table_of_empty_masks():
    """A missed lesion is a Dice of 0 and no distance; a clean liver rightly seen is a Dice of 1."""
    assert mask_figures(NOTHING, NOTHING, SPACING_MM)["dice"] == 1
    assert mask_figures(SOMETHING, NOTHING, SPACING_MM)["dice"] == 0
    assert mask_figures(SOMETHING, NOTHING, SPACING_MM)["rvd"] == -1
    assert math.isnan(mask_figures(SOMETHING, NOTHING, SPACING_MM)["assd_mm"])
    assert math.isnan(mask_figures(NOTHING, SOMETHING, SPACING_MM)["rvd"])


def test_masks_of_different_shape_are_refused():
    with pytest.raises(ValueError, match=r"truth \(6, 6, 6\), prediction \(6, 6, 5\)"):
        mask_figures(SOMETHING, SOMETHING[..., :5], SPACING_MM)


def test_the_liver_includes_its_lesions():
    labels = label_map(lesions=[((20, 18, 10), 3.0)])
    assert liver_of(labels).sum() == (labels > 0).sum() > lesions_of(labels).sum() > 0
