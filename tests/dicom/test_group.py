"""A SeriesInstanceUID becomes one series per acquisition and grid."""

import shutil

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from nen_imaging.contract import Results
from nen_imaging.dicom.database import FilesDatabase, files_of_series
from nen_imaging.dicom.group import Series, SeriesKind, group_series
from nen_imaging.dicom.privacy import Pseudonymiser, pseudonyms
from nen_imaging.dicom.scan import scan_study
from nen_imaging.phantom.dicom_writer import write_ct_series, write_pet_series
from nen_imaging.stage import StageError
from nen_imaging.volume import Volume

ONE_UID = {"SeriesInstanceUID": generate_uid(entropy_srcs=["one series"])}


def volume(slices=4, shape=(3, 3), affine=None):
    return Volume(
        np.full((*shape, slices), 40, np.int16), np.diag([-1.0, -1.0, 3.0, 1.0]) if affine is None else affine
    )


def group(tmp_path) -> list[Series]:
    pseudonymiser = Pseudonymiser(b"key of this test")
    with FilesDatabase(Results(tmp_path).files_database) as database:
        scan_study(tmp_path / "study", database, pseudonymiser)
        patients = pseudonyms(pseudonymiser, database.issuers())
        return sorted(group_series(database, pseudonymiser, patients), key=lambda one: (-one.files, one.key))


def ct(tmp_path, name="a", grid=None, **options):
    return write_ct_series(tmp_path / "study" / name, grid or volume(), **options)


def test_facts_of_a_series(tmp_path):
    ct(tmp_path, grid=volume(5), skip_slices=[2], series_description="Abdomen arterial")
    (one,) = group(tmp_path)
    assert (one.kind, one.phase, one.files, one.slices, one.date) == (SeriesKind.CT, "arterial", 4, 4, "2020-01-15")
    assert (one.spacing_mm, one.slice_thickness_mm, one.extent_mm) == (3.0, 3.0, 15.0)  # a gap keeps the spacing
    assert one.is_axial
    assert one.codes == ()


def test_every_file_is_found_through_its_series(tmp_path):
    files = ct(tmp_path) + ct(tmp_path, "b", series_number=7)
    found = [files_of_series(Results(tmp_path), one.key) for one in group(tmp_path)]
    assert {study for study, _ in found} == {tmp_path / "study"}
    assert sorted(study / path for study, paths in found for path in paths) == sorted(files)


def test_a_series_that_is_not_known_or_not_there_says_so(tmp_path):
    ct(tmp_path)
    (one,) = group(tmp_path)
    with pytest.raises(StageError, match="knows no series NONE"):
        files_of_series(Results(tmp_path), "NONE")
    shutil.rmtree(tmp_path / "study")
    with pytest.raises(StageError, match="no longer where it was indexed"):
        files_of_series(Results(tmp_path), one.key)
    with pytest.raises(StageError, match="is missing"):
        files_of_series(Results(tmp_path / "nowhere"), one.key)


def test_a_scout_among_the_slices_is_split_off_and_the_rest_keeps_its_key(tmp_path):
    ct(tmp_path, tags=ONE_UID)
    (alone,) = group(tmp_path)
    ct(tmp_path, "scout", volume(1, (8, 5)), series_number=9,
       tags=ONE_UID | {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]})  # fmt: skip
    slices, scout = group(tmp_path)
    assert (slices.key, slices.digest) == (alone.key, alone.digest)
    assert (scout.kind, scout.codes) == (SeriesKind.LOCALIZER, ("ct.localizer",))


def test_acquisitions_at_the_same_positions_are_split(tmp_path):
    ct(tmp_path, "a", volume(5), tags=ONE_UID | {"AcquisitionNumber": 1})
    ct(tmp_path, "b", volume(4), tags=ONE_UID | {"AcquisitionNumber": 2}, series_number=9)
    assert [one.files for one in group(tmp_path)] == [5, 4]


