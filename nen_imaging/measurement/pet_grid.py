"""A CT's masks on the grid of a PET: the share of each PET voxel that lies inside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nen_imaging.volume import Volume

Shares = NDArray[np.float32]
Mask = NDArray[np.bool_]
_POINTS = 64
_STEP = np.array([0.8191725134, 0.6710436067, 0.5497004779])  # R3 sequence (Roberts 2018): evenly spread, no lattice


def share_inside(mask: Volume, pet: Volume) -> Shares:
    """The share of each voxel of ``pet`` inside a CT mask, from 64 points per voxel; shape of ``pet``.

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
    place = to_ct[:3, :3] @ index + to_ct[:3, 3:]  # of the voxels' centres, in indices of the mask
    total = np.zeros(index.shape[1], np.float32)
    for offset in (np.arange(1, _POINTS + 1)[:, None] * _STEP) % 1 - 0.5:
        nearest = np.rint(place + (to_ct[:3, :3] @ offset)[:, None]).astype(np.int32)
        valid = ((nearest >= 0) & (nearest < np.array(cut.shape)[:, None])).all(axis=0)
        total[valid] += cut.array[tuple(nearest[:, valid])] != 0
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    share[box] = (total / _POINTS).reshape(tuple(stop - start))
    return share


def covered_share(mask: Volume, pet: Volume) -> float:
    """The share of a CT mask's voxels whose centres lie in the PET's field of view; 1 for an empty mask."""
    index = np.argwhere(mask.array)
    if not len(index):
        return 1.0
    to_pet = np.linalg.inv(pet.affine) @ mask.affine
    place = index @ to_pet[:3, :3].T + to_pet[:3, 3]
    return float(((place > -0.5) & (place < np.array(pet.shape) - 0.5)).all(axis=1).mean())
