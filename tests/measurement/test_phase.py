from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nen_imaging.measurement.organs import coarse_abdomen, find_aorta, find_landmarks, find_spleen
from nen_imaging.measurement.phase import classify_phase, measure_phase
from nen_imaging.phantom.anatomy import digital_patient
from nen_imaging.phantom.organs import Organ
from nen_imaging.phantom.staging import staging
from nen_imaging.phantom.tissue import Phase
from nen_imaging.volume import Volume, read_nifti, resample


@pytest.fixture(scope="module")
def patient():
    return digital_patient(2, 3.0)


@pytest.mark.parametrize("phase", Phase)
def test_the_phase_of_a_digital_patient_is_measured(patient, phase):
    scan = staging(patient, 15, 2, phase)
    codes = "PLS" if phase is Phase.ARTERIAL else "RAS"
    assert measure_phase(scan.ct.oriented(codes), scan.labels.oriented(codes)).measured == phase.value


def share_painted(patient, abdomen, found, organ) -> float:
    """How much of what was found is that organ in the digital patient."""
    painted = resample(patient.organs, abdomen.hu.shape, abdomen.hu.affine, nearest=True)
    return float((painted.array[found.mask] == organ).mean())


def test_organs_found_are_the_organs_painted(patient):
    scan = staging(patient, 10, 3)
    abdomen = coarse_abdomen(scan.ct, scan.labels.array > 0)
    assert share_painted(patient, abdomen, find_aorta(abdomen), Organ.AORTA) > 0.85
    assert share_painted(patient, abdomen, find_spleen(abdomen, enhanced=True), Organ.SPLEEN) > 0.85


def with_half_a_spleen_and_even_kidneys(patient):
    organs = patient.organs.array.copy()
    spleen = organs == Organ.SPLEEN
    height = np.arange(organs.shape[2])
    organs[spleen & (height > np.quantile(spleen.nonzero()[2], 0.5))] = Organ.FAT
    organs[organs == Organ.KIDNEY_MEDULLA] = Organ.KIDNEY_CORTEX  # as a late phase shows it
    return replace(patient, organs=patient.organs.with_array(organs))


def test_a_kidney_brighter_than_the_aorta_is_no_spleen():
    patient = with_half_a_spleen_and_even_kidneys(digital_patient(10, 4.0))
    scan = staging(patient, 20, 10)
    abdomen = coarse_abdomen(scan.ct, scan.labels.array > 0)
    found = find_landmarks(abdomen, 90.0)
    assert share_painted(patient, abdomen, find_spleen(abdomen, enhanced=True), Organ.SPLEEN) < 0.1  # by size alone
    assert share_painted(patient, abdomen, found.spleen, Organ.SPLEEN) > 0.85


def test_a_vessel_without_contrast_medium_beside_an_enhanced_liver_is_refused(patient):
    scan = staging(patient, 10, 3, Phase.NATIVE)
    abdomen = coarse_abdomen(scan.ct, scan.labels.array > 0)
    assert find_landmarks(abdomen, 55.0).aorta.mask is not None
    refused = find_landmarks(abdomen, 115.0).aorta
    assert refused.mask is None
    assert "does not fit an enhanced liver" in refused.reason


# The field of view as shares of the image's width and depth (RAS: left to right, back to front).
@pytest.mark.parametrize(
    "view", [(0, 0.55, 0, 1), (0, 0.65, 0, 1), (0.35, 1, 0, 1), (0, 1, 0.25, 1), (0.2, 0.8, 0.1, 0.9)]
)
def test_the_aorta_is_found_in_a_small_field_of_view(patient, view):
    ct, labels = cut(staging(patient, 10, 3), *view)
    abdomen = coarse_abdomen(ct, labels.array > 0)
    assert share_painted(patient, abdomen, find_aorta(abdomen), Organ.AORTA) > 0.85


@pytest.mark.parametrize("view", [(0.55, 1, 0, 1), (0, 1, 0.5, 1)], ids=["right half", "front half"])
def test_a_field_of_view_without_the_spine_is_unknown(patient, view):
    found = measure_phase(*cut(staging(patient, 10, 3), *view))
    assert (found.measured, found.aorta_hu, found.spleen_hu) == ("unknown", None, None)
    assert "no spine" in found.reason


def test_a_spine_at_the_edge_of_the_image_leaves_the_aorta_unknown(patient):
    found = measure_phase(*cut(staging(patient, 10, 3), 0, 1, 0, 0.48))
    assert (found.measured, found.aorta_hu) == ("unknown", None)
    assert "cut by the edge of the image" in found.reason


def cut(scan, left, right, back, front) -> tuple[Volume, Volume]:
    x, y, z = scan.ct.shape
    start, stop = np.array([left * x, back * y, 0]).astype(int), np.array([right * x, front * y, z]).astype(int)
    return scan.ct.oriented("RAS").cropped(start, stop), scan.labels.oriented("RAS").cropped(start, stop)


@pytest.fixture(scope="module")
def small_scan():
    return staging(digital_patient(2, 4.0), 15, 2)


@given(st.tuples(*[st.integers(0, 100)] * 6))
@settings(max_examples=20, deadline=None)
def test_any_piece_of_a_scan_is_measured_or_unknown_with_a_reason(small_scan, corners):
    shape = np.array(small_scan.ct.shape)
    first, second = np.array(corners[:3]), np.array(corners[3:])
    start, stop = (shape * np.minimum(first, second) // 101, shape * np.maximum(first, second) // 101 + 1)
    found = measure_phase(small_scan.ct.cropped(start, stop), small_scan.labels.cropped(start, stop))
    assert (found.measured == "unknown") == (found.liver_hu is None or found.aorta_hu is None)
    assert found.reason


@pytest.mark.filterwarnings("error")
def test_a_scan_of_one_thin_slice_is_unknown(small_scan):
    middle = int(np.argwhere(small_scan.labels.array)[:, 2].mean())
    start, stop = np.array([0, 0, middle]), np.array([*small_scan.ct.shape[:2], middle + 1])
    thin = np.diag([1.0, 1.0, 0.25, 1.0])  # 1 mm: thinner than what is averaged
    ct, labels = (
        Volume(volume.cropped(start, stop).array, volume.affine @ thin) for volume in (small_scan.ct, small_scan.labels)
    )
    assert measure_phase(ct, labels).measured == "unknown"


def test_a_label_map_without_liver_is_unknown(small_scan):
    found = measure_phase(small_scan.ct, small_scan.labels.with_array(np.zeros_like(small_scan.labels.array)))
    assert (found.measured, found.reason) == ("unknown", "the label map holds no liver")


@pytest.mark.parametrize(
    ("liver", "aorta", "phase"),
    [(60, 42, "native"), (65, 300, "arterial"), (110, 155, "portal venous"), (100, 104, "delayed"),
     (None, 150, "unknown"), (110, None, "unknown"), (140, 235, "portal venous")],
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
        landmarks = find_landmarks(abdomen, float(np.median(ct.array[organs.array == 1])))
        for label, found in ((7, landmarks.aorta), (4, landmarks.spleen)):
            if found.mask is None:
                refused += 1
                continue
            place = np.argwhere(found.mask) @ abdomen.hu.affine[:3, :3].T + abdomen.hu.affine[:3, 3]
            index = np.round((place - ct.affine[:3, 3]) @ np.linalg.inv(ct.affine[:3, :3]).T).astype(int)
            inside = organs.array[tuple(np.clip(index, 0, np.array(ct.shape) - 1).T)] == label
            assert inside.mean() > 0.7, folder
    assert refused <= 2