def test_acquisitions_one_above_the_other_stay_together(tmp_path):
    higher = np.diag([-1.0, -1.0, 3.0, 1.0])
    higher[2, 3] = 12
    ct(tmp_path, "a", tags=ONE_UID | {"AcquisitionNumber": 1})
    ct(tmp_path, "b", volume(affine=higher), tags=ONE_UID | {"AcquisitionNumber": 2}, series_number=9)
    (one,) = group(tmp_path)
    assert (one.files, one.extent_mm) == (8, 24.0)


def test_identical_copies_are_no_second_acquisition(tmp_path):
    ct(tmp_path)
    shutil.copytree(tmp_path / "study" / "a", tmp_path / "study" / "copy")
    (one,) = group(tmp_path)
    assert one.files == 8


@pytest.mark.parametrize("other", [{"shape": (5, 3)}, {"affine": np.diag([-2.0, -1.0, 3.0, 1.0])}])
def test_another_matrix_or_pixel_spacing_is_another_series(tmp_path, other):
    ct(tmp_path, "a", tags=ONE_UID)
    ct(tmp_path, "b", volume(2, **other), tags=ONE_UID, series_number=9)
    assert [one.files for one in group(tmp_path)] == [4, 2]


@pytest.mark.parametrize(
    ("tags", "kind"),
    [
        ({}, SeriesKind.CT),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL"]}, SeriesKind.CT),
        ({"ImageType": ["DERIVED", "SECONDARY"], "RescaleSlope": None}, SeriesKind.NOT_HU),
        ({"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, SeriesKind.NOT_HU),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, SeriesKind.NOT_HU),
        ({"SeriesDescription": "Topogram 0.6"}, SeriesKind.LOCALIZER),
        ({"Modality": "MR"}, SeriesKind.OTHER),
    ],
)
def test_kinds_of_ct(tmp_path, tags, kind):
    ct(tmp_path, tags=tags)
    (one,) = group(tmp_path)
    assert one.kind == kind


def test_eight_bits_are_a_mask_even_with_a_rescale(tmp_path):
    """As the masks of 3D-IRCADb, which call themselves original CT."""
    for file in ct(tmp_path):
        image = pydicom.dcmread(file)
        image.BitsAllocated = image.BitsStored = 8
        image.HighBit, image.PixelData = 7, image.PixelData[::2] + b"\0"
        image.save_as(file)
    (one,) = group(tmp_path)
    assert (one.kind, one.codes) == (SeriesKind.NOT_HU, ("ct.not_hu",))


@pytest.mark.parametrize(
    ("corrected", "kind"),
    [(["DECY", "ATTN"], SeriesKind.PET), (["DECY"], SeriesKind.PET_UNCORRECTED), (None, SeriesKind.PET)],
)
def test_kinds_of_pet(tmp_path, corrected, kind):
    suv = Volume(np.ones((3, 3, 4), np.float32), volume().affine)
    write_pet_series(tmp_path / "study", suv, tags={"CorrectedImage": corrected})
    (one,) = group(tmp_path)
    assert one.kind == kind


def test_the_digest_knows_names_and_headers_not_times(tmp_path):
    files = ct(tmp_path)
    (before,) = group(tmp_path)
    for file in files:
        file.touch()
    (touched,) = group(tmp_path)
    assert touched.digest == before.digest
    files[0].rename(files[0].with_name("renamed"))
    (renamed,) = group(tmp_path)
    assert renamed.digest != before.digest


@pytest.mark.parametrize("name", ["ct_localizers", "enhanced_multiframe"])
def test_real_oddities_end_as_series(tmp_path, shared_data, name):
    (tmp_path / "study").mkdir()
    shutil.copy(shared_data / "dicom_oddities" / f"{name}.tar.xz", tmp_path / "study")
    kinds = {one.kind for one in group(tmp_path)}
    assert kinds >= ({SeriesKind.LOCALIZER} if name == "ct_localizers" else {SeriesKind.NOT_HU, SeriesKind.PET})
