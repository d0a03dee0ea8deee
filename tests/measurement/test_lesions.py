import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nen_imaging.contract import LESIONS_COLUMNS
from nen_imaging.measurement.lesions import find_lesions, lesion_table, smallest_measurable_mm
from tests.measurement.shapes import ORIENTATIONS, liver_with, scanned_coronal

SIZE, SPACING = (70, 60, 50), (1.0, 1.0, 1.0)


def separate(labels, **limits):
    return find_lesions(labels, **({"minimum_voxels": 3, "minimum_diameter_mm": 4.0} | limits))


def table(labels, hu_of_lesion=60.0, noise=8.0, cyst_below_hu=20.0):
    hu = np.where(labels.array == 2, hu_of_lesion, 100.0)
    hu = hu + np.random.default_rng(0).normal(0, noise, labels.shape)
    return lesion_table(labels.with_array(hu), separate(labels), cyst_below_hu=cyst_below_hu)


def test_lesions_are_numbered_by_volume():
    labels = liver_with(SIZE, SPACING, ((4, 4, 4), (-20, 0, 0)), ((9, 9, 9), (0, 0, 0)), ((6, 6, 6), (22, 0, 0)))
    found = separate(labels)
    sizes = np.bincount(found.instances.array.ravel())[1:]
    assert len(sizes) == 3
    assert list(sizes) == sorted(sizes, reverse=True)
    assert found.instances.array.dtype == np.uint16
    np.testing.assert_array_equal(found.instances.array > 0, found.labels.array == 2)


@pytest.mark.parametrize(
    ("limits", "kept"),
    [({"minimum_voxels": 3, "minimum_diameter_mm": 0}, 1), ({"minimum_voxels": 4, "minimum_diameter_mm": 0}, 0),
     ({"minimum_voxels": 1, "minimum_diameter_mm": 3.1}, 0)],
)  # fmt: skip
def test_what_is_too_small_becomes_liver_again(limits, kept):
    labels = liver_with(SIZE, SPACING)
    labels.array[10, 10, 10:13] = 2
    found = separate(labels, **limits)
    assert found.instances.array.max() == kept
    assert found.too_small == 1 - kept
    assert (found.labels.array[10, 10, 10:13] == (2 if kept else 1)).all()
    assert np.count_nonzero(found.labels.array) == np.count_nonzero(labels.array)


def test_lesions_that_touch_by_a_corner_are_one():
    labels = liver_with(SIZE, SPACING)
    labels.array[10:14, 10:14, 10:14] = labels.array[14:18, 14:18, 14:18] = 2
    assert separate(labels).instances.array.max() == 1


@given(st.sampled_from(ORIENTATIONS))
@settings(max_examples=12, deadline=None)
def test_numbers_and_volumes_do_not_depend_on_how_the_array_is_laid_out(codes):
    twins = ((5, 5, 5), (-20, 5, 0)), ((5, 5, 5), (20, -5, 3)), ((7, 6, 5), (0, 0, 0))
    labels = liver_with((60, 50, 30), (1.0, 1.0, 2.0), *twins)
    turned = separate(labels.oriented(codes)).instances.oriented("RAS")
    np.testing.assert_array_equal(turned.array, separate(labels).instances.array)


def test_the_table_has_the_columns_of_the_contract_and_true_measures():
    labels = liver_with(SIZE, SPACING, ((10, 7, 6), (5, -4, 3)))
    (row,) = table(labels)
    assert set(row) == set(LESIONS_COLUMNS)
    assert row["volume_ml"] == pytest.approx(4 / 3 * np.pi * 10 * 7 * 6 / 1000, rel=0.02)
    assert row["longest_diameter_mm"] == pytest.approx(20, abs=1)
    assert row["perpendicular_diameter_mm"] == pytest.approx(14, abs=1)
    assert row["mean_hu"] == pytest.approx(60, abs=1)
    assert row["sd_hu"] == pytest.approx(8, abs=0.5)
    centroid = [row[f"centroid_{axis}_mm"] for axis in "xyz"]
    assert centroid == pytest.approx([-5, 4, 3], abs=0.2)  # LPS
    assert (row["measurable"], row["confluent"], row["cut_by_border"], row["probable_cyst"]) == (
        "yes",
        "no",
        "no",
        "no",
    )


def test_distance_to_the_edge_of_the_liver():
    labels = liver_with(SIZE, SPACING, ((5, 5, 5), (0, 0, 10)), ((4, 4, 4), (-30, 0, 0)))
    inner, touching = table(labels)
    assert touching["surface_to_liver_edge_mm"] == 0
    assert inner["surface_to_liver_edge_mm"] == pytest.approx(9.0)  # voxel centres: liver to z = 23.5, lesion to 14.5


def test_a_lesion_at_the_edge_of_the_image_is_cut():
    labels = liver_with(SIZE, SPACING, ((8, 8, 8), (0, 0, 22)))
    labels.array[:, :, -1] = np.where(labels.array[:, :, -1] == 2, 2, 1)
    (row,) = table(labels)
    assert row["cut_by_border"] == "yes"


@pytest.mark.parametrize(
    ("hu", "extra_noise", "cyst"), [(8.0, 0, "yes"), (60.0, 0, "no"), (8.0, 40.0, "no")],
    ids=["cyst", "metastasis", "necrosis"],
)  # fmt: skip
def test_a_cyst_is_dark_and_even(hu, extra_noise, cyst):
    labels = liver_with(SIZE, SPACING, ((9, 9, 9), (0, 0, 0)))
    noise = np.random.default_rng(1).normal(0, extra_noise, labels.shape) if extra_noise else 0.0
    (row,) = table(labels, hu_of_lesion=hu + noise)
    assert row["probable_cyst"] == cyst


def test_two_grown_together_are_confluent_and_an_ellipsoid_is_not():
    single = liver_with(SIZE, SPACING, ((20, 12, 12), (0, 0, 0)))
    double = liver_with(SIZE, SPACING, ((12, 12, 12), (-11, 0, 0)), ((12, 12, 12), (11, 0, 0)))
    satellite = liver_with(SIZE, SPACING, ((14, 14, 14), (0, 0, 0)), ((4, 4, 4), (15, 0, 0)))
    assert [table(labels)[0]["confluent"] for labels in (single, double, satellite)] == ["no", "yes", "no"]


def test_thick_slices_raise_what_is_measurable():
    assert [smallest_measurable_mm(mm) for mm in (1.0, 5.0, 7.5)] == [10.0, 10.0, 15.0]


def test_a_healthy_liver_has_an_empty_table():
    assert table(liver_with((10, 10, 10), SPACING)) == []


@pytest.mark.parametrize(("radius_mm", "measurable"), [(7, "no"), (9, "yes")])
def test_thick_coronal_slices_make_a_lesion_measurable_from_twice_their_spacing(radius_mm, measurable):
    axial = liver_with((60, 60, 13), (0.8, 0.8, 8.0), ((radius_mm, radius_mm, 12), (0, 0, 0)))
    (expected,), (row,) = table(axial), table(scanned_coronal(axial))
    assert expected["measurable"] == row["measurable"] == measurable
    same = "volume_ml", "longest_diameter_mm", "perpendicular_diameter_mm", "longest_diameter_3d_mm"
    assert [row[name] for name in same] == [expected[name] for name in same]
