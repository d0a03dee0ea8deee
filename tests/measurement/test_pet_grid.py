import numpy as np
import pytest
from scipy.special import ndtr

from nen_imaging.measurement.pet_grid import covered_share, share_inside, spread_inside
from nen_imaging.volume import Volume
from tests.measurement.shapes import ORIENTATIONS, ellipsoid, grid


@pytest.mark.parametrize("codes", ORIENTATIONS[::9])
def test_shares_carry_the_volume_of_the_mask(codes):
    ct = grid((80, 70, 30), (0.8, 0.8, 2.5))
    mask = ct.with_array(ellipsoid(ct, (14, 11, 12), (3, -2, 4))).oriented(codes)
    pet = grid((20, 20, 20), (4.1, 4.1, 3.3))
    share = share_inside(mask, pet)
    assert share.max() == 1
    volume_ml = mask.array.sum() * mask.voxel_volume_ml
    assert share.sum() * pet.voxel_volume_ml == pytest.approx(volume_ml, rel=0.02)


def test_a_voxel_half_inside_has_a_share_of_one_half():
    ct = Volume(np.zeros((10, 10, 10), bool), np.eye(4))
    ct.array[:5] = True
    affine = np.diag([10.0, 10, 10, 1])
    affine[:3, 3] = 4.5
    assert share_inside(ct, Volume(np.zeros((1, 1, 1)), affine))[0, 0, 0] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("codes", ORIENTATIONS[::9])
@pytest.mark.parametrize("slice_mm", [1.5, 5.0])
def test_a_box_spreads_as_its_convolution_with_a_gaussian(codes, slice_mm):
    ct, pet = grid((80, 70, 24), (0.8, 0.8, slice_mm)), grid((16, 16, 14), (4.1, 4.1, 3.3))
    ct.array[25:60, 20:50, 9:14] = 1
    low, high = (
        np.diag(ct.affine)[:3] * (np.array(end) - 0.5) + ct.affine[:3, 3] for end in ((25, 20, 9), (60, 50, 14))
    )
    places = [pet.affine[n, n] * np.arange(pet.shape[n]) + pet.affine[n, 3] for n in range(3)]
    sigma_mm = 6.0 / np.sqrt(8 * np.log(2))
    x, y, z = (ndtr((p - a) / sigma_mm) - ndtr((p - b) / sigma_mm) for p, a, b in zip(places, low, high, strict=True))
    expected = np.einsum("i,j,k", x, y, z)
    spread = spread_inside(ct.oriented(codes), pet, fwhm_mm=6.0)
    assert spread == pytest.approx(expected, abs=0.01)
    assert spread.sum() == pytest.approx(expected.sum(), rel=0.001)


def test_nothing_inside_or_nothing_covered_is_all_zero():
    ct, pet = grid((10, 10, 10), (1, 1, 1)), grid((5, 5, 5), (2, 2, 2))
    assert share_inside(ct, pet).max() == 0
    far = Volume(np.ones((3, 3, 3), bool), np.array([[1, 0, 0, 500], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    assert share_inside(far, pet).max() == 0
    assert spread_inside(ct, pet, fwhm_mm=6.0).max() == spread_inside(far, pet, fwhm_mm=6.0).max() == 0
    assert covered_share(far, pet) == 0
    assert covered_share(ct, pet) == 1


def test_a_mask_half_outside_the_pet_is_half_covered():
    mask = Volume(np.ones((10, 4, 4), bool), np.eye(4))
    pet = Volume(np.zeros((5, 4, 4)), np.eye(4))
    assert covered_share(mask, pet) == 0.5
