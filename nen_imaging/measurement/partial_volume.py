"""What each lesion would show on a PET without blur: neighbours' spill-in taken off, its own spill-out given back.

The geometric transfer matrix (Rousset et al., J Nucl Med 1998;39:904): lesions, healthy liver and what surrounds it
are each even, the scanner blurs them by a Gaussian, and their SUV are those that give the PET's sums over all of them.
It stands or falls with the resolution and with masks that lie where the PET shows the lesions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nen_imaging.measurement.peak import sphere_offsets
from nen_imaging.measurement.pet_grid import Shares, share_inside, spread_inside
from nen_imaging.volume import Volume

METHOD = "geometric transfer matrix: lesions, healthy liver and surroundings, each even, blurred by a Gaussian"
_REACH_FWHM = 1.5
_MOSTLY_OUTSIDE = 0.5
_ROUNDS = 50
_CLOSE = 1e-5  # of the PET's maximum
_MOSTLY_INSIDE = 0.5
_WELL_SEEN = 0.7  # relative to the best place; at 0.5 a stomach wall beside a cold lesion made its peak 7 % too hot
Floats = NDArray[np.float32]
Box = tuple[slice, ...]


@dataclass(frozen=True)
class Corrected:
    """SUVmean of the whole lesion, and the highest SUV of 1 ml of it, both as without blur."""

    suv_mean: float
    suv_peak: float


@dataclass(frozen=True)
class _Region:
    """A region's shares and how the scanner spreads them, in the box that holds both."""

    box: Box
    share: Floats
    spread: Floats

    @classmethod
    def of(cls, share: Shares, spread: Shares) -> _Region | None:
        """None where the region fills nothing of the PET, or so little that its blur at the voxel's centre is 0."""
        if not float((share * spread).sum(dtype=float)) > 0:
            return None
        box: Box = ndimage.find_objects(((share > 0) | (spread > 0)).astype(np.uint8))[0]
        return cls(box, share[box].copy(), spread[box].copy())


def correct_partial_volume(
    suv: Volume, liver: Volume, lesions: Iterable[tuple[int, Volume]], *, fwhm_mm: float
) -> dict[int, Corrected]:
    """Corrected SUV of every lesion that fills at least one voxel by half.

    ``liver`` (with its lesions) and ``lesions`` (number, mask) are masks on grids of their own. Just outside the liver
    the PET is first taken as it is 1.5 x FWHM from its edge, and then, for good, as what it shows there less what the
    liver spills: a wall of stomach or bowel is thinner than that.
    """
    values = np.asarray(suv.array, np.float32)
    share, spread = share_inside(liver, suv), spread_inside(liver, suv, fwhm_mm=fwhm_mm)
    outside = 1 - spread
    surroundings = _far_surroundings(values, share, suv, _REACH_FWHM * fwhm_mm)
    regions = {}
    for number, mask in lesions:
        region = _Region.of(share_inside(mask, suv), spread_inside(mask, suv, fwhm_mm=fwhm_mm))
        if region:
            regions[number] = region
            share[region.box] -= region.share
            spread[region.box] -= region.spread
    healthy = _Region.of(np.clip(share, 0, 1), np.clip(spread, 0, 1))
    solved = [*regions.values(), *([healthy] if healthy else [])]
    model = surroundings * outside
    _solved(solved, values, model)
    model = _near_surroundings(surroundings, values - model, outside, suv) * outside
    means = _solved(solved, values, model)
    residual = values - model
    return {
        number: Corrected(mean, _peak(region, residual[region.box] + mean * region.spread, suv))
        for (number, region), mean in zip(regions.items(), means, strict=False)
        if (region.share >= _MOSTLY_INSIDE).any()
    }


def _far_surroundings(values: Floats, liver: Shares, suv: Volume, away_mm: float) -> Floats:
    """The PET outside the liver; near its edge that of the nearest place beyond the blur, where this is less."""
    distance_mm = ndimage.distance_transform_edt(liver <= 0, sampling=suv.spacing_mm)
    far = distance_mm > away_mm
    if not far.any():
        return values
    return np.minimum(values, _of_nearest(values, far, suv))


def _near_surroundings(surroundings: Floats, residual: Floats, outside: Floats, suv: Volume) -> Floats:
    """The surroundings that leave no residual where they make up half of the blur or more; elsewhere of the nearest."""
    seen = outside >= _MOSTLY_OUTSIDE
    if not seen.any():
        return surroundings
    explained = surroundings + residual / np.maximum(outside, np.float32(_MOSTLY_OUTSIDE))
    return _of_nearest(np.maximum(explained, 0), seen, suv)


def _of_nearest(values: Floats, known: NDArray[np.bool_], suv: Volume) -> Floats:
    """Each voxel's value, or that of the nearest voxel where it is known."""
    nearest = ndimage.distance_transform_edt(
        ~known, sampling=suv.spacing_mm, return_distances=False, return_indices=True
    )
    return np.asarray(values[tuple(nearest)])


def _solved(regions: list[_Region], values: Floats, model: Floats) -> list[float]:
    """The SUV of each region, by Gauss-Seidel on the sums over regions; the model of the PET is built in place."""
    means, close = [0.0] * len(regions), _CLOSE * float(values.max())
    for _ in range(_ROUNDS):
        largest = 0.0
        for n, region in enumerate(regions):
            missing = float((region.share * (values[region.box] - model[region.box])).sum(dtype=float))
            change = missing / float((region.share * region.spread).sum(dtype=float))
            model[region.box] += np.float32(change) * region.spread
            means[n] += change
            largest = max(largest, abs(change))
        if largest < close:
            break
    return means


def _peak(region: _Region, own: Floats, suv: Volume) -> float:
    """The highest SUV in a sphere of 1 ml around a voxel of the lesion, by least squares of its spread to its PET."""
    centres = np.argwhere(region.share >= _MOSTLY_INSIDE)
    fitted, seen = np.zeros(len(centres)), np.zeros(len(centres))
    shape = np.array(region.share.shape)
    for offset in sphere_offsets(suv):
        place = centres + offset
        valid = ((place >= 0) & (place < shape)).all(axis=1)
        index = tuple(place[valid].T)
        fitted[valid] += own[index] * region.spread[index]
        seen[valid] += region.spread[index] ** 2
    enough = seen >= _WELL_SEEN * seen.max()
    return float((fitted[enough] / seen[enough]).max())
