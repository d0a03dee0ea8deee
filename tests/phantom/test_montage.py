import numpy as np
import pytest

from nen_imaging.phantom.montage import PIXEL_MM, TILE_MM, Row, liver_levels_mm, montage, side_by_side
from nen_imaging.volume import Volume


@pytest.fixture
def image():
    """Soft tissue in the patient's right half, air in the left one, on axes that run to the left."""
    array = np.full((60, 50, 10), -1000.0)
    array[:30] = 40.0
    affine = np.diag([-5.0, 5.0, 4.0, 1.0])
    affine[:3, 3] = 150, -120, 0
    return Volume(array, affine)


def test_the_patients_right_is_on_the_left(image):
    picture = np.asarray(montage([Row(image, (20.0,))]))
    assert picture.shape == (round(TILE_MM[1] / PIXEL_MM), round(TILE_MM[0] / PIXEL_MM))
    middle = picture[picture.shape[0] // 2]
    assert middle[: len(middle) // 2].max() == 127  # 40 HU in the middle of the window
    assert middle[len(middle) // 2 + 2 :].max() == 0


def test_levels_run_over_the_height_of_the_liver(image):
    labels = np.zeros(image.shape, np.uint8)
    labels[10:20, 10:20, 2:8] = 2
    levels = liver_levels_mm(image.with_array(labels))
    assert all(8 <= level <= 28 for level in levels)
    assert list(levels) == sorted(levels, reverse=True)
    with pytest.raises(ValueError, match="no liver"):
        liver_levels_mm(image.with_array(np.zeros(image.shape, np.uint8)))


def test_two_montages_stand_beside_each_other(image):
    one = montage([Row(image, (20.0,))])
    assert side_by_side(one, one).width > 2 * one.width
