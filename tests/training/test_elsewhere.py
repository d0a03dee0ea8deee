"""Bodies without a liver look like bodies, and hold none."""

from __future__ import annotations

import numpy as np

from nen_imaging.training.elsewhere import bodies_without_liver


def test_thighs_and_heads_are_flesh_bone_and_air_without_a_liver():
    thighs, head = bodies_without_liver(2, 40, 6.0, 0.3)
    for case in (thighs, head):
        hu = case.image.array
        assert not case.label.array.any()
        assert 0.03 < np.mean((hu > 20) & (hu < 100)) < 0.5
        assert (hu > 400).mean() > 0.001
        assert np.mean(hu < -800) > 0.3
        assert case.painted and case.lesions_known
    middle = thighs.image.array[:, :, thighs.image.shape[2] // 2]
    assert (middle[: middle.shape[0] // 2] > 400).any() and (middle[middle.shape[0] // 2 :] > 400).any()


def test_each_is_different_and_the_same_each_time():
    first, again = (next(bodies_without_liver(1, 3, 6.0, 0.3)) for _ in range(2))
    other = next(bodies_without_liver(1, 5, 6.0, 0.3))
    np.testing.assert_array_equal(first.image.array, again.image.array)
    assert (first.image.array != other.image.array).mean() > 0.2
