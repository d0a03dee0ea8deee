"""What the networks see: axes, grids and intensities."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nen_imaging.segmentation.preprocess import (
    NEAR_LIVER_VOXELS,
    InputScaling,
    at_spacing,
    box_around,
    lesion_channels,
    padded,
    prepared,
    reference_hu,
    windowed,
)
from nen_imaging.volume import Volume


def ramp(shape, spacing_mm) -> Volume:
    """HU that grow linearly in space: 1 HU per mm along each axis, LPS."""
    affine = np.diag([-spacing_mm[0], -spacing_mm[1], spacing_mm[2], 1.0])
    position = np.indices(shape).transpose(1, 2, 3, 0) * spacing_mm
    return Volume(position.sum(-1).astype(np.int16), affine)


@settings(max_examples=12, deadline=None)
@given(
    spacing=st.tuples(*[st.floats(0.6, 2.9)] * 2, st.floats(0.7, 6.0)),
    target=st.sampled_from([1.5, 3.0]),
)
def test_resampling_keeps_every_point_where_it_was(spacing, target):
    small = at_spacing(ramp((48, 44, 40), np.array(spacing)), target)
    np.testing.assert_allclose(small.spacing_mm, target)
    inner = tuple(slice(3, -3) for _ in range(3))
    index = np.indices(small.shape).transpose(1, 2, 3, 0)
    points = index @ small.affine[:3, :3].T + small.affine[:3, 3]
    expected = (points * [-1, -1, 1]).sum(-1)
    if min(small.shape) > 8:
        np.testing.assert_allclose(small.array[inner], expected[inner], atol=2.0)


def test_noise_is_averaged_where_the_grid_is_coarser():
    noise = np.random.default_rng(0).normal(0, 30, (80, 80, 80)).astype(np.int16)
    small = at_spacing(Volume(noise, np.diag([-0.75, -0.75, 0.75, 1.0])), 3.0)
    assert small.array.std() < 8


def test_prepared_turns_clips_and_cleans():
    array = np.array([[[np.nan, 5000.0, -3000.0, 12.4]]], np.float32)
    image = prepared(Volume(array, np.diag([1.0, 1.0, 1.0, 1.0])))
    assert image.array.dtype == np.int16
    np.testing.assert_array_equal(image.array.ravel(), [-1024, 3071, -1024, 12])
    np.testing.assert_array_equal(np.sign(np.diag(image.affine)[:3]), [-1, -1, 1])


def test_channels_are_scaled_and_clipped():
    scaling = InputScaling(window_hu=(-100.0, 200.0), relative_hu=50.0, relative_clip=2.0)
    hu = torch.tensor([[[-1000.0, -100.0, 50.0, 200.0, 900.0]]])
    np.testing.assert_allclose(windowed(hu, scaling).ravel(), [-1, -1, 0, 1, 1], atol=1e-6)
    channels = lesion_channels(hu, torch.full_like(hu, 0.7), 100.0, scaling)
    assert channels.shape == (3, 1, 1, 5)
    np.testing.assert_allclose(channels[1].ravel(), [-2, -2, -1, 2, 2])
    assert (channels[2] == 0.7).all()


def test_far_from_the_liver_everything_is_like_parenchyma():
    hu, liver = torch.full((40, 9, 9), 20.0), torch.zeros(40, 9, 9)
    liver[:10] = 0.9
    relative = lesion_channels(hu, liver, 100.0, InputScaling(relative_hu=80.0))[1]
    assert (relative[: 10 + NEAR_LIVER_VOXELS] == -1).all()
    assert (relative[10 + NEAR_LIVER_VOXELS :] == 0).all()


def test_padding_keeps_indices():
    volume = ramp((5, 40, 7), np.ones(3))
    large = padded(volume, (16, 16, 16), -1024.0)
    assert large.shape == (16, 40, 16)
    np.testing.assert_array_equal(large.array[:5, :, :7], volume.array)
    assert (large.array[5:] == -1024).all()


@pytest.mark.parametrize("margin, expected", [(0, ((2, 3, 4), (5, 6, 7))), (3, ((0, 0, 1), (8, 9, 10)))])
def test_box_around_a_mask(margin, expected):
    mask = np.zeros((8, 10, 12), bool)
    mask[2:5, 3:6, 4:7] = True
    start, stop = box_around(mask, np.full(3, margin))
    assert (tuple(start), tuple(stop)) == expected


@settings(max_examples=40, deadline=None)
@given(
    load=st.floats(0.0, 0.7),
    contrast_hu=st.floats(-90, -30),
    vessels=st.floats(0.0, 0.12),
    parenchyma_hu=st.floats(20, 170),
    seed=st.integers(0, 99),
)
def test_the_reference_is_the_parenchyma_whatever_fills_the_liver(load, contrast_hu, vessels, parenchyma_hu, seed):
    rng = np.random.default_rng(seed)
    hu = rng.normal(parenchyma_hu, 6.0, 20_000)
    hu[: int(load * hu.size)] += contrast_hu
    bright = slice(int(load * hu.size), int((load + vessels * (1 - load)) * hu.size))
    hu[bright] += rng.uniform(20, 110, hu[bright].size)
    beside = np.concatenate([hu, np.full(50_000, -900.0)])
    assert reference_hu(beside, beside > -500) == pytest.approx(parenchyma_hu + 5, abs=6)


def test_the_parenchyma_beside_more_and_hardly_darker_tumour_is_a_shoulder_and_the_reference():
    rng = np.random.default_rng(0)
    hu = np.concatenate([rng.normal(54, 14.0, 6200), rng.normal(82, 8.0, 3800)])
    assert reference_hu(hu, np.ones(hu.shape, bool)) == pytest.approx(87, abs=6)


@pytest.mark.parametrize("hu", [-1024.0, 55.0, 3071.0])
def test_a_liver_of_one_value_has_a_reference(hu):
    assert np.isfinite(reference_hu(np.full(4, hu), np.ones(4, bool)))


def test_few_bright_lesions_leave_the_reference_where_it_is():
    hu = np.random.default_rng(0).normal(100, 6.0, 10_000)
    without = reference_hu(hu, np.ones(hu.shape, bool))
    hu[:1000] += 40
    assert reference_hu(hu, np.ones(hu.shape, bool)) == pytest.approx(without, abs=2)
