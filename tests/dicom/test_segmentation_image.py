"""DICOM Segmentation images as masks."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import ExplicitVRLittleEndian

from nen_imaging.contract import Refusal
from nen_imaging.dicom.segmentation_image import read_segments
from nen_imaging.dicom.series import read_ct, read_pet
from nen_imaging.measurement.peak import suv_peaks
from nen_imaging.volume import LPS_TO_RAS
from tests.dicom.oddities import opened, unpacked


def item(**values: object) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def make_segmentation(frames: np.ndarray, numbers: list[int], z_mm: list[float], kind: str) -> Dataset:
    """A segmentation; `frames` is indexed (frame, row, column)."""
    image = item(SegmentationType=kind, NumberOfFrames=len(frames), Rows=frames.shape[1], Columns=frames.shape[2])
    image.SamplesPerPixel, image.PhotometricInterpretation, image.PixelRepresentation = 1, "MONOCHROME2", 0
    image.BitsAllocated = image.BitsStored = 1 if kind == "BINARY" else 8
    image.HighBit = image.BitsStored - 1
    image.PixelData = np.packbits(frames.ravel(), bitorder="little").tobytes() if kind == "BINARY" else frames.tobytes()
    image.SegmentSequence = DicomSequence([item(SegmentNumber=n, SegmentLabel=f"segment {n}") for n in (1, 2)])
    if kind == "FRACTIONAL":
        image.MaximumFractionalValue = 200
    shared = item(
        PlaneOrientationSequence=DicomSequence([item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]),
        PixelMeasuresSequence=DicomSequence([item(PixelSpacing=[2, 1], SliceThickness=5, SpacingBetweenSlices=3)]),
    )
    image.SharedFunctionalGroupsSequence = DicomSequence([shared])
    groups = [
        item(
            PlanePositionSequence=DicomSequence([item(ImagePositionPatient=[-10, -20, z])]),
            SegmentIdentificationSequence=DicomSequence([item(ReferencedSegmentNumber=number)]),
        )
        for number, z in zip(numbers, z_mm, strict=True)
    ]
    image.PerFrameFunctionalGroupsSequence = DicomSequence(groups)
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return image


@pytest.mark.parametrize(("kind", "value"), [("BINARY", 1), ("FRACTIONAL", 100)])
def test_sparse_frames_of_overlapping_segments_lie_in_their_slices(kind, value):
    frames = np.zeros((4, 5, 7), np.uint8)
    frames[0, 1:3, 2:6] = frames[1, 1, 1] = frames[2, 4, 0] = frames[3, 1:3, 2:4] = value
    first, second = read_segments(make_segmentation(frames, [1, 1, 2, 2], [6.0, 0.0, 3.0, 6.01], kind))
    assert (first.label, second.number) == ("segment 1", 2)
    assert first.mask.shape == (7, 5, 3)
    assert first.mask.spacing_mm == pytest.approx([1, 2, 3], abs=0.01)
    assert [int(first.mask.array[:, :, k].sum()) for k in range(3)] == [1, 0, 8]
    assert [int(second.mask.array[:, :, k].sum()) for k in range(3)] == [0, 1, 4]
    assert (LPS_TO_RAS @ first.mask.affine)[:3, 3] == pytest.approx([-10, -20, 0])


def test_many_slices_stay_in_their_places():
    z_mm = [round(1.171875 * k, 6) for k in range(400)]
    first, _ = read_segments(make_segmentation(np.ones((400, 2, 3), np.uint8), [1] * 400, z_mm, "BINARY"))
    assert first.mask.shape == (3, 2, 400)
    assert first.mask.array.all()
    assert first.mask.spacing_mm[2] == pytest.approx(1.171875, abs=1e-6)


def test_a_label_map_has_a_background_that_need_not_be_0():
    frames = np.full((2, 5, 7), 5, np.uint8)
    frames[0, 1, 1:4], frames[1, 2, 2] = 1, 2
    image = make_segmentation(frames, [1, 1], [0.0, 3.0], "LABELMAP")
    image.PixelPaddingValue = 5
    assert [int(one.mask.array.sum()) for one in read_segments(image)] == [3, 1]


def test_a_frame_of_an_unknown_segment_and_frames_of_no_patient_are_refused():
    frames = np.zeros((2, 5, 7), np.uint8)
    with pytest.raises(Refusal, match="segment 9"):
        read_segments(make_segmentation(frames, [1, 9], [0.0, 3.0], "BINARY"))
    image = make_segmentation(frames, [1, 1], [0.0, 3.0], "BINARY")
    del image.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    with pytest.raises(Refusal) as caught:
        read_segments(image)
    assert caught.value.reason.code == "geometry.missing"


# --- real segmentations -----------------------------------------------------------------------------------------------


def sizes(file) -> list[int]:
    return [int(one.mask.array.sum()) for one in read_segments(pydicom.dcmread(file))]


def test_real_segments_on_a_pet_have_their_known_uptake(shared_data, tmp_path):
    """petct_ge_acrin042, three segments; their positions lie up to 0.013 mm beside the image's."""
    folder = unpacked(shared_data, "petct_ge_acrin042/petct_ge_acrin042", tmp_path)
    suv = read_pet(opened(folder / "pet_ac")).volume
    known = {
        "seg_pt.dcm": [(2548, 42.217380478, 5.216081659), (23730, 2.456320671, 0.293342886)],
        "seg_pt2.dcm": [(118130, 42.217380478, 0.591752516)],
    }
    for name, expected in known.items():
        for segment, (voxels, highest, mean) in zip(
            read_segments(pydicom.dcmread(folder / name)), expected, strict=True
        ):
            start = np.rint((np.linalg.inv(suv.affine) @ segment.mask.affine)[:3, 3]).astype(int)
            assert start[:2].tolist() == [0, 0]
            to_suv = np.rint(np.linalg.inv(suv.affine)[:3, :3] @ segment.mask.affine[:3, :3]).astype(int)
            assert np.abs(to_suv).tolist() == np.eye(3, dtype=int).tolist()
            index = np.argwhere(segment.mask.array) @ to_suv.T + start
            values = suv.array[tuple(index.T)]
            assert values.size == voxels
            assert float(values.max()) == pytest.approx(highest, rel=1e-6)
            assert float(values.mean(dtype=float)) == pytest.approx(mean, rel=1e-6)
            if voxels == 2548:
                inside = np.zeros(suv.shape, bool)
                inside[tuple(index.T)] = True
                assert suv_peaks(suv, inside)[1] == pytest.approx(33.153429, rel=1e-6)


