"""The CT around the liver on a coarse grid: what a PET is aligned to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nen_imaging.measurement.search import bounds_mm, on_coarse_grid
from nen_imaging.registration import centroid_mm, in_reference
from nen_imaging.volume import FloatArray, Volume, resample

GRID_MM = 6.0
MARGIN_MM = 60.0
EDGE_MM = 12.0
WINDOW_HU = (-200.0, 250.0)
_HARDLY_A_LESION = 0.1
_ENOUGH_POINTS = 2_000
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class LiverOnCt:
    """The CT around the liver on a coarse grid with RAS axes."""

    hu: Volume
    share: Volume
    lesions: Volume
    model: Volume
    """The liver as the PET's resolution shows it, 1 inside."""
    outside_mm: FloatArray
    depth_mm: FloatArray

    @classmethod
    def of(cls, ct: Volume, labels: Volume, instances: Volume, fwhm_mm: float) -> Self:
        index = np.argwhere(labels.array)
        low, high = bounds_mm(labels.cropped(index.min(axis=0), index.max(axis=0) + 1))
        box = low - MARGIN_MM, high + MARGIN_MM

        def coarse(volume: Volume, array: NDArray[np.generic], outside: float = 0.0) -> Volume:
            return on_coarse_grid(volume.with_array(array), GRID_MM, outside=outside, box_mm=box)

        hu = coarse(ct, np.clip(ct.array, *WINDOW_HU), WINDOW_HU[0])
        share, lesions = coarse(labels, labels.array != 0), coarse(instances, instances.array != 0)
        inside = share.array.astype(float) > 0.5
        blurred = ndimage.gaussian_filter(share.array, fwhm_mm / 2.355 / GRID_MM)
        outer, inner = (ndimage.distance_transform_edt(part, sampling=GRID_MM) for part in (~inside, inside))
        return cls(hu, share, lesions, share.with_array(blurred), outer, inner)

    @property
    def centre_mm(self) -> FloatArray:
        return centroid_mm(self.share.with_array(self.inside))

    @property
    def inside(self) -> Mask:
        return self.outside_mm == 0

    @property
    def healthy(self) -> Mask:
        return self.lesions.array.astype(float) < _HARDLY_A_LESION

    @property
    def edge(self) -> Mask:
        """What lies near the surface, without lesions where enough remains."""
        near = (self.outside_mm < EDGE_MM) & (self.depth_mm < EDGE_MM)
        return near & self.healthy if np.count_nonzero(near & self.healthy) >= _ENOUGH_POINTS else near

    def seen_in(self, suv: Volume, matrix: FloatArray) -> FloatArray:
        """A PET on this grid; NaN where it does not reach."""
        grid = self.share.shape, self.share.affine
        values = resample(in_reference(suv, matrix), *grid, outside=-1.0).array.astype(float)
        return np.where(values < 0, np.nan, values)

    def level(self, suv: Volume, matrix: FloatArray) -> float:
        """The median SUV of the liver, away from its edge and from lesions as far as possible; 0 where unseen."""
        values = self.seen_in(suv, matrix)
        deep = self.inside & (self.depth_mm > 2 * GRID_MM)
        chosen = deep & self.healthy if np.count_nonzero(deep & self.healthy) > _ENOUGH_POINTS // 10 else self.inside
        known = values[chosen & np.isfinite(values)]
        return float(np.median(known)) if known.size else 0.0
