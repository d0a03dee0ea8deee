"""Masks that another segmenter drew become one liver with its lesions, and what is left out is said."""

from __future__ import annotations

import numpy as np
import pytest

from nen_imaging.segmentation.drawn import aligned, masks_of, segmentation_of
from nen_imaging.stage import StageError
from nen_imaging.volume import Volume

IMAGE = Volume(np.zeros((40, 40, 40), np.int16), np.diag([-3.0, -3.0, 3.0, 1.0]))  # 0.027 ml a voxel


@pytest.fixture
def liver():
    mask = np.zeros(IMAGE.shape, bool)
    mask[10:30, 10:30, 10:30] = True
    return mask


def segmented(liver, lesion):
    return segmentation_of(IMAGE, IMAGE, liver, lesion, device_used="cpu")


def box(i: slice, j: slice = slice(15, 18), k: slice = slice(15, 18)):
    mask = np.zeros(IMAGE.shape, bool)
    mask[i, j, k] = True
    return mask


def test_lesions_count_as_liver_whether_they_were_drawn_as_liver_or_not(liver):
    lesion = box(slice(15, 20))
    found = [segmented(drawn, lesion) for drawn in (liver, liver & ~lesion)]
    for one in found:
        np.testing.assert_array_equal(one.labels.array, np.where(lesion, 2, liver))
        np.testing.assert_array_equal(one.probability.array, np.where(lesion, 255, 0))
        assert one.member_loads_percent == (round(100 * lesion.sum() / liver.sum(), 3),)
        assert one.flags == ("interval.uncalibrated",)


def test_a_lesion_that_bulges_out_of_the_liver_belongs_to_it(liver):
    lesion = box(slice(28, 33))
    found = segmented(liver, lesion)
    np.testing.assert_array_equal(found.labels.array > 0, liver | lesion)
    assert "lesions.outside_liver" not in found.flags


def test_a_lesion_apart_from_the_liver_is_left_out_and_that_is_said(liver):
    found = segmented(liver, box(slice(34, 38)) | box(slice(12, 14)))
    np.testing.assert_array_equal(found.labels.array == 2, box(slice(12, 14)))
    (said,) = [reason for reason in found.reasons if reason.code == "lesions.outside_liver"]
    assert said.text.startswith("1.0 ml")  # 4 x 3 x 3 voxels


def test_a_speck_of_liver_far_away_is_dropped_a_second_part_stays_and_is_flagged(liver):
    speck, part = box(slice(34, 36)), box(slice(33, 38), slice(10, 30), slice(10, 30))
    np.testing.assert_array_equal(segmented(liver | speck, np.zeros(IMAGE.shape, bool)).labels.array > 0, liver)
    found = segmented(liver | part, box(slice(12, 14)))
    np.testing.assert_array_equal(found.labels.array > 0, liver | part)
    assert "liver.fragmented" in found.flags


def test_what_the_liver_encloses_is_liver(liver):
    hollow = liver & ~box(slice(20, 22))
    np.testing.assert_array_equal(segmented(hollow, box(slice(12, 14))).labels.array > 0, liver)


@pytest.mark.parametrize("voxels", [0, 1000])  # 27 ml
def test_less_than_thirty_millilitres_are_no_liver(voxels):
    small = np.zeros(IMAGE.shape, bool)
    small.ravel()[:voxels] = True
    found = segmented(small, box(slice(15, 30), slice(15, 30), slice(15, 30)))
    assert found.flags == ("liver.absent",) and not found.labels.array.any()


@pytest.mark.parametrize("codes", ["LPS", "RAS", "SPL", "AIR"])
def test_turned_and_flipped_axes_are_turned_back(codes):
    image = Volume(np.arange(2 * 3 * 4).reshape(2, 3, 4), np.diag([-1.0, -2.0, 3.0, 1.0]))
    np.testing.assert_array_equal(aligned(image.oriented(codes), image, "It", ""), image.array)


def test_another_grid_is_refused_with_what_differs():
    shifted = IMAGE.affine.copy()
    shifted[0, 3] += 2
    with pytest.raises(StageError, match=r"labels\.nii does not lie on the grid of the CT.*2 mm apart.*Turn it"):
        aligned(Volume(IMAGE.array, shifted), IMAGE, "labels.nii", "Turn it.")


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_labels_become_what_they_mean(dtype):
    labels = np.array([[[0, 1, 2, 3, 4]]], dtype)
    liver, lesion = masks_of(labels, {1: "liver", 2: "other", 3: "lesion", 4: "lesion"}, "it", "there")
    assert liver.ravel().tolist() == [False, True, False, False, False]
    assert lesion.ravel().tolist() == [False, False, False, True, True]


@pytest.mark.parametrize("label", [7, 0.5])
def test_a_label_without_meaning_is_named(label):
    with pytest.raises(StageError, match=rf"ct\.nii holds the labels {label}, which there does not name.*1 liver"):
        masks_of(np.full((2, 2, 2), label), {1: "liver", 2: "lesion"}, "ct.nii", "there")