def test_real_liver_in_every_coding_that_can_be_decoded(shared_data, tmp_path):
    folder = unpacked(shared_data, "dicom_oddities/ct_liver_3slices_seg", tmp_path)
    assert {name: sizes(folder / f"{name}.dcm") for name in ("liver", "liver_expb", "liver_j2k")} == {
        "liver": [107098], "liver_expb": [107098], "liver_j2k": [107098],
    }  # fmt: skip
    assert sizes(folder / "partial_overlaps.dcm") == [9602, 11888, 10743, 6693, 4713]
    for name in ("liver_rle", "liver_deflate"):
        with pytest.raises(Refusal) as caught:
            sizes(folder / f"{name}.dcm")
        assert caught.value.reason.code == "pixels.undecodable", name
    ct = read_ct((f"{n}", (folder / f"0{n}.dcm").open("rb")) for n in (1, 2, 3)).volume
    (liver,) = read_segments(pydicom.dcmread(folder / "liver.dcm"))
    assert ct.spacing_mm[2] == pytest.approx(1.0, abs=1e-3)
    values = ct.oriented("RAS").array[liver.mask.oriented("RAS").array]
    assert float(values.mean()) == pytest.approx(37.3289, abs=1e-3)


def test_real_test_objects_are_read_or_refused(shared_data, tmp_path):
    folder = unpacked(shared_data, "dicom_oddities/seg_highdicom", tmp_path)
    found: dict[str, list[int] | str] = {}
    for file in sorted(folder.glob("seg_*.dcm")):
        try:
            found[file.stem.removeprefix("seg_image_")] = sizes(file)
        except Refusal as refusal:
            found[file.stem.removeprefix("seg_image_")] = refusal.reason.code
    assert found.pop("sm_dots_tiled_full") == "image.multiframe"
    assert {name for name, one in found.items() if one == "geometry.missing"} == {
        "cr_binary", "sm_control", "sm_control_labelmap", "sm_control_labelmap_palette_color", "sm_dots", "sm_numbers",
    }  # fmt: skip
    assert found["ct_binary"] == found["ct_binary_fractional"] == found["ct_true_fractional"] == [638]
    assert found["ct_binary_overlap"] == [64, 16]
    assert found["ct_binary_single_frame"] == [1832]
    dcmqi = unpacked(shared_data, "dicom_oddities/seg_dcmqi", tmp_path)
    assert sizes(dcmqi / "24x38x3_seg_label.seg") == [315]
    assert sizes(dcmqi / "sparse-labelmap-noppv.dcm") == sizes(dcmqi / "sparse-labelmap-ppv5.dcm") == [630]
