"""A CT's masks on the grid of a PET: the share of each PET voxel that lies inside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nen_imaging.volume import Volume

Shares = NDArray[np.float32]
Mask = NDArray[np.bool_]
_PER_AXIS = 5


def share_inside(mask: Volume, pet: Volume) -> Shares:
    """The share of each voxel of ``pet`` inside a CT mask, from 5 x 5 x 5 points per voxel; shape of ``pet``.

    Only the box around the mask is sampled, so that the cost follows the lesion and not the image.
    """
    share = np.zeros(pet.shape, np.float32)
    found = ndimage.find_objects(mask.array.astype(np.uint8))
    if not found or found[0] is None:
        return share
    low, high = (np.array([getattr(part, end) for part in found[0]]) for end in ("start", "stop"))
    corners = np.array(np.meshgrid(*zip(low - 0.5, high - 0.5, strict=True), indexing="ij")).reshape(3, -1)
    to_pet = np.linalg.inv(pet.affine) @ mask.affine
    in_pet = to_pet[:3, :3] @ corners + to_pet[:3, 3:]
    start = np.clip(np.floor(in_pet.min(axis=1)).astype(int), 0, pet.shape)
    stop = np.clip(np.ceil(in_pet.max(axis=1)).astype(int) + 1, 0, pet.shape)
    if (stop <= start).any():
        return share
    cut = mask.cropped(low, high)
    to_ct = np.linalg.inv(cut.affine) @ pet.affine
    index = np.indices(tuple(stop - start)).reshape(3, -1) + start[:, None]
    total = np.zeros(index.shape[1], np.float32)
    points = (np.arange(_PER_AXIS) + 0.5) / _PER_AXIS - 0.5
    for offset in np.array(np.meshgrid(points, points, points)).reshape(3, -1).T:
        place = np.round(to_ct[:3, :3] @ (index + offset[:, None]) + to_ct[:3, 3:]).astype(int)
        valid = ((place >= 0) & (place < np.array(cut.shape)[:, None])).all(axis=0)
        total[valid] += cut.array[tuple(place[:, valid])] != 0
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    share[box] = (total / _PER_AXIS**3).reshape(tuple(stop - start))
    return share


def covered_share(mask: Volume, pet: Volume) -> float:
    """The share of a CT mask's voxels whose centres lie in the PET's field of view; 1 for an empty mask."""
    index = np.argwhere(mask.array)
    if not len(index):
        return 1.0
    to_pet = np.linalg.inv(pet.affine) @ mask.affine
    place = index @ to_pet[:3, :3].T + to_pet[:3, 3]
    return float(((place > -0.5) & (place < np.array(pet.shape) - 0.5)).all(axis=1).mean())
