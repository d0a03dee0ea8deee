import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from nen_imaging.config import Config
from nen_imaging.contract import UPTAKE_COLUMNS
from nen_imaging.measurement.lesion_uptake import suv_statistics, tumour_volume
from nen_imaging.measurement.lesions import find_lesions
from nen_imaging.measurement.pet_grid import share_inside
from nen_imaging.measurement.reference import Uptake, healthy_liver
from nen_imaging.measurement.uptake import measure_uptake
from nen_imaging.phantom.anatomy import digital_patient
from nen_imaging.phantom.course import new_lesions
from nen_imaging.phantom.lesions import lesion_map
from nen_imaging.phantom.staging import staging
from nen_imaging.volume import Volume
from tests.measurement.shapes import ellipsoid, grid

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


def moved(suv, *shift_mm):
    """The PET as if the patient lay elsewhere, RAS millimetres."""
    affine = suv.affine.copy()
    affine[:3, 3] += shift_mm
    return Volume(suv.array, affine)


def test_a_pet_far_from_the_ct_warns(scanned):
    scan, lesions = scanned
    found = measure(scan, lesions, suv=moved(scan.suv, 0, 0, 14))
    assert [reason.code for reason in found.reasons] == ["pet.shifted"]
    assert found.organs["shift"]["z_mm"] == pytest.approx(14, abs=2)


def test_a_shift_that_cannot_be_measured_warns_and_leaves_no_wrong_spleen(scanned):
    scan, lesions = scanned
    found = measure(scan, lesions, suv=moved(scan.suv, 0, 0, 60))
    assert found.organs["shift"]["length_mm"] is None
    assert "pet.shift_unknown" in [reason.code for reason in found.reasons]
    assert "spleen" in found.organs["spleen"]["refused"]
    assert all(row["tumour_to_spleen_max"] == "" for row in found.lesions)


def test_the_spleen_is_measured_where_the_pet_shows_it(scanned, measured):
    """Moved up by 15 mm a quarter of its core lies where the PET shows none."""
    scan, lesions = scanned
    found = measure(scan, lesions, suv=moved(scan.suv, 0, 0, 15))
    assert found.organs["spleen"]["suv_mean"] == pytest.approx(measured.organs["spleen"]["suv_mean"], rel=0.12)


def test_a_spleen_of_which_the_pet_shows_less_than_half_is_refused(scanned):
    scan, lesions = scanned
    found = measure(scan, lesions, suv=moved(scan.suv, -32, 0, 0))
    assert "take up tracer as a spleen does" in found.organs["spleen"]["refused"]


def test_a_body_colder_than_the_liver_is_no_spleen(scanned):
    scan, lesions = scanned
    flat = scan.suv.with_array(np.minimum(scan.suv.array, np.float32(3.0)))
    flat.array[share_inside(scan.labels, scan.suv) > 0.3] = 6.0
    assert "below the liver's" in measure(scan, lesions, suv=flat).organs["spleen"]["refused"]


@pytest.mark.parametrize("factor", [3.0])
def test_all_suv_scale_and_ratios_and_status_stay(scanned, measured, factor):
    scan, lesions = scanned
    found = measure(scan, lesions, suv=scan.suv.with_array(scan.suv.array * np.float32(factor)))
    scaled = {"suv_max", "suv_mean", "suv_peak_local", "suv_peak_global", "suv_mean_corrected", "suv_peak_corrected",
              "tl_ssr_ml", "threshold_suv"}  # fmt: skip
    for before, after in zip(measured.lesions, found.lesions, strict=True):
        for name, value in before.items():
            number = isinstance(value, float)
            expected = value * (factor if name in scaled else 1) if number else value
            assert after[name] == (pytest.approx(expected, rel=2e-3, abs=2e-3) if number else expected), name
    assert found.organs["shift"] == measured.organs["shift"]
    assert found.organs["totals"]["ssr_status"] == measured.organs["totals"]["ssr_status"]
    for organ in ("liver", "spleen", "blood_pool"):
        expected = measured.organs[organ]["suv_mean"] * factor
        assert found.organs[organ]["suv_mean"] == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize(("of_ct", "of_pet"), [("RAS", "LPI"), ("SAL", "PIR")])
