"""Hepatic tumour load: volumes, load, its 90 % interval, clinical bands, truncation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nen_imaging.volume import Volume

BAND_EDGES_PERCENT = (10.0, 25.0, 50.0)
BAND_NAMES = ("<= 10", "> 10-25", "> 25-50", "> 50")
_OVERLOOKED_LESION_ML = 0.52  # a sphere of 10 mm: what may be missed at any load
_CUT_AREA_MM2 = 100.0


@dataclass(frozen=True)
class Load:
    """Volumes and load of one liver; the liver includes its lesions."""

    liver_volume_ml: float
    lesion_volume_ml: float
    expected_lesion_volume_ml: float
    load_percent: float
    load_percent_low: float
    load_percent_high: float

    @property
    def bands(self) -> list[str]:
        """The clinical band of the load, or every band that its interval reaches."""
        reached = (_band(value) for value in (self.load_percent_low, self.load_percent_high))
        first, last = reached
        return list(BAND_NAMES[first : last + 1])


def measure_load(labels: Volume, probability: Volume, member_loads_percent: Sequence[float] = ()) -> Load:
    """Measure the load of a label map (1 liver, 2 lesion) and the interval that holds it with 90 % probability.

    The interval joins, in quadrature: the spread of the network's members; the difference to the volume expected
    from the probability map; half a voxel of the lesions' surface, along every axis, which covers sampling along z;
    and, upwards, one overlooked lesion of 10 mm.

    Parameters
    ----------
    labels, probability
        Same grid; the probability of lesion x 255 (uint8).
    member_loads_percent
        Loads as single members of the network see them.

    Raises
    ------
    ValueError
        There is no liver in the labels.
    """
    voxel_ml = labels.voxel_volume_ml
    lesion = labels.array == 2
    liver_ml = float(np.count_nonzero(labels.array)) * voxel_ml
    if liver_ml == 0:
        raise ValueError("The labels hold no liver; a load needs one.")
    lesion_ml = float(lesion.sum()) * voxel_ml
    inside = np.where(labels.array > 0, probability.array, 0)
    expected_ml = float(inside.sum(dtype=np.int64)) / 255 * voxel_ml
    load = 100 * lesion_ml / liver_ml
    seen = [load, 100 * expected_ml / liver_ml, *member_loads_percent]
    surface = min(100 * half_voxel_of_surface_ml(lesion, labels.spacing_mm) / liver_ml, load)
    overlooked = 100 * _OVERLOOKED_LESION_ML / liver_ml
    low = load - float(np.hypot(load - min(seen), surface))
    high = load + float(np.sqrt((max(seen) - load) ** 2 + surface**2 + overlooked**2))
    return Load(liver_ml, lesion_ml, expected_ml, load, max(0.0, low), min(100.0, high))


def half_voxel_of_surface_ml(mask: NDArray[np.bool_], spacing_mm: NDArray[np.floating]) -> float:
    """The volume between a mask's surface and the same surface moved by half a voxel along the face's axis."""
    volume_mm3 = 0.0
    for axis in range(3):
        faces = np.count_nonzero(np.diff(mask, axis=axis))
        volume_mm3 += faces * float(np.prod(spacing_mm)) / 2
    return volume_mm3 / 1000 / 3**0.5  # a tilted surface shows faces on several axes: their mean, not their sum


def is_truncated(labels: Volume) -> bool:
    """Whether the liver reaches an edge of the image with more than 100 mm2 on one face of the box."""
    liver = labels.array > 0
    for axis in range(3):
        pixel_mm2 = float(np.prod(np.delete(labels.spacing_mm, axis)))
        for edge in (0, -1):
            if np.count_nonzero(np.take(liver, edge, axis=axis)) * pixel_mm2 > _CUT_AREA_MM2:
                return True
    return False


def _band(load_percent: float) -> int:
    return int(np.searchsorted(BAND_EDGES_PERCENT, load_percent, side="left"))
