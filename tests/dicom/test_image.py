"""One CT from whatever a person names."""

from __future__ import annotations

import re
import tarfile
import zipfile

import numpy as np
import pytest

from nen_imaging.cli.main import main
from nen_imaging.contract import Refusal
from nen_imaging.dicom.image import list_series, read_image
from nen_imaging.phantom.dicom_writer import write_ct_series, write_pet_series
from nen_imaging.phantom.series_options import PatientTags
from nen_imaging.volume import Volume, require_same_grid, write_nifti

AFFINE = np.diag([-0.8, -0.8, 3.0, 1.0])


def make_ct(slices: int = 12) -> Volume:
    array = np.full((24, 20, slices), -1000, np.int16)
    array[4:-4, 4:-4] = 50
    return Volume(array, AFFINE)


def refusal_of(path) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read_image(path)
    return caught.value


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "study"
    write_ct_series(path / "deep" / "below", make_ct())
    (path / "notes.txt").write_text("no image")
    return path


def test_a_folder_its_archives_and_a_nifti_give_the_same_image(folder, tmp_path):
    expected = read_image(folder)
    require_same_grid(expected.volume, make_ct(), tolerance_mm=1e-4)
    np.testing.assert_array_equal(expected.volume.array, make_ct().array)
    with tarfile.open(tmp_path / "study.tar.gz", "w:gz") as tar:
        tar.add(folder, "study")
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as zipped:
        for file in folder.rglob("*"):
            zipped.write(file, file.relative_to(folder))
    write_nifti(tmp_path / "ct.nii.gz", expected.volume)
    write_nifti(tmp_path / "other.nii.gz", expected.volume)
    (tmp_path / "other.nii.gz").rename(tmp_path / "CT.NII.GZ")
    for name in ("study.tar.gz", "study.zip", "ct.nii.gz", "CT.NII.GZ"):
        image = read_image(tmp_path / name)
        require_same_grid(image.volume, expected.volume, tolerance_mm=1e-4)
        np.testing.assert_array_equal(image.volume.array, expected.volume.array, err_msg=name)
        assert image.facts["slices"] == 12


def test_two_patients_are_refused(folder):
    write_ct_series(folder / "other", make_ct(), patient=PatientTags(patient_id="PHANTOM-2"))
    refusal = refusal_of(folder)
    assert refusal.reason.code == "image.several_patients"
    assert "PHANTOM" not in refusal.reason.text


def test_of_two_series_the_better_is_taken_and_said(folder):
    write_ct_series(folder / "short", make_ct(4), series_number=3, series_description="short")
    image = read_image(folder)
    assert image.volume.shape[2] == 12
    assert [reason.code for reason in image.reasons] == ["image.several_series"]


def test_every_series_is_told_and_another_one_can_be_named(folder):
    write_ct_series(folder / "short", make_ct(4), series_number=3, series_description="short")
    write_pet_series(folder / "pet", Volume(np.ones((8, 8, 4), np.float32), AFFINE))
    told: list[str] = []
    read_image(folder, tell=told.append)
    taken, left, pet = told
    assert re.fullmatch(r"CT series \w+ taken: 12 slices, \S+; \S+ points: phase .*", taken)
    assert " left: 4 slices" in left
    assert "only 4 slices -50" in left
    assert pet == "1 series skipped: PET"
    assert "PHANTOM" not in "".join(told).upper()
    key = left.split()[2]
    again: list[str] = []
    image = read_image(folder, series=key, tell=again.append)
    assert image.volume.shape[2] == 4
    assert f"CT series {key} taken: 4 slices" in again[1]
    assert image.reasons == []


def test_of_two_patients_a_series_can_be_named(folder):
    write_ct_series(folder / "other", make_ct(4), patient=PatientTags(patient_id="PHANTOM-2"))
    key = next(one.series.key for one in list_series(folder) if one.series.slices == 4)
    assert read_image(folder, series=key).volume.shape[2] == 4


