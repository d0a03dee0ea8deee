"""Uptake on digital patients with true masks: hot, iso-metabolic and cold lesions from a load of 10 to 70 %."""

from __future__ import annotations

import numpy as np
import pytest

from nen_imaging.measurement.partial_volume import correct_partial_volume
from nen_imaging.phantom.anatomy import digital_patient
from tests.measurement.known_uptake import LOADS_PERCENT, UPTAKE, known_lesions, share_right, share_within
from tests.measurement.shapes import ellipsoid, grid


def hold_the_figures(known) -> None:
    """What docs/uptake.md promises of lesions above 3 x the PET's resolution, and of the status of all."""
    assert share_right(known) >= 0.95
    large = {kind: [one for one in known if one.kind == kind and one.is_large] for kind in UPTAKE}
    assert all(large.values())
    assert share_within(one.corrected_mean_percent for one in large["positive"]) == 1
    for lesions in large.values():
        assert share_within(one.corrected_mean_of_liver_percent for one in lesions) >= 0.85


def test_lesions_have_their_true_uptake_at_low_and_high_load():
    patient = digital_patient(1, 3.0)
    hold_the_figures([one for load in (10, 70) for one in known_lesions(patient, load)])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_lesions_have_their_true_uptake_at_every_load(seed):
    patient = digital_patient(seed, 3.0)
    hold_the_figures([one for load in LOADS_PERCENT for one in known_lesions(patient, load)])


def test_touching_spheres_are_told_apart():
    """Hot and cold spheres of 24 mm that touch, in a liver with nothing around: their SUV before the blur."""
    from scipy import ndimage

    fine = grid((64, 48, 48), (2.0,) * 3)
    liver = ellipsoid(fine, (60, 44, 44))
    hot, cold = (ellipsoid(fine, (12, 12, 12), (x, 0, 0)) for x in (-12.5, 12.5))
    true = np.where(hot, 30.0, np.where(cold, 1.5, np.where(liver, 5.0, 0.4)))
    suv = fine.with_array(ndimage.gaussian_filter(true, 6 / 2.355 / 2))
    lesions = ((1, hot.astype(np.float32)), (2, cold.astype(np.float32)))
    found = correct_partial_volume(suv, liver.astype(np.float32), lesions, fwhm_mm=6.0)
    assert suv.array[cold].mean() > 2.5
    assert (found[1].suv_mean, found[2].suv_mean) == (pytest.approx(30, rel=0.01), pytest.approx(1.5, rel=0.03))
    assert (found[1].suv_peak, found[2].suv_peak) == (pytest.approx(30, rel=0.02), pytest.approx(1.5, rel=0.05))
