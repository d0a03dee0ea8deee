"""Small label maps, and the textbook way to measure them: erosion and a distance transform of the whole array."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

SPACING_MM = (0.7, 0.9, 2.5)

masks = st.tuples(*[st.integers(2, 7)] * 3).flatmap(lambda shape: arrays(bool, shape))
mask_pairs = st.tuples(*[st.integers(2, 7)] * 3).flatmap(
    lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))
)
spacings = st.tuples(*[st.sampled_from([0.5, 0.7, 1.0, 2.5, 5.0])] * 3)
permutations = st.permutations(range(3))
flips = st.lists(st.sampled_from([0, 1, 2]), unique=True)


def ball(shape, centre, radius, spacing_mm=(1.0, 1.0, 1.0)):
    """Voxels whose centre lies within a ball; centre in voxels, radius in mm."""
    place = (np.stack(np.indices(shape), -1) - np.array(centre)) * np.array(spacing_mm)
    return (place**2).sum(-1) <= radius**2


def label_map(shape=(40, 36, 20), *, liver=14.0, lesions=(), spacing_mm=SPACING_MM):
    """A ball of liver in the middle with balls of lesion: (centre in voxels, radius in mm)."""
    labels = ball(shape, np.array(shape) / 2, liver, spacing_mm).astype(np.uint8)
    for centre, radius in lesions:
        labels[ball(shape, centre, radius, spacing_mm)] = 2
    return labels


def twin_pairs():
    """Three label maps (truth, prediction) as small as the sample of LiTS is large, with each kind of mistake."""
    a, b, c, d = ((14, 14, 8), 3.0), ((26, 22, 12), 4.0), ((24, 12, 9), 2.5), ((16, 24, 12), 2.5)
    near = ((15, 14, 8), 3.5)
    two_in_one = [((16, 17, 10), 2.2), ((25, 17, 10), 2.2)]
    one_over_two = [((20, 17, 10), 5.5)]
    truth = label_map(lesions=[a, b, c]), label_map(lesions=two_in_one), label_map(lesions=[b])
    prediction = (
        label_map(liver=13.0, lesions=[near, b, d]),  # shifted, right, one missed, one invented
        label_map(liver=15.0, lesions=one_over_two),  # two lesions found as one
        label_map(lesions=[((23, 22, 12), 1.5), ((29, 22, 12), 1.5)]),  # one lesion found as two
    )
    return list(zip(truth, prediction, strict=True))


def textbook_distances(truth, prediction, spacing_mm, *, connectivity, beyond=0):
    """Distances of both surfaces, by erosion and distance transform."""
    element = ndimage.generate_binary_structure(3, connectivity)
    edge, other = (mask & ~ndimage.binary_erosion(mask, element, border_value=beyond) for mask in (truth, prediction))
    to = [ndimage.distance_transform_edt(~border, sampling=spacing_mm) for border in (edge, other)]
    return to[1][edge], to[0][other]
