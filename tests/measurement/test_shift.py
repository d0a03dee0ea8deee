import numpy as np
import pytest
from scipy import ndimage

from nen_imaging.measurement.shift import measure_shift
from nen_imaging.volume import Volume
from tests.measurement.shapes import ORIENTATIONS, ellipsoid, grid


def pet_of_liver(shift_mm, *, hot=True, spacing=4.0):
    """A liver of SUV 6 with a hot and a cold lesion, blurred, moved by ``shift_mm`` (RAS); and the liver's shares."""
    volume = grid((60, 52, 56), (spacing,) * 3)
    liver = ellipsoid(volume, (80, 60, 70))
    moved = np.array(shift_mm)
    suv = np.where(ellipsoid(volume, (80, 60, 70), moved), 6.0, 0.7)
    if hot:
        suv[ellipsoid(volume, (15, 15, 15), moved + np.array([30, 0, 10]))] = 40
        suv[ellipsoid(volume, (15, 15, 15), moved - np.array([30, 0, 10]))] = 1
    suv = ndimage.gaussian_filter(suv, 6 / 2.355 / spacing)
    suv += np.random.default_rng(0).normal(0, 0.3, suv.shape)
    return volume.with_array(suv), liver.astype(np.float32)


@pytest.mark.parametrize("shift_mm", [(0, 0, 0), (0, 0, 12), (-6, 3, 9)])
def test_a_known_shift_is_found_in_lps(shift_mm):
    found = measure_shift(*pet_of_liver(shift_mm), fwhm_mm=6.0)
    expected = np.array(shift_mm) * [-1, -1, 1]
    assert [found.x_mm, found.y_mm, found.z_mm] == pytest.approx(expected, abs=1.0)
    assert found.length_mm == pytest.approx(np.linalg.norm(shift_mm), abs=1.0)
    assert 2.0 <= found.uncertainty_mm < 8


@pytest.mark.parametrize("codes", ORIENTATIONS[::17])
def test_the_shift_does_not_depend_on_how_the_array_is_laid_out(codes):
    suv, liver = pet_of_liver((4, 0, 8))
    turned = Volume(liver, suv.affine).oriented(codes)
    found = measure_shift(suv.oriented(codes), turned.array, fwhm_mm=6.0)
    assert [found.x_mm, found.y_mm, found.z_mm] == pytest.approx([-4, 0, 8], abs=1.0)


def test_a_pet_without_a_liver_edge_has_no_shift():
    suv, liver = pet_of_liver((0, 0, 0), hot=False)
    noise = suv.with_array(np.random.default_rng(1).normal(3, 1, suv.shape))
    found = measure_shift(noise, liver, fwhm_mm=6.0)
    assert found.length_mm is None
    assert "edge is not seen" in found.method
    assert measure_shift(suv, np.zeros_like(liver), fwhm_mm=6.0).length_mm is None
