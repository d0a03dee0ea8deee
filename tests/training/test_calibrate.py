"""The calibration's rule, on voxels of which all is known."""

from __future__ import annotations

import numpy as np

from nen_imaging.training.calibrate import Voxels, fit_lesions


def voxels(lesions: int, *, lesion_logit: float, liver_logit: float) -> Voxels:
    """A liver of 1000 voxels, whose lesions have one logit and its parenchyma another."""
    lesion = np.arange(1000) < lesions
    logit = np.where(lesion, lesion_logit, liver_logit).astype(np.float32)
    return Voxels.of(logit, lesion, lesions, 1000)


def test_one_liver_that_took_in_what_is_none_does_not_decide_for_all():
    good = [voxels(50, lesion_logit=1.0, liver_logit=-4.0)] * 5
    odd = voxels(0, lesion_logit=0.0, liver_logit=1.5)  # all of it would be called lesion
    assert fit_lesions([*good, odd]).lesion_shift >= -1.0  # lower, and the others lose their lesions
