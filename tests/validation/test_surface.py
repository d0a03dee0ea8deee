"""Surface distances: known bodies, invariances, and other libraries' answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from skimage.measure import marching_cubes, mesh_surface_area

from nen_imaging.validation.surface import Surface, surface_distances
from nen_imaging.volume import read_nifti
from tests.validation.shapes import (
    SPACING_MM,
    ball,
    flips,
    mask_pairs,
    permutations,
    spacings,
    textbook_distances,
)

EVERY_SURFACE = pytest.mark.parametrize("surface", list(Surface))


def figures(truth, prediction, spacing_mm, surface=Surface.AREA):
    found = surface_distances(truth, prediction, spacing_mm, surface)
    scale = [found.assd_mm, found.rmsd_mm, found.msd_mm, found.hausdorff_mm(95)]
    return np.array([*scale, found.surface_dice(1.0), found.surface_dice(3.0)])


@EVERY_SURFACE
def test_slabs_lie_apart_by_what_they_were_moved(surface):
    truth = np.zeros((12, 9, 9), bool)
    truth[3:5] = True
    prediction = np.roll(truth, 4, axis=0)
    found = surface_distances(truth, prediction, (2.0, 1.0, 1.0), surface)
    assert found.msd_mm == pytest.approx(8.0)
    assert found.of_truth.min() == pytest.approx(6.0 if surface is not Surface.AREA else 4.0)


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), SPACING_MM])
def test_scikit_image_finds_the_same_area(spacing_mm):
    mask = ball((40, 40, 20), (19.3, 19.6, 9.2), 9.0, spacing_mm)
    corners, faces, *_ = marching_cubes(mask.astype(np.uint8), 0.5, spacing=spacing_mm)
    area = surface_distances(mask, mask, spacing_mm).truth_weights.sum()
    assert area == pytest.approx(mesh_surface_area(corners, faces), rel=1e-6)


@EVERY_SURFACE
@settings(max_examples=25, deadline=None)
@given(pair=mask_pairs, spacing_mm=spacings)
def test_the_order_of_the_masks_does_not_matter(surface, pair, spacing_mm):
    assume(all(mask.any() for mask in pair))
    assert figures(*pair, spacing_mm, surface) == pytest.approx(figures(*pair[::-1], spacing_mm, surface), nan_ok=True)


@EVERY_SURFACE
@settings(max_examples=25, deadline=None)
@given(pair=mask_pairs, spacing_mm=spacings, order=permutations, flipped=flips)
def test_the_order_of_the_axes_and_flips_do_not_matter(surface, pair, spacing_mm, order, flipped):
    assume(all(mask.any() for mask in pair))
    turned = [np.flip(mask, flipped).transpose(order) for mask in pair]
    there = figures(*turned, np.array(spacing_mm)[order], surface)
    assert there == pytest.approx(figures(*pair, spacing_mm, surface), nan_ok=True)


@EVERY_SURFACE
@settings(max_examples=15, deadline=None)
@given(pair=mask_pairs, spacing_mm=spacings)
def test_distances_scale_with_the_spacing(surface, pair, spacing_mm):
    assume(all(mask.any() for mask in pair))
    once, three = (surface_distances(*pair, scale * np.array(spacing_mm), surface) for scale in (1, 3))
    for name in ("assd_mm", "rmsd_mm", "msd_mm"):
        assert getattr(three, name) == pytest.approx(3 * getattr(once, name), nan_ok=True)
    assert three.hausdorff_mm(95) == pytest.approx(3 * once.hausdorff_mm(95), nan_ok=True)
    assert three.surface_dice(3.3) == pytest.approx(once.surface_dice(1.1), nan_ok=True)


@EVERY_SURFACE
@settings(max_examples=15, deadline=None)
@given(pair=mask_pairs)
def test_a_mask_is_no_distance_from_itself(surface, pair):
    assume(pair[0].any())
    found = surface_distances(pair[0], pair[0], SPACING_MM, surface)
    assert not found.of_truth.any()
    assert not found.of_prediction.any()


@pytest.mark.parametrize(
    ("surface", "connectivity", "beyond"),
    [(Surface.FACES, 1, 0), (Surface.EDGES, 2, 0), (Surface.FACES_OPEN, 1, 1)],
)
@settings(max_examples=40, deadline=None)
@given(pair=mask_pairs, spacing_mm=spacings)
def test_erosion_and_distance_transform_say_the_same(surface, connectivity, beyond, pair, spacing_mm):
    expected = textbook_distances(*pair, spacing_mm, connectivity=connectivity, beyond=beyond)
    assume(all(len(distances) for distances in expected))
    found = surface_distances(*pair, spacing_mm, surface)
    assert np.sort(found.of_truth) == pytest.approx(np.sort(expected[0]))
    assert np.sort(found.of_prediction) == pytest.approx(np.sort(expected[1]))


def test_an_empty_mask_is_infinitely_far():
    mask = ball((8, 8, 8), (4, 4, 4), 2)
    found = surface_distances(mask, np.zeros_like(mask), (1, 1, 1))
    assert np.isinf(found.msd_mm)
    assert not found.of_prediction.size
    nothing = surface_distances(np.zeros_like(mask), np.zeros_like(mask), (1, 1, 1))
    assert np.isnan([nothing.assd_mm, nothing.msd_mm, nothing.hausdorff_mm(95), nothing.surface_dice(1)]).all()


def test_what_is_wrong_with_the_masks_is_said():
    mask = np.ones((2, 2, 2), bool)
    with pytest.raises(ValueError, match="prediction must be a 3-D boolean array, got 3-D uint8"):
        surface_distances(mask, mask.astype(np.uint8), (1, 1, 1))
    with pytest.raises(ValueError, match=r"truth \(2, 2, 2\), prediction \(3, 2, 2\)"):
        surface_distances(mask, np.ones((3, 2, 2), bool), (1, 1, 1))


@pytest.mark.parametrize(
    ("case", "lowest_label", "directed", "hd95", "surface_dice"),
    [
        (0, 2, (0.289, 15.258), 155.38, (0.650, 0.713)),
        (1, 2, (0.496, 5.842), 17.83, (0.551, 0.600)),
        (2, 2, (0.173, 0.395), 3.07, (0.894, 0.973)),
        (0, 1, (0.157, 3.290), 20.52, (0.885, 0.899)),
        (1, 1, (0.177, 1.688), 12.95, (0.885, 0.908)),
    ],
)
def test_what_surface_distance_says_of_the_sample_of_lits(
    shared_data, case, lowest_label, directed, hd95, surface_dice
):
    """Figures of DeepMind's library, run on the pair."""
    folders = (shared_data / "lits_scoring" / name for name in ("reference", "submission"))
    truth, prediction = (read_nifti(folder / f"segmentation-{case}.nii.gz") for folder in folders)
    masks = (volume.array >= lowest_label for volume in (truth, prediction))
    found = surface_distances(*masks, truth.spacing_mm)
    assert found.directed_means_mm == pytest.approx(directed, abs=5e-4)
    assert found.hausdorff_mm(95) == pytest.approx(hd95, abs=5e-3)
    assert (found.surface_dice(1), found.surface_dice(3)) == pytest.approx(surface_dice, abs=5e-4)
