import numpy as np
import pytest
from shapes import ellipsoid, grid

from nen_imaging.config import Config
from nen_imaging.contract import UPTAKE_COLUMNS
from nen_imaging.measurement.lesions import find_lesions
from nen_imaging.measurement.reference import healthy_liver
from nen_imaging.measurement.uptake import measure_uptake
from nen_imaging.phantom.anatomy import digital_patient
from nen_imaging.phantom.staging import staging
from nen_imaging.volume import Volume

OPTIONS = Config().options_of("uptake")


@pytest.fixture(scope="module")
def scanned():
    """A digital patient with PET; lesions as they are separated by touching."""
    scan = staging(digital_patient(4, 4.0), 15, 1, with_pet=True)
    return scan, find_lesions(scan.labels, minimum_voxels=3, minimum_diameter_mm=4.0)


def measure(scan, lesions, suv=None, benign=(), **options):
    return measure_uptake(
        ct=scan.ct, suv=suv or scan.suv, labels=lesions.labels, instances=lesions.instances,
        options=OPTIONS | options, benign=benign,
    )  # fmt: skip


@pytest.fixture(scope="module")
def measured(scanned):
    return measure(*scanned)


def test_reference_organs_are_ordered_as_published_and_the_shift_is_none(measured):
    organs = measured.organs
    assert organs["spleen"]["suv_mean"] > organs["liver"]["suv_mean"] > organs["blood_pool"]["suv_mean"]
    assert organs["shift"]["length_mm"] < 1.5
    assert measured.reasons == []
    assert all(set(row) == set(UPTAKE_COLUMNS) for row in measured.lesions)


def test_mean_peak_and_maximum_are_ordered_and_ratios_rest_on_them(measured):
    liver = measured.organs["liver"]["suv_mean"]
    for row in measured.lesions:
        assert row["suv_mean"] <= row["suv_max"]
        assert row["suv_peak_local"] <= row["suv_peak_global"]
        assert row["tumour_to_liver_max"] == pytest.approx(row["suv_max"] / liver, rel=2e-3)
        assert row["ssr_tv_ml"] <= row["pet_volume_ml"]


def test_each_rule_has_its_threshold_and_its_name(scanned, measured):
    liver, fixed = (measure(*scanned, threshold_rule=rule) for rule in ("liver", "fixed"))
    first = [found.lesions[0] for found in (measured, liver, fixed)]
    assert [row["threshold_rule"] for row in first] == ["45 % of SUVmax", "liver SUVmean + 2 SD", "SUV 10"]
    organ = liver.organs["liver"]
    assert first[0]["threshold_suv"] == pytest.approx(0.45 * first[0]["suv_max"], abs=0.001)
    assert first[1]["threshold_suv"] == pytest.approx(organ["suv_mean"] + 2 * organ["suv_sd"], abs=0.002)
    assert first[2]["threshold_suv"] == 10


def test_benign_lesions_have_a_row_but_do_not_count(scanned, measured):
    without = measure(*scanned, benign={1})
    assert without.lesions == measured.lesions
    assert without.organs["totals"]["ssr_tv_ml"] < measured.organs["totals"]["ssr_tv_ml"]


def test_a_pet_that_misses_part_of_the_liver_says_so(scanned):
    scan, lesions = scanned
    half = scan.suv.cropped(np.zeros(3, int), np.array([*scan.suv.shape[:2], scan.suv.shape[2] // 2]))
    found = measure(scan, lesions, suv=half)
    assert "pet.not_covering" in [reason.code for reason in found.reasons]
    missed = [row for row in found.lesions if row["status_reason"] == "the PET does not cover it"]
    assert missed
    assert all(row["status"] == "not evaluable" for row in missed)


def test_a_pet_far_from_the_ct_warns(scanned):
    scan, lesions = scanned
    affine = scan.suv.affine.copy()
    affine[2, 3] += 14
    found = measure(scan, lesions, suv=Volume(scan.suv.array, affine))
    assert [reason.code for reason in found.reasons] == ["pet.shifted"]
    assert found.organs["shift"]["z_mm"] == pytest.approx(14, abs=2)


def test_too_little_healthy_liver_is_no_reference(scanned):
    found = measure(*scanned, minimum_reference_ml=5000.0)
    assert "need 5000 ml" in found.organs["liver"]["refused"]
    assert [reason.code for reason in found.reasons] == ["uptake.no_reference"]
    assert {row["status"] for row in found.lesions} == {"not evaluable"}
    assert all(row["tumour_to_liver_max"] == "" for row in found.lesions)
    assert found.organs["totals"]["ssr_status"] == "not evaluable"


def test_the_reference_keeps_away_from_a_hot_lesion():
    volume = grid((50, 50, 50), (4.0,) * 3)
    liver, lesion = ellipsoid(volume, (80, 80, 80)), ellipsoid(volume, (20, 20, 20))
    suv = np.where(ellipsoid(volume, (28, 28, 28)), 50.0, np.where(liver, 5.0, 0.5))  # spills 8 mm over the lesion
    found = healthy_liver(
        volume.with_array(suv), liver.astype(np.float32), lesion.astype(np.float32), fwhm_mm=6.0, minimum_ml=50.0
    )
    assert found.suv_mean == pytest.approx(5.0)
    assert found.suv_sd == pytest.approx(0.0)
