"""The rules that make one organ of probabilities."""

from __future__ import annotations

import numpy as np

from nen_imaging.segmentation.postprocess import (
    is_truncated,
    main_parts,
    one_organ,
    only_in,
    sure_lesions,
    without_holes,
)


def ball(shape, centre, radius):
    return ((np.indices(shape).transpose(1, 2, 3, 0) - centre) ** 2).sum(-1) < radius**2


SHAPE = (60, 40, 40)
LIVER = ball(SHAPE, (20, 20, 20), 12)


def probability(mask, value=0.9):
    return np.where(mask, value, 0.1).astype(np.float32)


def test_small_parts_vanish_and_large_ones_stay():
    speck, half = ball(SHAPE, (50, 30, 30), 3), ball(SHAPE, (50, 20, 20), 8)
    mask, parts = main_parts(LIVER | speck, 1.0)
    assert parts == 1 and np.array_equal(mask, LIVER)
    mask, parts = main_parts(LIVER | half, 1.0)
    assert parts == 2 and np.array_equal(mask, LIVER | half)
    mask, parts = main_parts(LIVER | half, 6.0)  # 60 mm apart: something else
    assert parts == 1 and np.array_equal(mask, LIVER)
    assert main_parts(np.zeros(SHAPE, bool), 1.0)[1] == 0


def test_an_enclosed_hole_is_filled():
    hole = ball(SHAPE, (20, 20, 20), 4)
    assert np.array_equal(without_holes(LIVER & ~hole), LIVER)
    liver, _ = one_organ(probability(LIVER & ~hole), 1.0)
    assert np.array_equal(liver >= 0.5, LIVER)


def test_what_is_far_from_the_liver_is_none():
    liver, parts = one_organ(probability(LIVER | ball(SHAPE, (50, 20, 20), 5)), 1.0)
    assert parts == 1 and np.array_equal(liver >= 0.5, LIVER)


def test_a_lesion_counts_in_the_liver_alone():
    lesion = ball(SHAPE, (31, 20, 20), 5)
    assert np.array_equal(only_in(LIVER, probability(lesion)) >= 0.5, lesion & LIVER)


def test_a_lesion_is_sure_somewhere_and_then_whole():
    certain, core, speck = ball(SHAPE, (20, 20, 20), 6), ball(SHAPE, (20, 20, 20), 2), ball(SHAPE, (20, 30, 20), 3)
    lesion = np.maximum(probability(certain | speck, 0.7), probability(core, 0.95))
    kept = sure_lesions(lesion, 0.85)
    assert np.array_equal(kept >= 0.5, certain)
    assert np.array_equal(kept[certain], lesion[certain]) and kept[speck].max() < 0.5
    assert np.array_equal(sure_lesions(lesion, 0.5), lesion)
    assert np.array_equal(sure_lesions(np.minimum(lesion, 0.3), 0.85), np.minimum(lesion, 0.3))


def test_nothing_stays_nothing():
    liver, parts = one_organ(np.zeros(SHAPE, np.float32), 1.0)
    assert parts == 0 and not (liver >= 0.5).any()


def test_truncation_asks_for_an_area_at_the_last_slice_that_shows_something():
    spacing_mm = np.array([1.0, 1.0, 3.0])
    image = np.random.default_rng(0).normal(40, 60, SHAPE)
    assert not is_truncated(LIVER, image, spacing_mm)
    assert is_truncated(LIVER[:, :, 15:], image[:, :, 15:], spacing_mm)  # cut at the first slice
    assert is_truncated(LIVER[:, :, :24], image[:, :, :24], spacing_mm)
    assert is_truncated(LIVER[15:], image[15:], spacing_mm)  # and at the side
    padded = image.copy()
    padded[:, :, :15] = -1024
    assert is_truncated(LIVER & (np.arange(40) >= 15), padded, spacing_mm)
    touching = LIVER.copy()
    touching[20, 20, :] = True  # one voxel wide
    assert not is_truncated(touching, image, spacing_mm)
