import numpy as np
import pytest
from scipy import ndimage

from nen_imaging.phantom.anatomy import digital_patient
from nen_imaging.phantom.organs import LIVER_ORGANS, Organ


@pytest.fixture(scope="module", params=[1, 2, 3])
def patient(request):
    return digital_patient(request.param, 4.0)


def centre_mm(patient, *organs):
    index = np.argwhere(np.isin(patient.organs.array, organs)).mean(axis=0)
    return patient.organs.affine[:3, :3] @ index + patient.organs.affine[:3, 3]


def test_the_same_seed_draws_the_same_patient_and_another_one_another():
    first, again, other = (digital_patient(seed, 6.0).organs.array for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.05


def test_every_organ_is_there(patient):
    missing = set(Organ) - {Organ.GALLBLADDER, Organ.PRIMARY} - set(np.unique(patient.organs.array))
    assert not missing


def test_organs_lie_on_their_side_and_level(patient):
    liver, spleen = centre_mm(patient, *LIVER_ORGANS), centre_mm(patient, Organ.SPLEEN)
    assert liver[0] > 20 > -40 > spleen[0]  # x points to the patient's right
    assert centre_mm(patient, Organ.LUNG)[2] > liver[2] > centre_mm(patient, Organ.BOWEL)[2]
    assert centre_mm(patient, Organ.BONE)[1] < centre_mm(patient, Organ.AORTA)[1] < centre_mm(patient, Organ.GAS)[1]


def test_the_liver_is_one_piece_of_a_plausible_size(patient):
    parts, count = ndimage.label(patient.liver.array)
    assert np.bincount(parts.ravel())[1:].max() > 0.99 * patient.liver.array.sum(), count
    assert 1000 < patient.liver_volume_ml < 2600


@pytest.mark.parametrize("volume_ml", [1300, 2400])
def test_the_liver_has_the_volume_that_was_asked_for(volume_ml):
    assert digital_patient(9, 4.0, liver_volume_ml=volume_ml).liver_volume_ml == pytest.approx(volume_ml, rel=0.06)


def test_the_body_keeps_its_shape_at_another_voxel_size():
    coarse, fine = digital_patient(4, 6.0), digital_patient(4, 3.0)
    inside_coarse = ndimage.zoom(coarse.liver.array, 2, order=0)
    overlap = 2 * (inside_coarse & fine.liver.array).sum() / (inside_coarse.sum() + fine.liver.array.sum())
    assert overlap > 0.9


def test_veins_branch_inside_the_liver(patient):
    in_liver = patient.organs.array[patient.liver.array]
    share = np.isin(in_liver, (Organ.PORTAL_VEIN, Organ.HEPATIC_VEIN)).mean()
    assert 0.005 < share < 0.12
