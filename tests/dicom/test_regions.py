"""A reader's volume of interest from each kind of file."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from nen_imaging.contract import Refusal
from nen_imaging.dicom.regions import read_region
from nen_imaging.phantom.dicom_writer import write_ct_series
from nen_imaging.phantom.rtstruct import write_rtstruct
from nen_imaging.volume import LPS_TO_RAS, Volume, write_nifti
from tests.dicom.test_segmentation_image import make_segmentation

AFFINE = LPS_TO_RAS @ np.array([[1.5, 0, 0, -30], [0, 1.5, 0, -20], [0, 0, 3.0, 40], [0, 0, 0, 1.0]])


def make_mask() -> Volume:
    mask = np.zeros((40, 30, 6), np.uint8)
    mask[5:25, 4:24, 1:5] = 1
    return Volume(mask, AFFINE)


def centre_mm(mask: Volume) -> np.ndarray:
    return mask.affine[:3, :3] @ np.argwhere(mask.array).mean(axis=0) + mask.affine[:3, 3]


def test_nifti_and_rtstruct_of_one_region_have_one_place_and_volume(tmp_path):
    mask = make_mask()
    write_nifti(tmp_path / "mask.nii.gz", mask)
    files = write_ct_series(tmp_path / "ct", mask)
    write_rtstruct(tmp_path / "drawn.dcm", mask, files, "primary", "")
    nifti, drawn = read_region(tmp_path / "mask.nii.gz", "any"), read_region(tmp_path / "drawn.dcm", "any")
    assert nifti.array.dtype == drawn.array.dtype == bool
    (tmp_path / "mask.nii.gz").rename(tmp_path / "MASK.NII.GZ")
    np.testing.assert_array_equal(read_region(tmp_path / "MASK.NII.GZ", "any").array, nifti.array)
    assert centre_mm(drawn) == pytest.approx(centre_mm(nifti), abs=0.6)
    volumes = [float(one.array.sum()) * one.voxel_volume_ml for one in (nifti, drawn)]
    assert volumes[1] == pytest.approx(volumes[0], rel=0.02)


def test_of_several_segments_the_one_of_the_rows_name_is_taken(tmp_path):
    frames = np.zeros((4, 5, 7), np.uint8)
    frames[0, 1:3, 2:6] = frames[1, 1, 1] = frames[2, 4, 0] = frames[3, 1:3, 2:4] = 1
    image = make_segmentation(frames, [1, 1, 2, 2], [6.0, 0.0, 3.0, 6.0], "BINARY")
    image.SOPClassUID, image.SOPInstanceUID = pydicom.uid.SegmentationStorage, "2.25.7"
    pydicom.dcmwrite(tmp_path / "seg.dcm", image, enforce_file_format=True)
    assert int(read_region(tmp_path / "seg.dcm", "Segment 2").array.sum()) == 5
    with pytest.raises(Refusal, match="0 of its 2 regions") as caught:
        read_region(tmp_path / "seg.dcm", "JONES")
    assert "JONES" not in caught.value.reason.text


def test_what_is_no_region_is_refused(tmp_path):
    (image,) = write_ct_series(tmp_path, Volume(np.zeros((4, 4, 1), np.int16), AFFINE))
    (tmp_path / "broken.nii.gz").write_bytes(b"none")
    for file in (image, tmp_path / "broken.nii.gz"):
        with pytest.raises(Refusal) as caught:
            read_region(file, "")
        assert caught.value.reason.code == "region.unreadable"
