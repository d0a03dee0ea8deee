"""SUVpeak: the mean in a sphere of 1 ml (IBSI VJGA local, 0F91 global; Wahl 2009, Frings 2014)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nen_imaging.volume import Volume

RADIUS_MM = (3 / (4 * np.pi)) ** (1 / 3) * 10  # of a sphere of 1 ml: 6.204 mm


def suv_peaks(suv: Volume, inside: NDArray[np.bool_]) -> tuple[float, float]:
    """Local and global peak of the voxels inside a lesion.

    Voxels count whose centre lies within the sphere, those outside the lesion too, those outside the image not.
    Local: the sphere on the hottest voxel, among equals the highest mean. Global: the highest mean of all.
    Returns NaN twice where nothing is inside.
    """
    centres = np.argwhere(inside)
    if not len(centres):
        return float("nan"), float("nan")
    means = _sphere_means(suv, centres)
    values = suv.array[inside]
    return float(means[values == values.max()].max()), float(means.max())


def _sphere_means(suv: Volume, centres: NDArray[np.integer]) -> NDArray[np.float64]:
    total = np.zeros(len(centres))
    count = np.zeros(len(centres))
    shape = np.array(suv.shape)
    for offset in sphere_offsets(suv):
        place = centres + offset
        valid = ((place >= 0) & (place < shape)).all(axis=1)
        total[valid] += suv.array[tuple(place[valid].T)]
        count[valid] += 1
    return total / count


def sphere_offsets(suv: Volume) -> NDArray[np.integer]:
    """Index offsets of the voxels whose centres lie within 1 ml of a voxel's centre, shape (n, 3)."""
    reach = np.ceil(RADIUS_MM * np.linalg.norm(np.linalg.inv(suv.affine[:3, :3]), axis=1)).astype(int)
    offsets = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in reach], indexing="ij"), axis=-1).reshape(-1, 3)
    distance_mm = np.linalg.norm(offsets @ suv.affine[:3, :3].T, axis=1)
    return offsets[distance_mm <= RADIUS_MM + 1e-6]
