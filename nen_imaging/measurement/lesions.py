"""Lesions one by one: what counts as one, and the row of the lesion table that describes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nen_imaging.measurement.diameters import (
    axial_diameters,
    hull_volume_ml,
    longest_3d_mm,
    slice_axis,
    sphere_diameter_mm,
)
from nen_imaging.volume import LPS_TO_RAS, Volume

_TOUCHING = np.ones((3, 3, 3), bool)
_CONFLUENT_SOLIDITY = 0.65
_CONFLUENT_FROM_MM = 30.0
_MEASURABLE_FROM_MM = 10.0
_THIN_SLICE_MM = 5.0

Instances = NDArray[np.uint16]


def find_lesions(labels: Volume, *, minimum_voxels: int, minimum_diameter_mm: float) -> tuple[Volume, Volume]:
    """Number the lesions of a label map (1 liver, 2 lesion) by volume, the largest is 1.

    Components touch by faces, edges or corners. One that is too small to be a lesion becomes liver again: it stays
    in the liver's volume and leaves the load.

    Returns
    -------
    The instances (uint16) and the label map that agrees with them.
    """
    components, count = ndimage.label(labels.array == 2, structure=_TOUCHING)
    sizes = np.bincount(components.ravel(), minlength=count + 1)
    boxes = ndimage.find_objects(components)
    kept = [
        number
        for number in range(1, count + 1)
        if sizes[number] >= minimum_voxels
        and longest_3d_mm(components[boxes[number - 1]] == number, labels.affine) >= minimum_diameter_mm
    ]
    kept.sort(key=lambda number: -sizes[number])  # stable: ties stay in the order of the scan
    number_of = np.zeros(count + 1, np.uint16)
    number_of[kept] = np.arange(1, len(kept) + 1)
    instances = number_of[components]
    array = np.where((labels.array == 2) & (instances == 0), 1, labels.array).astype(np.uint8)
    return labels.with_array(instances), labels.with_array(array)


def lesion_table(ct: Volume, labels: Volume, instances: Volume, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per lesion with the columns of ``contract.LESIONS_COLUMNS``; points in LPS millimetres."""
    liver_box = ndimage.find_objects((labels.array > 0).astype(np.uint8))
    if not liver_box:
        return []
    start = np.array([part.start for part in liver_box[0]])
    stop = np.array([part.stop for part in liver_box[0]])
    ct, labels, instances = (_with_margin(volume, start, stop) for volume in (ct, labels, instances))
    depth_mm = ndimage.distance_transform_edt(labels.array > 0, sampling=labels.spacing_mm)
    return [
        _row(number, box, ct, instances, depth_mm, options)
        for number, box in enumerate(ndimage.find_objects(instances.array), start=1)
    ]


def _with_margin(volume: Volume, start: NDArray[np.integer], stop: NDArray[np.integer]) -> Volume:
    return volume.cropped(np.maximum(start - 1, 0), np.minimum(stop + 1, volume.shape))


def _row(
    number: int,
    box: tuple[slice, ...],
    ct: Volume,
    instances: Volume,
    depth_mm: NDArray[np.floating],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    start = np.array([part.start for part in box])
    stop = np.array([part.stop for part in box])
    one = instances.cropped(start, stop)
    mask = one.array == number
    hu = ct.array[box][mask].astype(float)
    axial = axial_diameters(mask, one.affine)
    volume_ml = float(mask.sum()) * one.voxel_volume_ml
    longest_3d = longest_3d_mm(mask, one.affine)
    slice_mm = float(one.spacing_mm[slice_axis(one.affine)])
    smallest_measurable = _MEASURABLE_FROM_MM if slice_mm <= _THIN_SLICE_MM else 2 * slice_mm
    solidity = volume_ml / hull_volume_ml(mask, one.affine)
    row: dict[str, Any] = {
        "lesion": number,
        "volume_ml": volume_ml,
        "longest_diameter_mm": axial.longest_mm,
        "perpendicular_diameter_mm": axial.perpendicular_mm,
        "longest_diameter_3d_mm": longest_3d,
        "sphere_diameter_mm": sphere_diameter_mm(volume_ml),
        "mean_hu": hu.mean(),
        "sd_hu": hu.std(),
        "surface_to_liver_edge_mm": depth_mm[box][mask].min(),
        "measurable": _yes(axial.longest_mm >= smallest_measurable),
        "confluent": _yes(longest_3d >= _CONFLUENT_FROM_MM and solidity < _CONFLUENT_SOLIDITY),
        "cut_by_border": _yes(bool((start == 0).any() or (stop == np.array(instances.shape)).any())),
        "probable_cyst": _yes(float(hu.mean()) < options["cyst_below_hu"]),
    }
    points = {
        "centroid": _centroid_lps(mask, one.affine),
        "longest_start": axial.longest_ends[0],
        "longest_end": axial.longest_ends[1],
        "perpendicular_start": axial.perpendicular_ends[0],
        "perpendicular_end": axial.perpendicular_ends[1],
    }
    named = {f"{name}_{axis}_mm": point[n] for name, point in points.items() for n, axis in enumerate("xyz")}
    return {key: round(float(value), 3) if isinstance(value, float) else value for key, value in (row | named).items()}


def _centroid_lps(mask: NDArray[np.bool_], affine: NDArray[np.floating]) -> NDArray[np.floating]:
    lps = LPS_TO_RAS @ affine
    return lps[:3, :3] @ np.argwhere(mask).mean(axis=0) + lps[:3, 3]


def _yes(value: bool) -> str:
    return "yes" if value else "no"
