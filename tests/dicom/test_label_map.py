"""A reader's liver and lesions from DICOM SEG."""

from __future__ import annotations

import numpy as np
import pytest

from nen_imaging.contract import Refusal
from nen_imaging.dicom.label_map import read_label_map
from tests.dicom.test_segmentation_image import make_segmentation


def write(path, *labels, lesions=np.s_[2, 2:4]):
    """Two segments of one frame each on the same slice, the second inside the first."""
    frames = np.zeros((2, 5, 7), np.uint8)
    frames[0, 1:4, 1:6] = frames[1][lesions] = 1
    image = make_segmentation(frames, [1, 2], [0.0, 0.0], "BINARY")
    for segment, label in zip(image.SegmentSequence, labels, strict=True):
        segment.SegmentLabel = label
    image.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.66.4"
    image.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    image.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("labels", [("Liver", "Liver tumour"), ("Leber", "Metastasis 1")])
def test_lesions_win_over_the_liver_they_lie_in(tmp_path, labels):
    found = read_label_map(write(tmp_path / "mask.dcm", *labels))
    assert [(found.array == value).sum() for value in (1, 2)] == [13, 2]
    assert found.array.dtype == np.uint8


def test_lesions_may_cover_the_whole_liver(tmp_path):
    found = read_label_map(write(tmp_path / "mask.dcm", "Liver", "Lesion", lesions=np.s_[1:4, 1:6]))
    assert [(found.array == value).sum() for value in (1, 2)] == [0, 15]


def test_a_mask_without_a_voxel_is_refused(tmp_path):
    with pytest.raises(Refusal, match="hold no voxel"):
        read_label_map(write(tmp_path / "mask.dcm", "Spleen", "Liver", lesions=np.s_[:0]))


def test_a_mask_without_a_liver_is_refused_without_quoting_a_label(tmp_path):
    with pytest.raises(Refusal, match="None of the 2 segments") as refused:
        read_label_map(write(tmp_path / "mask.dcm", "JONES", "lesion"))
    assert "JONES" not in str(refused.value)