def test_nothing_depends_on_how_the_arrays_are_laid_out(scanned, of_ct, of_pet):
    scan, lesions = scanned
    suv = moved(scan.suv, 1.3, -0.9, 0.6)  # so that voxels of the PET lie partly inside
    expected = measure(scan, lesions, suv=suv)
    found = measure_uptake(
        ct=scan.ct.oriented(of_ct), suv=suv.oriented(of_pet), labels=lesions.labels.oriented(of_ct),
        instances=lesions.instances.oriented(of_ct), options=OPTIONS,
    )  # fmt: skip
    assert found.lesions == expected.lesions
    assert json.dumps(found.organs) == json.dumps(expected.organs)


@pytest.mark.parametrize("seed", [8, 9])
def test_hot_and_cold_lesions_above_3_fwhm_have_their_true_status(seed):
    patient = digital_patient(seed, 3.0)
    drawn = new_lesions(patient, 6, np.random.default_rng(seed), ssr_positive=0.5)
    scan = staging(patient, 10, seed, lesions=lesion_map(patient, drawn, 10), with_pet=True)
    lesions = find_lesions(scan.labels, minimum_voxels=3, minimum_diameter_mm=4.0)
    uptake = {lesion.identity: lesion.uptake for lesion in drawn}
    judged = set()
    for row in measure(scan, lesions).lesions:
        identities, voxels = np.unique(
            scan.instances.array[lesions.instances.array == row["lesion"]], return_counts=True
        )
        diameter_mm = np.cbrt(6000 * voxels.sum() * scan.labels.voxel_volume_ml / np.pi)
        if diameter_mm > 3 * OPTIONS["pet_fwhm_mm"] and voxels.max() > 0.95 * voxels.sum():
            expected = "positive" if uptake[int(identities[voxels.argmax()])] > 1.2 else "negative"
            assert row["status"] == expected, row
            judged.add(expected)
    assert "negative" in judged


@given(st.tuples(*[st.floats(-2, 2)] * 3), st.sampled_from([(1.0, 1.0, 1.0), (0.8, 0.8, 2.5), (2.0, 2.0, 5.0)]))
@settings(max_examples=8, deadline=None)
def test_a_sphere_has_the_volume_drawn_its_mean_and_total(centre_mm, spacing_mm):
    """SUV 12 in a sphere of 15 mm radius, nothing around it; no blur."""
    ct = grid([round(50 / step) for step in spacing_mm], spacing_mm)
    mask = ct.with_array(ellipsoid(ct, (15, 15, 15), centre_mm))
    pet = grid((14, 14, 14), (4.0, 4.0, 4.0))
    share = share_inside(mask, pet)
    suv = pet.with_array(np.where(share > 0, 12.0, 0.0))
    found = suv_statistics(suv, share)
    assert found["pet_volume_ml"] == pytest.approx(mask.array.sum() * mask.voxel_volume_ml, rel=0.01)
    assert (found["suv_max"], found["suv_mean"]) == pytest.approx((12, 12))
    assert found["suv_peak_global"] == pytest.approx(12)
    fixed = {"threshold_rule": "fixed", "fixed_suv": 10.0}
    volume = tumour_volume(suv, share, 12.0, Uptake(refused="none"), fixed)
    assert volume["tl_ssr_ml"] == pytest.approx(12 * volume["ssr_tv_ml"])
    assert volume["ssr_tv_ml"] == pytest.approx(found["pet_volume_ml"])


def test_a_finely_drawn_sphere_has_its_analytic_volume():
    ct = grid((50, 50, 50), (1.0, 1.0, 1.0))
    pet = grid((14, 14, 14), (4.0, 4.0, 4.0))
    share = share_inside(ct.with_array(ellipsoid(ct, (15, 15, 15), (0.3, -0.7, 1.1))), pet)
    assert suv_statistics(pet, share)["pet_volume_ml"] == pytest.approx(4 / 3 * np.pi * 15**3 / 1000, rel=0.01)


def test_the_45_percent_rule_finds_the_volume_of_a_blurred_sphere():
    pet = grid((40, 40, 40), (2.0, 2.0, 2.0))
    sphere = ellipsoid(pet, (20, 20, 20))
    suv = pet.with_array(ndimage.gaussian_filter(np.where(sphere, 20.0, 0.0), 6 / 2.355 / 2))
    drawn_too_large = ellipsoid(pet, (28, 28, 28)).astype(np.float32)
    rule = {"threshold_rule": "relative", "relative_percent": 45.0}
    volume = tumour_volume(suv, drawn_too_large, float(suv.array.max()), Uptake(refused="none"), rule)
    assert volume["ssr_tv_ml"] == pytest.approx(4 / 3 * np.pi * 20**3 / 1000, rel=0.05)


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
