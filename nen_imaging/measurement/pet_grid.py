"""A CT's masks on the grid of a PET: the share of each PET voxel that lies inside, and what its blur makes of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nen_imaging.volume import Volume

Shares = NDArray[np.float32]
Mask = NDArray[np.bool_]
SIGMA_OF_FWHM = float(1 / np.sqrt(8 * np.log(2)))
_REACH_SIGMA = 4.0
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
    cut = mask.cropped(low, high)
    start, stop = _box_of(cut, pet, 0.0)
    if (stop <= start).any():
        return share
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


def spread_inside(mask: Volume, pet: Volume, *, fwhm_mm: float) -> Shares:
    """What ``pet`` would show of a CT mask of SUV 1: its blur at the centre of each PET voxel; shape of ``pet``.

    A resolution measured at a point source is that of the voxels' values: their own width is in it already, so that the
    mask is not averaged over PET voxels as well. Blurred on the CT's grid, where a voxel of the mask is a box that adds
    its variance of width^2 / 12 to that of the Gaussian; interpolated by cubic splines.
    """
    found = ndimage.find_objects(mask.array.astype(np.uint8))
    spread = np.zeros(pet.shape, np.float32)
    if not found or found[0] is None:
        return spread
    sigma = np.sqrt((fwhm_mm * SIGMA_OF_FWHM / mask.spacing_mm) ** 2 + 1 / 12)
    reach = np.ceil(_REACH_SIGMA * sigma).astype(int)
    inside = np.pad((mask.array[found[0]] != 0).astype(np.float32), [(n, n) for n in reach.tolist()])
    affine = mask.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ (np.array([part.start for part in found[0]]) - reach)
    blurred = ndimage.gaussian_filter(inside, sigma, mode="constant", truncate=_REACH_SIGMA)
    start, stop = _box_of(Volume(blurred, affine), pet, 0.0)
    if (stop <= start).any():
        return spread
    to_ct = np.linalg.inv(affine) @ pet.affine
    place = to_ct[:3, :3] @ (np.indices(tuple(stop - start)).reshape(3, -1) + start[:, None]) + to_ct[:3, 3:]
    curve = ndimage.spline_filter(blurred, output=np.float32)
    seen = ndimage.map_coordinates(curve, place, output=np.float32, prefilter=False).clip(0, 1)
    spread[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = seen.reshape(tuple(stop - start))
    return spread


def around(mask: Volume, pet: Volume, margin_mm: float) -> Volume:
    """The part of a PET in the box around a CT mask, with a margin; the whole PET where they do not meet."""
    found = ndimage.find_objects(mask.array.astype(np.uint8))
    if not found or found[0] is None:
        return pet
    low, high = (np.array([getattr(part, end) for part in found[0]]) for end in ("start", "stop"))
    start, stop = _box_of(mask.cropped(low, high), pet, margin_mm)
    return pet if (stop <= start).any() else pet.cropped(start, stop)


def _box_of(cut: Volume, pet: Volume, margin_mm: float) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """First and last index (exclusive) of the PET's voxels that a CT volume touches."""
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in cut.shape], indexing="ij")).reshape(3, -1)
    to_pet = np.linalg.inv(pet.affine) @ cut.affine
    in_pet = to_pet[:3, :3] @ corners + to_pet[:3, 3:]
    margin = margin_mm / pet.spacing_mm
    start = np.clip(np.floor(in_pet.min(axis=1) - margin).astype(int), 0, pet.shape)
    stop = np.clip(np.ceil(in_pet.max(axis=1) + margin).astype(int) + 1, 0, pet.shape)
    return start, stop


def covered_share(mask: Volume, pet: Volume) -> float:
    """The share of a CT mask's voxels whose centres lie in the PET's field of view; 1 for an empty mask."""
    index = np.argwhere(mask.array)
    if not len(index):
        return 1.0
    to_pet = np.linalg.inv(pet.affine) @ mask.affine
    place = index @ to_pet[:3, :3].T + to_pet[:3, 3]
    return float(((place > -0.5) & (place < np.array(pet.shape) - 0.5)).all(axis=1).mean())
