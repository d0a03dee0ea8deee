"""A PET in another frame of reference: brought onto the CT to 2-3 mm, or refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from nen_imaging.config import Config
from nen_imaging.measurement import alignment, uptake
from nen_imaging.measurement.alignment import DIRECTLY, THROUGH_LOW_DOSE_CT, Alignment, Judge, align_pet
from nen_imaging.measurement.liver_on_ct import LiverOnCt
from nen_imaging.phantom.anatomy import digital_patient
from nen_imaging.phantom.scanner import CtScanner
from nen_imaging.phantom.staging import staging
from nen_imaging.phantom.tissue import Phase
from nen_imaging.volume import Volume

OPTIONS = Config().options_of("uptake")
PAINTED = {"size_mm": (384.0, 320.0, 248.0), "lowest_mm": -180.0}
LOAD_PERCENT = 20.0


@pytest.fixture(scope="module")
def scan():
    """CT and PET of one patient, both in the CT's frame."""
    return staging(digital_patient(5, 4.0, **PAINTED), LOAD_PERCENT, 1, with_pet=True)


@pytest.fixture(scope="module")
def low_dose_ct():
    """The PET's own CT: another day's noise, no contrast medium, thick slices, a diaphragm 5 mm higher."""
    scanner = CtScanner(fwhm_mm=2.0, noise_hu=25.0, slice_thickness_mm=8.0)
    ct = staging(digital_patient(5, 4.0, **PAINTED), LOAD_PERCENT, 1, Phase.NATIVE, scanner=scanner).ct
    return placed(ct, moved_by(np.eye(3), (0, 0, 5)))


@pytest.fixture(scope="module")
def true_matrix(scan):
    """12 mm and 4 degrees at the liver, on a table that counts from elsewhere."""
    matrix = moved_by(
        Rotation.from_euler("xyz", (2.6, -2.2, 2.1), degrees=True).as_matrix(), (7, -8, 5.5), centre(scan)
    )
    return moved_by(np.eye(3), (0, 0, 320)) @ matrix


def moved_by(turn, shift_mm, about_mm=(0.0, 0.0, 0.0)):
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = np.array(shift_mm) + about_mm - turn @ np.array(about_mm)
    return matrix


def placed(volume, matrix):
    return Volume(volume.array, matrix @ volume.affine)


def liver_points(scan):
    index = np.argwhere(scan.labels.array)[::97]
    return np.c_[index, np.ones(len(index))] @ scan.labels.affine.T


def centre(scan):
    return liver_points(scan)[:, :3].mean(axis=0)


def error_mm(scan, matrix, true):
    """At the liver's centre, and the largest over the liver."""
    errors = (liver_points(scan) @ (matrix - true).T)[:, :3]
    return float(np.linalg.norm(errors.mean(axis=0))), float(np.linalg.norm(errors, axis=1).max())


@pytest.mark.parametrize("shows", ["the liver", "the legs"])
def test_a_known_displacement_is_found(scan, low_dose_ct, true_matrix, shows):
    """Through a low-dose CT; past one that shows another part of the body."""
    if shows == "the legs":
        low_dose_ct = low_dose_ct.cropped(np.zeros(3, int), np.array([*low_dose_ct.shape[:2], 6]))
    found = align_pet(
        ct=scan.ct, labels=scan.labels, instances=scan.instances, suv=placed(scan.suv, true_matrix),
        low_dose_ct=placed(low_dose_ct, true_matrix), fwhm_mm=6.0, limit_mm=8.0,
    )  # fmt: skip
    assert found.refused == ""
    assert found.method == (THROUGH_LOW_DOSE_CT if shows == "the liver" else DIRECTLY)
    at_centre, largest = error_mm(scan, found.matrix, true_matrix)
    assert at_centre < 2
    assert largest < 3
    assert largest - 1 <= found.uncertainty_mm < 6
    shift = found.as_shift()
    expected = ((true_matrix - np.eye(4)) @ np.r_[centre(scan), 1])[:3] * [-1, -1, 1]
    assert [shift.x_mm, shift.y_mm, shift.z_mm] == pytest.approx(expected, abs=2)
    assert shift.rotation_degrees == pytest.approx(4, abs=1.5)


@pytest.fixture
def known(scan, true_matrix, monkeypatch):
    """`measure_uptake` knows where the PET lies, to 3 mm."""
    monkeypatch.setattr(uptake, "align_pet", lambda **_: Alignment(true_matrix, centre(scan), 3.0, DIRECTLY))


def measure(scan, suv, **arguments):
    return uptake.measure_uptake(
        ct=scan.ct, labels=scan.labels, instances=scan.instances, options=OPTIONS, suv=suv, **arguments
    )


