"""The calibration's rule, on voxels of which all is known."""

from __future__ import annotations

import numpy as np
import pytest

from nen_imaging.training import calibrate
from nen_imaging.training.calibrate import TOTAL_SHIFTS, Voxels, _errors, _found, fit_lesions


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


def test_a_load_error_keeps_its_sign():
    case = voxels(200, lesion_logit=1.0, liver_logit=-4.0)
    assert _errors(case, 0.0) == (0.0, 0.0)
    assert _errors(case, -2.0) == (1.0, pytest.approx(-20 / 25))
    assert _errors(case, 5.0) == (pytest.approx(1 - 400 / 1200), 1.0)


@pytest.mark.parametrize(("weight", "found"), [(0.0, 160), (0.25, 245)])
def test_a_load_too_low_elsewhere_makes_up_for_one_a_little_too_high(monkeypatch, weight, found):
    """40 faint lesion voxels stand beside 45 healthy ones; half of the other liver's lesion can never be found."""
    counts, logits = (160, 40, 45, 755), (1.0, -0.3, -0.3, -25.0)
    faint = Voxels.of(np.repeat(logits, counts).astype(np.float32), np.arange(1000) < 200, 200, 1000)
    lost = Voxels.of(np.repeat((1.0, -25.0), (100, 900)).astype(np.float32), np.arange(1000) < 200, 200, 1000)
    monkeypatch.setattr(calibrate, "_BIAS_WEIGHT", weight)
    fitted = fit_lesions([faint, lost])
    logit = fitted.lesion_logit(faint.logit, np.ones(1000, bool))
    assert (logit >= 0).sum() == found
