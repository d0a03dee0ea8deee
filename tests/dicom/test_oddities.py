"""Every archive of real oddities ends as its README expects: read, flagged, or refused by name."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from nen_imaging.contract import Refusal
from nen_imaging.dicom.group import SeriesKind
from nen_imaging.dicom.image import list_series, read_image
from nen_imaging.dicom.pixels import hounsfield, is_lossy
from nen_imaging.dicom.series import read_dataset
from tests.dicom.oddities import unpacked

# Of a lossy coding the largest difference in HU that the README names.
CODINGS = {
    "ct_codings_wg04": ("CT1_UNC", {"CT1_JLSN": 4, "CT1_J2KI": 352}),
    "ct_codings_ge_chest": (
        "ct_implicit_le", {"ct_jpegls_nearlossless_81": 1, "ct_j2k_lossy_91": 5, "ct_jpeg_extended_lossy_51": 36},
    ),
}  # fmt: skip


@pytest.mark.parametrize("archive", CODINGS)
def test_lossless_codings_agree_bit_for_bit_and_lossy_ones_are_flagged(archive, shared_data, tmp_path):
    folder = unpacked(shared_data, f"dicom_oddities/{archive}", tmp_path)
    reference, lossy = CODINGS[archive]
    images = {}
    for file in folder.iterdir():
        with file.open("rb") as stream:
            images[file.stem] = read_dataset(stream)
    expected = hounsfield(images[reference]).astype(int)
    assert {name for name, image in images.items() if is_lossy(image)} == set(lossy)
    for name, image in images.items():
        off_hu = int(np.abs(hounsfield(image) - expected).max())
        assert off_hu <= lossy.get(name, 0), name
        assert off_hu > 0 or name not in lossy, name


@pytest.mark.parametrize("name", ["ct1_rle_in_many_fragments", "ct1_undefined_length_private"])
def test_odd_encodings_of_one_slice_hold_the_pixels_of_the_plain_one(name, shared_data, tmp_path):
    folder = unpacked(shared_data, "dicom_oddities/single_files_fodicom", tmp_path)
    plain = unpacked(shared_data, "dicom_oddities/ct_codings_wg04", tmp_path) / "CT1_UNC"
    images = []
    for file in (folder / f"{name}.dcm", plain):
        with file.open("rb") as stream:
            images.append(hounsfield(read_dataset(stream)))
    np.testing.assert_array_equal(*images)


def test_a_ct_kept_as_secondary_capture_is_no_ct(shared_data, tmp_path):
    """An ankle, without position and spacing, its date in the old form."""
    file = unpacked(shared_data, "dicom_oddities/single_files_fodicom", tmp_path) / "ct_ankle_as_secondary_capture.dcm"
    (found,) = list_series(file)
    assert (found.series.kind, found.series.date) == (SeriesKind.NOT_HU, "1993-04-30")
    with pytest.raises(Refusal) as caught:
        read_image(file)
    assert caught.value.reason.code == "ct.not_hu"


@pytest.mark.parametrize(
    ("archive", "kinds", "code"),
    [
        ("ct_gantry_tilt_uneven_ge", {SeriesKind.CT: 1}, "slices.uneven"),
        ("ct_gap_202mm_lidc0314", {SeriesKind.CT: 1}, "slices.missing"),
        ("ct_localizers", {SeriesKind.LOCALIZER: 3, SeriesKind.NOT_HU: 2}, "ct.not_hu"),
        ("enhanced_multiframe", {SeriesKind.NOT_HU: 1, SeriesKind.PET: 1}, "ct.not_hu"),
        ("ct_head_cq500", {SeriesKind.CT: 1}, "slices.too_few"),
        ("pet_rwv_seg_sr_qin0003", {SeriesKind.OTHER: 3}, "image.missing"),
        ("pet_refuse_propcnts_acrin042", {SeriesKind.PET: 1}, "ct.none"),
    ],
)
def test_an_archive_holds_these_series_and_its_ct_ends_so(archive, kinds, code, shared_data):
    path = shared_data / "dicom_oddities" / f"{archive}.tar.xz"
    assert Counter(one.series.kind for one in list_series(path)) == kinds
    with pytest.raises(Refusal) as caught:
        read_image(path)
    assert caught.value.reason.code == code


def test_three_slices_of_a_liver_are_a_volume_although_their_thickness_is_not_their_spacing(shared_data):
    image = read_image(shared_data / "dicom_oddities" / "ct_liver_3slices_seg.tar.xz")
    assert image.volume.shape == (512, 512, 3)
    assert image.volume.spacing_mm == pytest.approx([0.810547, 0.810547, 1.0], abs=1e-4)


def test_what_was_made_on_images_that_are_not_there_says_so_by_name(study, shared_data):
    """Value mapping, segmentation and report of a PET that is missing; with their images the same say nothing."""
    path = shared_data / "dicom_oddities" / "pet_rwv_seg_sr_qin0003.tar.xz"
    with pytest.raises(Refusal, match="The images that RWV, SEG, SR were made on are not there"):
        read_image(path)
    study.index(path)
    assert [row["codes"] for row in study.table("series")] == ["file.unsupported image.missing"] * 3
    assert {row["reason"].partition("; ")[2] for row in study.table("series")} == {
        f"{modality} of images that are not in the study" for modality in ("RWV", "SEG", "SR")
    }
    assert "the images of" in study.table("studies")[0]["reason"]
    whole = list_series(shared_data / "dicom_oddities" / "ct_liver_3slices_seg.tar.xz")
    assert any(one.series.modality == "SEG" for one in whole)
    assert not any(one.series.lacks_images for one in whole)
