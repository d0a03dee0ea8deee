"""The shipped network on images that show no liver, or a part of one."""

from __future__ import annotations

import tarfile
import zipfile

import numpy as np
import pytest
import torch

from nen_imaging.dicom.image import read_image
from nen_imaging.phantom.anatomy import digital_patient
from nen_imaging.phantom.staging import staging
from nen_imaging.segmentation.bundle import find_bundle
from nen_imaging.segmentation.segment import segment_volume
from nen_imaging.shipped import shipped
from nen_imaging.volume import read_nifti

SPACING_MM = 4.0
MOST_ML = 30.0


@pytest.fixture(scope="module")
def bundle():
    return find_bundle(None, shipped("models"))


@pytest.fixture(scope="module")
def patient():
    """CT and labels of a digital patient, axes LPS, from neck to pelvis."""
    scanned = staging(digital_patient(31, SPACING_MM), 8.0, 31)
    return scanned.ct.oriented("LPS"), scanned.labels.oriented("LPS")


def found_ml(ct, bundle):
    """Liver with lesions, and the flags."""
    found = segment_volume(hounsfield(ct), bundle, device="cpu")
    return float((found.labels.array > 0).sum() * found.labels.voxel_volume_ml), found.flags


def hounsfield(ct):
    return ct.with_array(np.asarray(ct.array).round().astype(np.int16))


def part(volume, first, last):
    return volume.cropped(np.array([0, 0, first]), np.array([*volume.shape[:2], last]))


def slices_of_liver(labels):
    k = np.flatnonzero(labels.array.any(axis=(0, 1)))
    return int(k[0]), int(k[-1]) + 1


def test_a_chest_and_a_pelvis_have_no_liver(patient, bundle):
    ct, labels = patient
    first, last = slices_of_liver(labels)
    for body in (part(ct, last + 5, ct.shape[2]), part(ct, 0, first - 5)):
        volume_ml, flags = found_ml(body, bundle)
        assert volume_ml <= MOST_ML
        assert flags == ("liver.absent",)


def test_a_liver_cut_by_the_image_is_flagged(patient, bundle):
    ct, labels = patient
    first, last = slices_of_liver(labels)
    cut = part(labels, (first + last) // 2, ct.shape[2])
    volume_ml, flags = found_ml(part(ct, (first + last) // 2, ct.shape[2]), bundle)
    assert "liver.truncated" in flags
    assert volume_ml == pytest.approx((cut.array > 0).sum() * cut.voxel_volume_ml, rel=0.2)


def test_a_whole_liver_is_not_called_cut(patient, bundle):
    ct, labels = patient
    volume_ml, flags = found_ml(ct, bundle)
    assert "liver.truncated" not in flags
    assert volume_ml == pytest.approx((labels.array > 0).sum() * labels.voxel_volume_ml, rel=0.1)


@pytest.mark.shared
@pytest.mark.parametrize("case", ["lits1_truncated65", "chaos_ct03"])
def test_real_livers_cut_by_the_image_are_flagged(shared_data, bundle, case):
    _, flags = found_ml(read_nifti(shared_data / "ct_labelled" / case / "whole_3mm" / "image.nii.gz"), bundle)
    assert "liver.truncated" in flags


@pytest.mark.shared
def test_a_real_chest_shows_only_the_part_in_view(shared_data, bundle):
    """Of lung1_001 only the liver's dome is in view: nothing may be found in its upper half."""
    image = read_nifti(shared_data / "ct_unlabelled" / "lung1_001" / "whole_3mm" / "image.nii.gz").oriented("LPS")
    volume_ml, _ = found_ml(part(image, image.shape[2] // 2, image.shape[2]), bundle)
    assert volume_ml <= MOST_ML


@pytest.mark.shared
def test_a_real_thigh_has_no_liver(shared_data, bundle, tmp_path):
    with zipfile.ZipFile(shared_data / "pet_gml_sts001" / "ibsi_validation_sts001_pet_ct.zip") as archive:
        archive.extractall(tmp_path, [name for name in archive.namelist() if "/CT/image/" in name])
    folder = next(tmp_path.rglob("CT/image"))
    volume_ml, flags = found_ml(read_image(folder).volume, bundle)
    assert (volume_ml, flags) == (0, ("liver.absent",))


@pytest.mark.shared
def test_a_real_head_has_no_liver(shared_data, bundle, tmp_path):
    with tarfile.open(shared_data / "dicom_oddities" / "ct_gantry_tilt_uneven_ge.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    volume_ml, _ = found_ml(read_image(tmp_path, resample_uneven=True).volume, bundle)
    assert volume_ml <= MOST_ML


def test_a_gpu_and_the_cpu_give_the_same_masks(patient, bundle):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    masks = [segment_volume(hounsfield(patient[0]), bundle, device=device).labels.array for device in ("cpu", "cuda")]
    for lowest in (1, 2):
        first, second = (mask >= lowest for mask in masks)
        assert 2 * (first & second).sum() / (first.sum() + second.sum()) >= 0.998
