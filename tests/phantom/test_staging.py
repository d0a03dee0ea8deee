from dataclasses import replace

import numpy as np
import pytest

from nen_imaging.phantom.anatomy import digital_patient
from nen_imaging.phantom.course import course
from nen_imaging.phantom.organs import LIVER_ORGANS, Organ
from nen_imaging.phantom.scanner import CtScanner, scan_ct, thick_slices
from nen_imaging.phantom.staging import staging
from nen_imaging.phantom.tissue import Phase
from nen_imaging.volume import Volume, require_same_grid, resample

QUIET = CtScanner(fwhm_mm=1.0, noise_hu=4.0)


@pytest.fixture(scope="module")
def patient():
    return digital_patient(2, 4.0)


@pytest.fixture(scope="module")
def scanned(patient):
    return staging(patient, 20, 1, with_pet=True)


def test_truth_counts_what_the_labels_show(scanned):
    labels = scanned.labels.array
    assert scanned.truth.load_percent == pytest.approx(20, abs=0.1)
    assert scanned.truth.lesion_volume_ml == pytest.approx((labels == 2).sum() * 0.064)
    assert sum(scanned.truth.volume_ml_of_lesion.values()) == pytest.approx(scanned.truth.lesion_volume_ml)
    np.testing.assert_array_equal(scanned.instances.array > 0, labels == 2)
    require_same_grid(scanned.ct, scanned.labels)


@pytest.mark.parametrize("phase", Phase)
def test_phases_enhance_in_their_order(patient, phase):
    ct = staging(patient, 0, 3, phase, scanner=QUIET).ct.array
    mean = {organ: ct[patient.organs.array == organ].mean() for organ in (Organ.AORTA, Organ.LIVER, Organ.AIR)}
    assert mean[Organ.AIR] < -950
    if phase is Phase.ARTERIAL:
        assert mean[Organ.AORTA] > 200 > 100 > mean[Organ.LIVER]
    elif phase is Phase.PORTAL_VENOUS:
        assert 170 > mean[Organ.AORTA] > mean[Organ.LIVER] + 10 > 60
    else:
        assert mean[Organ.AORTA] < 60


def test_most_lesions_are_darker_than_the_liver_in_the_portal_venous_phase(scanned):
    ct, labels = scanned.ct.array, scanned.labels.array
    assert np.median(ct[labels == 2]) < np.median(ct[labels == 1]) - 8


def test_thick_slices_average_and_stay_in_place():
    ramp = np.broadcast_to(np.arange(10.0), (3, 3, 10))
    volume = Volume(ramp, np.diag([1, 1, 2.0, 1]))
    thick = thick_slices(volume, 6.0)
    np.testing.assert_allclose(thick.array[0, 0], [1, 4, 7])
    np.testing.assert_allclose(thick.affine[:3, 2:].T, [[0, 0, 6], [0, 0, 2]])
    with pytest.raises(ValueError, match="no multiple"):
        thick_slices(volume, 5.0)


def test_noise_has_the_deviation_that_was_asked_for():
    flat = Volume(np.full((40, 40, 10), 50.0), np.diag([3, 3, 3.0, 1]))
    ct = scan_ct(flat, CtScanner(1.0, 11.0), np.random.default_rng(0))
    assert ct.array.std() == pytest.approx(11, rel=0.05)
    assert ct.array.mean() == pytest.approx(50, abs=1)


def test_slices_of_a_thick_scan_carry_the_same_load():
    fine = digital_patient(6, (4.0, 4.0, 2.0))
    lesions = course(fine, [20], 5)[0]
    thick = staging(fine, 20, 5, lesions=lesions, scanner=CtScanner(slice_thickness_mm=4.0))
    assert thick.ct.spacing_mm == pytest.approx([4, 4, 4])
    assert thick.truth.load_percent == pytest.approx(20, abs=1.5)


def test_uptake_is_ordered_as_published_and_cold_lesions_are_cold(patient, scanned):
    suv = resample(scanned.suv, patient.organs.shape, patient.organs.affine).array
    organs = patient.organs.array
    healthy = np.isin(organs, LIVER_ORGANS) & (scanned.labels.array == 1)
    medians = [
        np.median(suv[mask])
        for mask in (organs == Organ.SPLEEN, organs == Organ.KIDNEY_CORTEX, healthy, organs == Organ.AORTA)
    ]
    assert medians == sorted(medians, reverse=True)
    cold = staging(patient, 20, 1, with_pet=True, lesions=_cold(patient))
    assert max(cold.truth.suv_of_lesion.values()) < medians[2]


def _cold(patient):
    lesions = course(patient, [20], 1)[0]
    return replace(lesions, lesions=tuple(replace(lesion, uptake=0.5) for lesion in lesions.lesions))


def test_a_shifted_pet_lies_where_the_patient_moved(patient):
    still = staging(patient, 0, 1, with_pet=True).suv
    moved = staging(patient, 0, 1, with_pet=True, pet_shift_mm=(0, 0, 12.0)).suv
    heights = [np.average(np.arange(v.shape[2]), weights=(v.array**2).sum(axis=(0, 1))) for v in (still, moved)]
    assert (heights[1] - heights[0]) * 4 == pytest.approx(12, abs=1.5)