@pytest.mark.usefixtures("known")
def test_uptake_is_measured_as_if_the_pet_had_lain_there(scan, true_matrix):
    here, there = measure(scan, scan.suv), measure(scan, placed(scan.suv, true_matrix), same_frame=False)
    assert [reason.code for reason in there.reasons] == ["pet.aligned"]
    assert there.organs["shift"]["frame"] == "another"
    for organ in ("liver", "spleen", "blood_pool"):
        assert there.organs[organ]["suv_mean"] == pytest.approx(here.organs[organ]["suv_mean"], rel=0.01)
    for before, after in zip(here.lesions, there.lesions, strict=True):
        assert after["suv_mean"] == pytest.approx(before["suv_mean"], rel=0.02)
        assert after["suv_mean_corrected"] == pytest.approx(before["suv_mean_corrected"], rel=0.1)
        assert after["pet_shift_mm"] == pytest.approx(320, abs=15)
        assert after["pet_shift_uncertainty_mm"] == 3
        assert before["pet_shift_mm"] < 2


def another_body_part(suv):
    """A head: a brain that takes up as a liver does and is about as large, in a skull."""
    place = np.stack(np.indices(suv.shape), -1) @ suv.affine[:3, :3].T
    away = np.linalg.norm((place - place.mean(axis=(0, 1, 2))) / (70, 88, 65), axis=-1)
    return suv.with_array(ndimage.gaussian_filter(np.where(away < 1, 8.0, np.where(away < 1.2, 0.8, 0.0)), 0.6))


def test_a_pet_of_another_body_part_gives_no_suv(scan, true_matrix):
    suv = placed(another_body_part(scan.suv), true_matrix)
    found = measure(scan, suv, same_frame=False, regions=[("primary", "ileum", scan.labels)])
    assert [reason.code for reason in found.reasons] == ["pet.not_aligned"]
    assert len(found.lesions) == len(scan.truth.volume_ml_of_lesion)
    for row in [*found.lesions, *found.regions]:
        assert row["status"] == "not evaluable"
        assert "could not be brought onto the CT" in row["status_reason"]
        assert {row[name] for name in row if name.startswith(("suv", "tumour", "ssr"))} == {""}
    assert found.organs["totals"]["ssr_status"] == "not evaluable"
    assert all("refused" in found.organs[organ] for organ in ("liver", "spleen", "blood_pool", "correction", "foci"))
    assert found.organs["shift"]["length_mm"] is None
    assert found.foci == []


def test_lesions_smaller_than_the_uncertainty_are_not_evaluable(scan, true_matrix, monkeypatch):
    monkeypatch.setattr(uptake, "align_pet", lambda **_: Alignment(true_matrix, centre(scan), 60.0, DIRECTLY))
    found = measure(scan, placed(scan.suv, true_matrix), same_frame=False)
    small = [row for row in found.lesions if row["pet_volume_ml"] < 50]
    assert small
    assert all("may lie 60 mm apart" in row["status_reason"] for row in small)
    assert "exceeds the PET's resolution" in found.organs["correction"]["refused"]


@pytest.mark.usefixtures("known")
def test_a_region_on_the_pets_own_grid_stays_there(scan, true_matrix):
    suv = placed(scan.suv, true_matrix)
    hot = suv.with_array(suv.array > 0.8 * suv.array.max())
    found = measure(scan, suv, same_frame=False, regions=[("hottest", "spleen", hot)])
    assert found.regions[0]["suv_mean"] == pytest.approx(float(suv.array[hot.array].mean()), rel=1e-3)


def test_a_registration_that_ends_without_a_place_is_refused(scan, monkeypatch):
    def lost(*_):
        raise RuntimeError("All samples map outside moving image buffer")

    monkeypatch.setattr(alignment, "optimised", lost)
    found = measure(scan, scan.suv, same_frame=False)
    assert [reason.code for reason in found.reasons] == ["pet.not_aligned"]
    assert "lost the liver" in found.lesions[0]["status_reason"]


def test_what_is_not_certain_enough_is_refused(scan):
    """A PET that lies where it should, known from two registrations that differ by 9 mm."""
    judge = Judge(
        LiverOnCt.of(scan.ct, scan.labels, scan.instances, 6.0), scan.labels, scan.instances, scan.suv, 6.0, 8.0
    )
    assert judge.judged(np.eye(4), 7.0, DIRECTLY).refused == ""
    assert "to 9 mm only, the limit is 8 mm" in judge.judged(np.eye(4), 9.0, DIRECTLY).refused
    away = np.eye(4)
    away[0, 3] = 40
    assert judge.judged(away, 1.0, DIRECTLY).refused
