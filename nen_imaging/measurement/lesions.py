"""Lesions one by one: what counts as one, and the row of the lesion table that describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from nen_imaging.measurement.diameters import hull_volume_ml, in_plane_diameters, longest_3d_mm, sphere_diameter_mm
from nen_imaging.volume import LPS_TO_RAS, Volume, slice_axis

LIVER, LESION = 1, 2
MEASURABLE_FROM_MM = 10.0  # RECIST 1.1; on slices above 5 mm twice their spacing
THIN_SLICE_MM = 5.0
CONFLUENT_FROM_MM = 20.0
CONFLUENT_SOLIDITY = 0.7
CORE_DEPTH_SHARE = 0.6
CORE_VOLUME_SHARE = 0.1
CYST_NOISE_FACTOR = 1.5
_SPARSE = 100
_TOUCHING = np.ones((3, 3, 3), bool)  # by faces, edges or corners

Mask = NDArray[np.bool_]
Box = tuple[slice, ...]


@dataclass(frozen=True)
class SeparateLesions:
    """Lesions with their own numbers (uint16, 1 is the largest) and the label map that agrees with them."""

    instances: Volume
    labels: Volume
    too_small: int
    """Components that were given back to the liver."""


def find_lesions(labels: Volume, *, minimum_voxels: int, minimum_diameter_mm: float) -> SeparateLesions:
    """Number the lesions of a label map (1 liver, 2 lesion) by volume, ties by place.

    A component of fewer voxels, or of a smaller longest 3-D diameter, is no lesion: its voxels become liver, so that
    they stay in the liver's volume and leave the load.
    """
    instances = np.zeros(labels.shape, np.uint16)
    array = labels.array.astype(np.uint8)
    box = box_of(labels.array == LESION)
    if box is None:
        return SeparateLesions(labels.with_array(instances), labels.with_array(array), 0)
    components, count = ndimage.label(array[box] == LESION, structure=_TOUCHING)
    sizes = np.bincount(components.ravel(), minlength=count + 1)
    boxes = ndimage.find_objects(components)
    kept = [
        number
        for number, part in enumerate(boxes, start=1)
        if sizes[number] >= minimum_voxels
        and longest_3d_mm(components[part] == number, labels.affine) >= minimum_diameter_mm
    ]
    places = {
        number: _place(components[boxes[number - 1]] == number, boxes[number - 1], box, labels) for number in kept
    }
    kept.sort(key=lambda number: (-sizes[number], places[number]))
    number_of = np.zeros(count + 1, np.uint16)
    number_of[kept] = np.arange(1, len(kept) + 1)
    instances[box] = number_of[components]
    array[box][(components > 0) & (instances[box] == 0)] = LIVER
    return SeparateLesions(labels.with_array(instances), labels.with_array(array), count - len(kept))


def box_of(mask: Mask) -> Box | None:
    """The smallest box of indices that holds a mask; None if it is empty."""
    if not mask.any():
        return None
    return ndimage.find_objects(mask.view(np.uint8))[0]


def lesion_table(ct: Volume, lesions: SeparateLesions, *, cyst_below_hu: float) -> list[dict[str, Any]]:
    """One row per lesion with the columns of ``contract.LESIONS_COLUMNS``; points in LPS millimetres.

    Notes
    -----
    confluent
        From 20 mm on: the lesion fills less than 70 % of its convex hull, or it has two or more cores, that is, parts
        deeper than 60 % of its greatest depth and at least a tenth of the largest core.
    cut_by_border
        It reaches a face of the image.
    probable_cyst
        Mean HU of its inside below the limit, and there no noisier than 1.5 times the liver: a necrotic metastasis
        is dark, but uneven.
    surface_to_liver_edge_mm
        From its nearest voxel to the nearest outermost voxel of the liver; 0 where it is itself one.
    """
    box = box_of(lesions.labels.array != 0)
    if box is None or not lesions.instances.array.any():
        return []
    start = np.maximum([part.start - 1 for part in box], 0)
    stop = np.minimum([part.stop + 1 for part in box], ct.shape)
    ct, labels, instances = (volume.cropped(start, stop) for volume in (ct, lesions.labels, lesions.instances))
    edge = _LiverEdge(labels)
    healthy = ct.array[labels.array == LIVER]
    noise_hu = 1.4826 * float(np.median(np.abs(healthy - np.median(healthy)))) if healthy.size else 0.0
    rows = []
    for number, part in enumerate(ndimage.find_objects(instances.array), start=1):
        mask = instances.array[part] == number
        grid = instances.cropped(*_ends(part))
        inside_hu = ct.array[part][_inside(mask)].astype(float)
        cyst = inside_hu.mean() < cyst_below_hu and inside_hu.std() <= CYST_NOISE_FACTOR * noise_hu
        flags = {
            "confluent": _is_confluent(mask, grid),
            "cut_by_border": any(one.start == 0 or one.stop == n for one, n in zip(part, instances.shape, strict=True)),
            "probable_cyst": bool(cyst),
        }
        distance = {"surface_to_liver_edge_mm": edge.distance_mm(mask, part)}
        rows.append(_row(number, mask, grid.affine, ct.array[part][mask], distance, flags))
    return rows


def _row(
    number: int,
    mask: Mask,
    affine: NDArray[np.floating],
    hu: NDArray[Any],
    distance: Mapping[str, float],
    flags: Mapping[str, bool],
) -> dict[str, Any]:
    in_plane = in_plane_diameters(mask, affine)
    volume_ml = float(mask.sum() * abs(np.linalg.det(affine[:3, :3]))) / 1000
    slice_mm = float(np.linalg.norm(affine[:3, slice_axis(affine)]))
    numbers = {
        "volume_ml": volume_ml,
        "longest_diameter_mm": in_plane.longest_mm,
        "perpendicular_diameter_mm": in_plane.perpendicular_mm,
        "longest_diameter_3d_mm": longest_3d_mm(mask, affine),
        "sphere_diameter_mm": sphere_diameter_mm(volume_ml),
        "mean_hu": hu.mean(dtype=float),
        "sd_hu": hu.std(dtype=float),
        **distance,
    }
    points = {
        "centroid": _lps(np.argwhere(mask).mean(axis=0), affine),
        "longest_start": in_plane.longest_ends[0],
        "longest_end": in_plane.longest_ends[1],
        "perpendicular_start": in_plane.perpendicular_ends[0],
        "perpendicular_end": in_plane.perpendicular_ends[1],
    }
    numbers |= {f"{name}_{axis}_mm": point[n] for name, point in points.items() for n, axis in enumerate("xyz")}
    flags = {"measurable": in_plane.longest_mm >= smallest_measurable_mm(slice_mm), **flags}
    return (
        {"lesion": number}
        | {name: round(float(value), 3) for name, value in numbers.items()}
        | {name: "yes" if value else "no" for name, value in flags.items()}
    )


def smallest_measurable_mm(slice_mm: float) -> float:
    """The longest diameter from which a lesion is measurable (RECIST 1.1, Eisenhauer 2009)."""
    return MEASURABLE_FROM_MM if slice_mm <= THIN_SLICE_MM else 2 * slice_mm


class _LiverEdge:
    """The outermost voxels of the liver."""

    def __init__(self, labels: Volume) -> None:
        liver = labels.array != 0
        self._outermost = liver & ~ndimage.binary_erosion(liver, border_value=True)  # the image's end is no edge
        self._to_mm = labels.affine[:3, :3].T
        self._tree = KDTree(np.argwhere(self._outermost) @ self._to_mm) if self._outermost.any() else None

    def distance_mm(self, mask: Mask, box: Box) -> float:
        if self._tree is None:  # no edge in view
            return float("nan")
        if (mask & self._outermost[box]).any():
            return 0.0
        surface = np.argwhere(mask & ~ndimage.binary_erosion(mask)) + [part.start for part in box]
        points = surface @ self._to_mm
        bound = self._tree.query(points[::_SPARSE])[0].min()  # near points alone are then searched: many times faster
        return float(self._tree.query(points, distance_upper_bound=bound + 1e-6)[0].min())


def _inside(mask: Mask) -> Mask:
    """The mask without its outermost voxels, whose HU the surroundings share, if a dozen voxels remain."""
    core = ndimage.binary_erosion(mask)
    return core if core.sum() >= 12 else mask


def _is_confluent(mask: Mask, grid: Volume) -> bool:
    if longest_3d_mm(mask, grid.affine) < CONFLUENT_FROM_MM:
        return False
    if mask.sum() * grid.voxel_volume_ml < CONFLUENT_SOLIDITY * hull_volume_ml(mask, grid.affine):
        return True
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=grid.spacing_mm)
    cores, count = ndimage.label(depth > CORE_DEPTH_SHARE * depth.max(), structure=_TOUCHING)
    sizes = np.bincount(cores.ravel())[1:]
    return count > 1 and int((sizes >= CORE_VOLUME_SHARE * sizes.max()).sum()) > 1


def _place(mask: Mask, part: Box, box: Box, labels: Volume) -> tuple[float, ...]:
    """The centroid (z, y, x) in LPS millimetres: an order that flips and permutations of the array do not change."""
    index = np.argwhere(mask).mean(axis=0) + [a.start + b.start for a, b in zip(part, box, strict=True)]
    return tuple(np.round(_lps(index, labels.affine)[::-1], 3).tolist())


def _ends(part: Box) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    return np.array([one.start for one in part]), np.array([one.stop for one in part])


def _lps(index: NDArray[np.floating], affine: NDArray[np.floating]) -> NDArray[np.floating]:
    lps = LPS_TO_RAS @ affine
    return lps[:3, :3] @ index + lps[:3, 3]
