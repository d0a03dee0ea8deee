"""Hepatic tumour load: volumes, load, its 90 % interval and clinical bands."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nen_imaging.measurement.lesions import LESION
from nen_imaging.volume import Volume, slice_axis

INTERVAL_LEVEL = 0.9
BAND_EDGES_PERCENT = (10.0, 25.0, 50.0)
BAND_NAMES = ("<= 10", "> 10-25", "> 25-50", "> 50")
OVERLOOKED_LESION_MM = 10.0
WIDENING = {"image.unlike_training": 2.0, "liver.truncated": 1.5}
"""Factors on the interval's width: what the terms of the interval do not know about. Choices, checked by coverage."""
_Z90 = 1.645
_JOINT_ERROR_ML = 1.0  # neighbouring probabilities err together over about this volume
_FACES_OVER_SURFACE = 1.5  # a voxel surface has 3/2 of the area of the smooth one, on average over its directions


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
        first, last = (_band(value) for value in (self.load_percent_low, self.load_percent_high))
        return list(BAND_NAMES[first : last + 1])


def measure_load(
    labels: Volume,
    instances: Volume,
    probability: Volume | None = None,
    member_loads_percent: Sequence[float] = (),
    *,
    left_out: Collection[int] = (),
    flags: Collection[str] = (),
) -> Load:
    """Measure the load of a label map (1 liver, 2 lesion) and the interval that holds it with 90 % probability.

    Parameters
    ----------
    labels, instances, probability
        Same grid; lesions by number; the calibrated probability of lesion x 255 (uint8; None for a reader's mask).
    member_loads_percent
        Loads as single members of the network see them; the first is the load that the labels come from.
    left_out
        Lesions that count as liver: read as benign, or probable cysts.
    flags
        Reason codes; those in `WIDENING` widen the interval.

    Raises
    ------
    ValueError
        There is no liver in the labels.

    Notes
    -----
    Terms of the interval, joined in quadrature: (1) the members' lowest and highest load, against the first;
    (2) the probabilities' own spread, with an error common to 1 ml; (3) half an in-plane voxel of all lesion surface
    together, and of the liver's; (4) sampling across the slices: the end slices of each lesion, each lesion for itself;
    (5) upwards, one overlooked lesion of 10 mm, or of two slices. So a load of 0 has an upper bound above 0.
    """
    liver = labels.array != 0
    if not liver.any():
        raise ValueError("The labels hold no liver; a load needs one.")
    counted = (labels.array == LESION) & ~np.isin(instances.array, list(left_out))
    liver_ml, lesion_ml = (float(mask.sum()) * labels.voxel_volume_ml for mask in (liver, counted))
    load = 100 * lesion_ml / liver_ml
    chance = _probability_inside(labels, instances, probability, left_out)
    expected_ml = lesion_ml if chance is None else float(chance.sum(dtype=float)) * labels.voxel_volume_ml
    down, up = _member_terms(load, member_loads_percent)
    in_plane_mm = float(np.delete(labels.spacing_mm, slice_axis(labels.affine)).mean())
    surface_ml = [in_plane_mm / 2 * _surface_mm2(mask, labels.spacing_mm) / 1000 for mask in (counted, liver)]
    common = [
        _probability_term_ml(chance, labels.voxel_volume_ml),
        surface_ml[0],
        load / 100 * surface_ml[1],
        _sampling_term_ml(np.where(counted, instances.array, 0), labels),
    ]
    both = 100 / liver_ml * float(np.linalg.norm(common))
    missed = 100 / liver_ml * _overlooked_ml(labels)
    wider = float(np.prod([WIDENING.get(flag, 1.0) for flag in set(flags)]))
    low = load - wider * float(np.linalg.norm([down, both]))
    high = load + wider * float(np.linalg.norm([up, both, missed]))
    return Load(liver_ml, lesion_ml, expected_ml, load, max(0.0, low), min(100.0, high))


def _member_terms(load: float, member_loads_percent: Sequence[float]) -> tuple[float, float]:
    """How far the members reach below and above, scaled to what is left of the load they were computed for."""
    if not member_loads_percent:
        return 0.0, 0.0
    first = member_loads_percent[0]
    share = min(1.0, load / first) if first > 0 else 1.0
    return share * (first - min(member_loads_percent)), share * (max(member_loads_percent) - first)


def _probability_inside(
    labels: Volume, instances: Volume, probability: Volume | None, left_out: Collection[int]
) -> NDArray[np.float32] | None:
    """Probabilities of the liver's voxels, those of lesions that do not count left out; shape (n,)."""
    if probability is None:
        return None
    asked = (labels.array != 0) & ~np.isin(instances.array, list(left_out))
    return probability.array[asked].astype(np.float32) / 255


def _probability_term_ml(chance: NDArray[np.float32] | None, voxel_ml: float) -> float:
    if chance is None:
        return 0.0
    variance = float((chance * (1 - chance)).sum(dtype=float)) * voxel_ml  # of voxels in a row, per ml
    return _Z90 * float(np.sqrt(variance * _JOINT_ERROR_ML))


def _surface_mm2(mask: NDArray[np.bool_], spacing_mm: NDArray[np.floating]) -> float:
    """The area of a mask's surface; faces on the image's border are none."""
    area = sum(
        np.count_nonzero(np.diff(mask, axis=axis)) * float(np.prod(np.delete(spacing_mm, axis))) for axis in range(3)
    )
    return float(area) / _FACES_OVER_SURFACE


def _sampling_term_ml(instances: NDArray[np.integer], grid: Volume) -> float:
    """Where a lesion ends between two slices is unknown: a uniform error of one slice over its two end areas."""
    axis = slice_axis(grid.affine)
    slice_mm = float(grid.spacing_mm[axis])
    face_ml = grid.voxel_volume_ml / slice_mm  # ml per mm of height
    boxes = ndimage.find_objects(instances)
    errors = []
    for number, box in enumerate(boxes, start=1):
        if box is not None:
            faces = np.count_nonzero(np.diff(np.pad(instances[box] == number, 1), axis=axis))
            errors.append(faces / 2 * face_ml * slice_mm / np.sqrt(12) * np.sqrt(0.5))
    return _Z90 * float(np.linalg.norm(errors)) if errors else 0.0


def _overlooked_ml(grid: Volume) -> float:
    diameter_mm = max(OVERLOOKED_LESION_MM, 2 * float(grid.spacing_mm[slice_axis(grid.affine)]))
    return float(np.pi / 6 * diameter_mm**3) / 1000


def _band(load_percent: float) -> int:
    return int(np.searchsorted(BAND_EDGES_PERCENT, load_percent, side="left"))
