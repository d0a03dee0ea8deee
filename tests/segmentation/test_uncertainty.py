"""Thresholds spread the load; an image unlike training is told in a sentence."""

from __future__ import annotations

import numpy as np
import pytest

from nen_imaging.segmentation.uncertainty import load_spread, overlap, unlike_training


def test_the_spread_holds_the_load_first_then_its_neighbours():
    liver = np.zeros((10, 10, 10), bool)
    liver[:, :, :8] = True
    lesion = np.zeros(liver.shape, np.float32)
    lesion[:, :, 0], lesion[:, :, 1], lesion[:, :, 2] = 0.9, 0.6, 0.3
    lesion[:, :, 9] = 1.0  # outside the liver: counts nowhere
    assert load_spread(liver, lesion, (0.25, 0.75)) == pytest.approx((25.0, 22.5, 37.5, 12.5), abs=1e-3)


def test_without_a_liver_there_is_no_load():
    nothing = np.zeros((3, 3, 3), bool)
    assert load_spread(nothing, nothing.astype(np.float32), ()) == ()


def test_agreement_on_a_normal_liver_is_not_flagged():
    liver = np.zeros((20, 20, 20), np.float32)
    liver[5:15, 5:15, 5:15] = 0.95
    assert unlike_training(liver, liver, 100.0) == ""
    assert "-300 HU" in unlike_training(liver, liver, -300.0)
    assert "Dice 0.50" in unlike_training(np.roll(liver, 5, axis=0), liver, 100.0)
    assert "undecided" in unlike_training(liver * 0.6, liver * 0.6, 100.0)


def test_two_empty_masks_agree():
    nothing = np.zeros((2, 2, 2), bool)
    assert overlap(nothing, nothing) == 1.0
