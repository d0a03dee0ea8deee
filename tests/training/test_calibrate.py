"""The calibration's rule, on voxels of which all is known."""

from __future__ import annotations

import numpy as np
import pytest

from nen_imaging.training.calibrate import TOTAL_SHIFTS, Voxels, _found, fit_lesions


def voxels(lesions: int, *, lesion_logit: float, liver_logit: float) -> Voxels:
    """A liver of 1000 voxels, whose lesions have one logit and its parenchyma another."""
    lesion = np.arange(1000) < lesions
    logit = np.where(lesion, lesion_logit, liver_logit).astype(np.float32)
    return Voxels.of(logit, lesion, lesions, 1000)


def test_one_liver_that_took_in_what_is_none_does_not_decide_for_all():
    good = [voxels(50, lesion_logit=1.0, liver_logit=-4.0)] * 5
    odd = voxels(0, lesion_logit=0.0, liver_logit=1.5)  # all of it would be called lesion
    assert fit_lesions([*good, odd]).lesion_shift >= -1.0  # lower, and the others lose their lesions


def test_specks_that_are_sure_nowhere_are_not_found():
    """A lesion with a sure core counts whole, a speck beside it and what lies outside the liver not at all."""
    logit = np.full((20, 20, 20), -3.0, np.float32)
    logit[4:10, 4:10, 4:10] = 0.5
    logit[6, 6, 6] = 2.7
    logit[14:16, 14:16, 14:16] = 0.5
    logit[:, :, :2] = 4.0
    liver = np.zeros(logit.shape, bool)
    liver[1:19, 1:19, 2:19] = True
    lesion = np.zeros_like(liver)
    lesion[4:10, 4:10, 4:9] = True
    found = _found(logit, liver, lesion)
    at_zero = int(np.flatnonzero(TOTAL_SHIFTS == 0)[0])
    assert found[at_zero].tolist() == [216, 180]
    assert found[at_zero - 1].tolist() == [1, 1]  # the lesion's rim is no longer above the threshold
    assert found[at_zero - 2].tolist() == [0, 0]  # its core is, but not by enough
    case = Voxels.of(logit[liver], lesion[liver], int(lesion.sum()), int(liver.sum()), found)
    assert case.lesions_at(0.0) == (216, 180)
    assert case.lesions_at(-0.25) == (108.5, 90.5)


def test_the_calibration_tells_how_sure_a_lesion_must_be():
    fitted = fit_lesions([voxels(50, lesion_logit=1.0, liver_logit=-4.0)] * 3)
    assert fitted.lesion_peak == pytest.approx(1 / (1 + np.exp(-2 * fitted.lesion_scale)), abs=0.006)