def test_a_series_that_is_no_ct_of_the_image_is_refused_with_those_that_are(folder, tmp_path):
    write_pet_series(folder / "pet", Volume(np.ones((8, 8, 4), np.float32), AFFINE))
    key_of = {one.series.modality: one.series.key for one in list_series(folder)}
    ct, pet = key_of["CT"], key_of["PT"]
    for key in (pet, "NONE"):
        with pytest.raises(Refusal) as caught:
            read_image(folder, series=key)
        assert caught.value.reason.code == "image.series_unknown"
        assert f"no CT series {key}; there are: {ct}." in caught.value.reason.text
    write_nifti(tmp_path / "ct.nii.gz", make_ct())
    with pytest.raises(Refusal, match="NIfTI"):
        read_image(tmp_path / "ct.nii.gz", series=ct)


def test_a_series_has_the_key_that_it_has_in_the_index(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("NEN_IMAGING_KEY_FILE", str(tmp_path / "key"))
    assert list_series(folder) == list_series(folder)
    assert not (tmp_path / "key").exists()
    assert main(["index", str(folder), "--results", str(tmp_path / "results")]) == 0
    (found,) = list_series(folder)
    assert f",{found.series.key}," in (tmp_path / "results" / "index" / "series.csv").read_text("utf-8")


def test_a_nifti_of_coronal_slices_tells_their_own_number_and_spacing(tmp_path):
    array = np.random.default_rng(0).integers(-1000, 300, (24, 6, 20)).astype(np.int16)
    write_nifti(tmp_path / "ct.nii.gz", Volume(array, np.diag([0.8, 8.0, 0.8, 1.0])))
    image = read_image(tmp_path / "ct.nii.gz")
    assert (image.facts["slices"], image.facts["slice_spacing_mm"], image.facts["plane"]) == (6, 8.0, "coronal")
    assert {"slices.thick", "slices.not_axial"} <= {reason.code for reason in image.reasons}


def test_a_pet_beside_the_ct_is_no_rival(folder):
    write_pet_series(folder / "pet", Volume(np.ones((8, 8, 4), np.float32), AFFINE))
    assert read_image(folder).reasons == []
    assert len(list_series(folder)) == 2


def test_without_a_ct_it_is_refused(tmp_path):
    write_pet_series(tmp_path, Volume(np.ones((8, 8, 4), np.float32), AFFINE))
    assert refusal_of(tmp_path).reason.code == "ct.none"


def test_nothing_that_is_dicom_and_no_such_path_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    assert refusal_of(tmp_path).reason.code == "study.empty"
    assert refusal_of(tmp_path / "nowhere").reason.code == "image.unreadable"
    assert refusal_of(tmp_path / "nowhere.nii.gz").reason.code == "image.unreadable"


def test_nifti_that_is_broken_or_sheared_is_refused(tmp_path):
    (tmp_path / "broken.nii").write_bytes(b"\0" * 400)
    assert refusal_of(tmp_path / "broken.nii").reason.code == "image.unreadable"
    sheared = AFFINE.copy()
    sheared[1, 2] = 1.5
    write_nifti(tmp_path / "sheared.nii.gz", Volume(make_ct().array, sheared))
    code = refusal_of(tmp_path / "sheared.nii.gz").reason.code
    assert code == "geometry.inconsistent"


def test_nifti_with_holes_and_fractions_becomes_hounsfield_integers(tmp_path):
    array = make_ct().array.astype(np.float32) + 0.4
    array[0, 0, 0] = np.nan
    write_nifti(tmp_path / "ct.nii.gz", Volume(array, AFFINE))
    read = read_image(tmp_path / "ct.nii.gz").volume.array
    assert read.dtype == np.int16
    assert read[0, 0, 0] == -1024
    np.testing.assert_array_equal(read[1:], make_ct().array[1:])


@pytest.mark.parametrize(
    ("archive", "shape", "spacing_mm"),
    [
        ("ct_ircad17/ct_ircad17.tar.xz", (512, 512, 119), (0.743, 0.743, 1.6)),
        ("ct_chaos3/ct_chaos3.tar.xz", (512, 512, 78), (0.7265625, 0.7265625, 2.0)),
    ],
)
def test_real_ct_without_a_patient_id_and_with_masks_beside_it(archive, shape, spacing_mm, shared_data):
    image = read_image(shared_data / archive)
    assert image.volume.shape == shape
    assert image.volume.spacing_mm == pytest.approx(spacing_mm, abs=1e-3)
    assert image.reasons == []
