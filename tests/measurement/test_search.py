from __future__ import annotations

import numpy as np
import pytest

from nen_imaging.measurement.search import best_place, bounds_mm, on_coarse_grid
from nen_imaging.volume import Volume
from tests.measurement.shapes import ORIENTATIONS, ellipsoid, grid


def picture(shape=(40, 36, 44)):
    """Two unlike bodies on nothing, at 4 mm."""
    volume = grid(shape, (4.0,) * 3)
    bodies = 5.0 * ellipsoid(volume, (30, 20, 24), (-10, 8, -20)) + 2.0 * ellipsoid(volume, (14, 14, 14), (40, -20, 40))
    return volume.with_array(bodies.astype(np.float32))


@pytest.mark.parametrize("shift_mm", [(0, 0, 0), (400, -80, 1200), (-12, 8, -4)])
def test_a_part_is_found_wherever_it_lies(shift_mm):
    whole = picture()
    model = whole.cropped(np.array([8, 8, 6]), np.array([30, 30, 30]))
    weight = (model.array > -1).astype(float)
    affine = whole.affine.copy()
    affine[:3, 3] += shift_mm
    found = best_place(model, weight, Volume(3 * whole.array + 7, affine), outside=7.0)
    assert found.shift_mm == pytest.approx(np.array(shift_mm, float))
    assert found.correlation == pytest.approx(1)


def test_what_has_no_weight_does_not_count():
    whole = picture()
    other = whole.with_array(np.where(ellipsoid(whole, (14, 14, 14), (40, -20, 40)), 90, whole.array))
    weight = (~ellipsoid(whole, (14, 14, 14), (40, -20, 40))).astype(float)
    assert best_place(whole, weight, other, outside=0.0).correlation > 0.999
    assert best_place(whole, np.ones(whole.shape), other, outside=0.0).correlation < 0.5


def test_an_even_image_shows_nothing():
    whole = picture()
    assert (
        best_place(whole, np.ones(whole.shape), whole.with_array(np.full(whole.shape, 4.0)), outside=4.0).correlation
        < 0
    )


@pytest.mark.parametrize("codes", ORIENTATIONS[::13])
def test_the_coarse_grid_does_not_depend_on_the_layout(codes):
    coarse, turned = (on_coarse_grid(one, 8.0, outside=0.0) for one in (picture(), picture().oriented(codes)))
    assert np.allclose(coarse.affine, turned.affine)
    assert np.allclose(coarse.array, turned.array, atol=1e-4)
    low, high = bounds_mm(picture())
    assert low == pytest.approx(-np.array([80, 72, 88]))
    assert high == pytest.approx([80, 72, 88])
