import numpy as np
import pytest

from nen_imaging.measurement.organs import coarse_abdomen, find_aorta, find_spleen
from nen_imaging.measurement.phase import classify_phase, measure_phase
from nen_imaging.phantom.anatomy import digital_patient
from nen_imaging.phantom.organs import Organ
from nen_imaging.phantom.staging import staging
from nen_imaging.phantom.tissue import Phase
from nen_imaging.volume import read_nifti


@pytest.fixture(scope="module")
def patient():
    return digital_patient(2, 3.0)


@pytest.mark.parametrize("phase", Phase)
def test_the_phase_of_a_digital_patient_is_measured(patient, phase):
    scan = staging(patient, 15, 2, phase)
    codes = "PLS" if phase is Phase.ARTERIAL else "RAS"
    assert measure_phase(scan.ct.oriented(codes), scan.labels.oriented(codes)).measured == phase.value


def test_organs_found_are_the_organs_painted(patient):
    scan = staging(patient, 10, 3)
    abdomen = coarse_abdomen(scan.ct, scan.labels.array > 0)
    offset = np.linalg.inv(patient.organs.affine) @ abdomen.hu.affine[:, 3]
    k = round(offset[2])
    truth = patient.organs.array[:, :, k : k + abdomen.hu.shape[2]]
    for organ, found in (
        (Organ.AORTA, find_aorta(abdomen)),
        (Organ.SPLEEN, find_spleen(abdomen, enhanced=True)),
    ):
        assert found.mask is not None
        assert (truth[found.mask] == organ).mean() > 0.85


@pytest.mark.parametrize(
    ("liver", "aorta", "phase"),
    [(60, 42, "native"), (65, 300, "arterial"), (110, 155, "portal venous"), (100, 104, "delayed"),
     (115, 60, "unknown"), (110, None, "unknown"), (140, 235, "portal venous")],
)  # fmt: skip
def test_phases_by_their_hu(liver, aorta, phase):
    assert classify_phase(liver, aorta)[0] == phase


def test_what_is_not_found_is_unknown_and_says_why(patient):
    scan = staging(patient, 10, 3)
    air = scan.ct.with_array(np.where(scan.labels.array > 0, scan.ct.array, -1000))
    found = measure_phase(air, scan.labels)
    assert found.measured == "unknown"
    assert found.aorta_hu is None
    assert "spine" in found.reason


def test_real_aortas_and_spleens_lie_in_the_masks_of_an_expert(shared_data):
    """Every third BTCV scan: what is found lies in the expert's mask; at most 2 of 12 organs are refused."""
    refused = 0
    for folder in sorted(shared_data.glob("ct_organs/*/whole_3mm"))[::3]:
        ct, organs = read_nifti(folder / "image.nii.gz"), read_nifti(folder / "organs.nii.gz")
        abdomen = coarse_abdomen(ct, organs.array == 1)
        aorta = find_aorta(abdomen)
        aorta_hu = abdomen.median_hu(aorta)
        spleen = find_spleen(abdomen, enhanced=(aorta_hu or 0) >= 75)
        for label, found in ((7, aorta), (4, spleen)):
            if found.mask is None:
                refused += 1
                continue
            place = np.argwhere(found.mask) @ abdomen.hu.affine[:3, :3].T + abdomen.hu.affine[:3, 3]
            index = np.round((place - ct.affine[:3, 3]) @ np.linalg.inv(ct.affine[:3, :3]).T).astype(int)
            inside = organs.array[tuple(np.clip(index, 0, np.array(ct.shape) - 1).T)] == label
            assert inside.mean() > 0.7, folder
    assert refused <= 2
