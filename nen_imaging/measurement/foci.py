"""Foci that take up more than the liver outside the organs that do so by nature: candidates for a reader.

Nothing is counted. The rule is kept simple, so that a reader knows what it misses: a focus is a connected part of the
PET above the liver (as for the modified Krenning score 3) of at least 0.5 ml, away from the liver's own edge. Left out
are the spleen (what holds its core on the CT), the kidneys and, where no spleen was found, what lies like one (20 ml
or more, beside and behind the spine's front), the bladder (20 ml or more in the midline, 10 cm below the liver), and
whatever lies within 10 mm of these, such as adrenals, a ureter's origin or a tumour of the pancreas' tail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nen_imaging.measurement.organs import Abdomen, Landmarks, find_spine
from nen_imaging.measurement.pet_grid import Shares, share_inside
from nen_imaging.volume import LPS_TO_RAS, FloatArray, Volume, resample

SMALLEST_ML = 0.5
_ORGAN_ML = 20.0
_BESIDE_ORGAN_MM = 10.0
_LIVER_EDGE_FWHM = 1.5
_BESIDE_SPINE_MM = (20.0, 130.0)
_BEFORE_SPINE_MM = 25.0
_MIDLINE_MM = 40.0
_BELOW_LIVER_MM = 100.0
_BONE_HU, _LUNG_HU = 150.0, -300.0
_TOUCHING = np.ones((3, 3, 3), bool)
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Surroundings:
    """What is known of the patient beside the PET: the CT, the liver's level of it, and what was found there."""

    ct: Volume
    abdomen: Abdomen
    landmarks: Landmarks


def find_foci(
    suv: Volume, liver: Shares, surroundings: Surroundings, *, threshold: float, fwhm_mm: float, shift_mm: float
) -> list[dict[str, Any]]:
    """Rows of foci.csv without rounding, the hottest first; places are those of the maximum, in LPS mm.

    ``liver`` is the share of each PET voxel in the liver; ``threshold`` an SUV above that of the liver;
    ``shift_mm`` how far the PET may lie from the CT.
    """
    values = np.asarray(suv.array, np.float32)
    outside = _distance_mm(liver > 0, suv) > _LIVER_EDGE_FWHM * fwhm_mm + shift_mm
    parts, count = ndimage.label((values > threshold) & outside, structure=_TOUCHING)
    sizes_ml = np.bincount(parts.ravel(), minlength=count + 1) * suv.voxel_volume_ml
    organs = _physiological(parts, sizes_ml, suv, liver, surroundings)
    known = np.isin(parts, list(organs))
    to_organ_mm = _distance_mm(known, suv)
    nearest = {"liver": _distance_mm(liver > 0, suv)} | {
        name: _distance_mm(np.isin(parts, [part for part, organ in organs.items() if organ == name]), suv)
        for name in sorted(set(organs.values()))
    }
    rows: list[dict[str, Any]] = []
    for part in range(1, count + 1):
        if sizes_ml[part] < SMALLEST_ML or part in organs:
            continue
        inside = parts == part
        if to_organ_mm[inside].min() <= _BESIDE_ORGAN_MM:
            continue
        place = np.argwhere(inside)[int(values[inside].argmax())]
        distances = {name: float(distance_mm[inside].min()) for name, distance_mm in nearest.items()}
        organ = min(distances, key=lambda name: distances[name])
        hu = _mean_hu(surroundings.ct, suv, inside)
        x, y, z = (LPS_TO_RAS @ suv.affine @ [*place, 1.0])[:3]
        row: dict[str, Any] = {"x_mm": float(x), "y_mm": float(y), "z_mm": float(z), "volume_ml": float(sizes_ml[part])}
        row |= {"suv_max": float(values[inside].max()), "mean_hu": hu, "may_be": _may_be(hu)}
        rows.append(row | {"nearest_organ": organ, "distance_mm": distances[organ]})
    return sorted(rows, key=lambda row: -row["suv_max"])


def _physiological(
    parts: NDArray[np.integer], sizes_ml: FloatArray, suv: Volume, liver: Shares, surroundings: Surroundings
) -> dict[int, str]:
    """The number of every part of the PET that is an organ, and which."""
    abdomen, spleen = surroundings.abdomen, surroundings.landmarks.spleen
    organs = {}
    if spleen.mask is not None:
        core = share_inside(abdomen.hu.with_array(spleen.mask), suv) > 0.5
        held = np.bincount(parts[core], minlength=1)
        held[0] = 0
        if held.any():
            organs[int(held.argmax())] = "spleen"
    spine = find_spine(abdomen)
    if spine is None:
        return organs | {int(part): "organ" for part in np.flatnonzero(sizes_ml >= _ORGAN_ML) if part}
    spine_mm = (abdomen.hu.affine @ [*spine, 0.0, 1.0])[:2]
    low_mm = _places_mm(liver > 0, suv)[:, 2].min()
    for part in np.flatnonzero(sizes_ml >= _ORGAN_ML):
        if part == 0 or part in organs:
            continue
        x, y, z = _places_mm(parts == part, suv).mean(axis=0)
        aside, before = abs(x - spine_mm[0]), y - spine_mm[1]
        if _BESIDE_SPINE_MM[0] <= aside <= _BESIDE_SPINE_MM[1] and before < _BEFORE_SPINE_MM:
            organs[int(part)] = "kidney"
        elif aside < _MIDLINE_MM and z < low_mm - _BELOW_LIVER_MM:
            organs[int(part)] = "bladder"
    return organs


def _places_mm(mask: Mask, grid: Volume) -> FloatArray:
    return np.argwhere(mask) @ grid.affine[:3, :3].T + grid.affine[:3, 3]


def _distance_mm(mask: Mask, grid: Volume) -> FloatArray:
    """Distance of every voxel to the nearest one of a mask; infinite where it is empty."""
    if not mask.any():
        return np.full(mask.shape, np.inf)
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=grid.spacing_mm))


def _mean_hu(ct: Volume, suv: Volume, inside: Mask) -> float | None:
    """Mean HU of the CT where a focus lies; None where the CT does not reach."""
    box = ndimage.find_objects(inside.astype(np.uint8))[0]
    start, stop = (np.array([getattr(part, end) for part in box]) for end in ("start", "stop"))
    grid = suv.with_array(inside).cropped(start, stop)
    hu = resample(ct, grid.shape, grid.affine, nearest=True, outside=-32768).array[grid.array.astype(bool)]
    hu = hu[hu > -32768]
    return float(hu.mean()) if hu.size else None


def _may_be(hu: float | None) -> str:
    """What tissue the CT shows there, and what that may hold."""
    if hu is None:
        return "outside the CT"
    if hu > _BONE_HU:
        return "bone"
    if hu < _LUNG_HU:
        return "lung"
    return "soft tissue: bowel, lymph node, pancreas, stomach or peritoneum"
