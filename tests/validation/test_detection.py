"""Which lesions were found."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from scipy import ndimage

from nen_imaging.validation.components import components_of
from nen_imaging.validation.detection import SIZE_BINS_MM, Detection, FoundLesion, counts, detect
from nen_imaging.volume import read_nifti
from tests.validation.shapes import ball, flips, mask_pairs, permutations

ISOTROPIC = np.eye(4)
SHAPE = (60, 40, 40)


def lesions(*balls):
    return np.any([ball(SHAPE, centre, radius) for centre, radius in balls], axis=0)


SMALL, MEDIUM, LARGE = ((8, 8, 8), 3.0), ((25, 20, 20), 7.0), ((46, 20, 20), 12.0)


def test_counts_by_size():
    truth = lesions(SMALL, MEDIUM, LARGE)
    prediction = lesions(MEDIUM, ((47, 20, 20), 12.0), ((8, 30, 30), 3.0))  # small missed, another invented
    case = [detect(truth, prediction, ISOTROPIC)]
    total = counts(case, 0.5)
    assert (total.found, total.truth, total.right, total.prediction) == (2, 3, 2, 3)
    assert (total.precision, total.recall, total.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert 1 < total.iou < 2  # one lesion is drawn exactly
    assert total.panoptic_quality == pytest.approx(total.iou / 3)
    assert counts(case, 0.5, "< 10 mm").recall == 0
    assert counts(case, 0.5, "< 10 mm").f1 == 0
    assert counts(case, 0.5, "10-20 mm").f1 == counts(case, 0.5, "> 20 mm").f1 == 1


@pytest.mark.parametrize(
    ("longest_mm", "size"), [(9.99, "< 10 mm"), (10.0, "10-20 mm"), (20.0, "10-20 mm"), (20.01, "> 20 mm")]
)
def test_the_ends_of_the_size_bins(longest_mm, size):
    lesion = FoundLesion(longest_mm, 1.0, {"0": 0.3, "0.5": 0.0})
    case = Detection((lesion,), (lesion, lesion))
    for name in SIZE_BINS_MM:
        of = counts([case], 0.0, name)
        assert (of.found, of.truth, of.right, of.prediction) == ((1, 1, 2, 2) if name == size else (0, 0, 0, 0))


def test_any_overlap_is_not_half():
    case = [detect(lesions(MEDIUM), lesions(((33, 20, 20), 7.0)), ISOTROPIC)]
    assert counts(case, 0.0).recall == 1
    assert counts(case, 0.5).recall == 0


def test_exactly_half_is_not_above():
    truth, prediction = np.zeros((4, 2, 2), bool), np.zeros((4, 2, 2), bool)
    truth[:2], prediction[:1] = True, True
    assert counts([detect(truth, prediction, ISOTROPIC)], 0.5).found == 0


def test_matches_are_one_to_one_and_as_many_as_possible():
    """One prediction over two lesions finds one; the better match is left where both lesions can have one."""
    truth = lesions(((20, 20, 20), 4.0), ((32, 20, 20), 4.0))
    assert counts([detect(truth, lesions(((26, 20, 20), 12.0)), ISOTROPIC)], 0.0).found == 1
    truth, prediction = np.zeros((30, 3, 3), bool), np.zeros((30, 3, 3), bool)
    truth[10:20] = truth[21:24] = prediction[12:22] = prediction[8:11] = True
    both = [detect(truth, prediction, ISOTROPIC)]
    assert (counts(both, 0.0).found, counts(both, 0.5).found) == (2, 1)


def test_corners_join():
    truth = np.zeros((4, 4, 4), bool)
    truth[0, 0, 0] = truth[1, 1, 1] = True
    assert len(detect(truth, truth, ISOTROPIC).truth) == 1
    assert len(components_of(truth, truth, neighbours=18).truth_sizes) == 2


def test_without_lesions_there_is_nothing_to_find():
    nothing = np.zeros(SHAPE, bool)
    clean = counts([detect(nothing, nothing, ISOTROPIC)], 0.5)
    assert all(math.isnan(value) for value in (clean.precision, clean.recall, clean.f1))
    invented = counts([detect(nothing, lesions(SMALL), ISOTROPIC)], 0.5)
    assert (invented.precision, invented.f1) == (0, 0)
    assert math.isnan(invented.recall)
    assert math.isnan(clean.panoptic_quality)


@settings(max_examples=25, deadline=None)
@given(pair=mask_pairs)
def test_precision_and_recall_trade_places(pair):
    there, back = (counts([detect(*masks, ISOTROPIC)], 0.5) for masks in (pair, pair[::-1]))
    assert (there.precision, there.recall, there.f1) == pytest.approx(
        (back.recall, back.precision, back.f1), nan_ok=True
    )


@settings(max_examples=15, deadline=None)
@given(pair=mask_pairs, order=permutations, flipped=flips)
def test_axes_and_flips_do_not_matter(pair, order, flipped):
    turned = [np.flip(mask, flipped).transpose(order) for mask in pair]
    for threshold in (0.0, 0.5):
        assert counts([detect(*turned, ISOTROPIC)], threshold) == counts([detect(*pair, ISOTROPIC)], threshold)


@settings(max_examples=15, deadline=None)
@given(pair=mask_pairs)
def test_sizes_scale_with_the_spacing(pair):
    once, twice = (detect(*pair, np.diag([s, s, s, 1.0])) for s in (1.0, 2.0))
    for one, two in zip(once.truth, twice.truth, strict=True):
        assert two.longest_diameter_mm == pytest.approx(2 * one.longest_diameter_mm)
        assert two.volume_ml == pytest.approx(8 * one.volume_ml)


@settings(max_examples=25, deadline=None)
@given(pair=mask_pairs)
def test_components_agree_with_a_count_lesion_by_lesion(pair):
    parts = components_of(*pair, neighbours=26)
    structure = np.ones((3, 3, 3))
    (truth, n), (prediction, m) = (ndimage.label(mask, structure) for mask in pair)
    assert parts.iou.shape == (m, n)
    for p in range(m):
        for t in range(n):
            mine, other = prediction == p + 1, truth == t + 1
            assert parts.iou[p, t] == pytest.approx((mine & other).sum() / (mine | other).sum())


@pytest.mark.parametrize(
    ("case", "found", "truth", "prediction", "quality"),
    [(0, 8, 11, 12, 0.6957), (1, 7, 12, 10, 0.6364), (2, 1, 1, 1, 0.8649)],
)
def test_what_panoptica_says_of_the_sample_of_lits(shared_data, case, found, truth, prediction, quality):
    """Figures of panoptica 2.1.7 (26 neighbours, IoU 0.5), run on the pair."""
    folders = (shared_data / "lits_scoring" / name for name in ("reference", "submission"))
    volumes = [read_nifti(folder / f"segmentation-{case}.nii.gz") for folder in folders]
    detection = detect(*(volume.array == 2 for volume in volumes), volumes[0].affine)
    total = counts([detection], 0.5)
    assert (total.found, total.truth, total.prediction) == (found, truth, prediction)
    assert total.panoptic_quality == pytest.approx(quality, abs=5e-5)
