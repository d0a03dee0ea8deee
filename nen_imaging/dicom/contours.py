"""Regions of an RT Structure Set: closed planar contours in patient space become masks, holes included.

A region's contours of one plane are taken even-odd, as vendors write holes: a contour inside another is a hole, one
beside it a second island. A contour that runs in and out along one line (a "keyhole") comes out the same way.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from nen_imaging.contract import Refusal
from nen_imaging.volume import LPS_TO_RAS, FloatArray, Volume

_SAME_PLANE_MM = 0.01
_LARGEST_PIXEL_MM = 1.0
_PIXELS_ACROSS = 32
_MOST_PIXELS = 4096


@dataclass(frozen=True)
class Contours:
    """One region: its name as drawn, and its outlines, each (n, 3) in LPS mm."""

    name: str
    outlines: tuple[FloatArray, ...]


def read_contours(dataset: Dataset) -> list[Contours]:
    """Every region of an RT Structure Set that has closed planar contours, in the order of their numbers.

    Raises
    ------
    Refusal
        ``region.unreadable``: contour data that are no points in space.
    """
    names = {int(roi.ROINumber): str(roi.get("ROIName") or "") for roi in dataset.get("StructureSetROISequence") or []}
    regions = []
    for roi in dataset.get("ROIContourSequence") or []:
        closed = [
            _points(contour)
            for contour in roi.get("ContourSequence") or []
            if str(contour.get("ContourGeometricType") or "CLOSED_PLANAR").startswith("CLOSED_PLANAR")
        ]
        outlines = tuple(points for points in closed if len(points) >= 3)
        if outlines:
            regions.append(Contours(names.get(int(roi.ReferencedROINumber), ""), outlines))
    return regions


def _points(contour: Dataset) -> FloatArray:
    try:
        points = np.array([float(value) for value in contour.get("ContourData") or []]).reshape(-1, 3)
    except (TypeError, ValueError) as error:
        raise Refusal("region.unreadable", "A contour's data are no points of three numbers.") from error
    if not np.isfinite(points).all():
        raise Refusal("region.unreadable", "A contour's data hold points that are not finite.")
    return points


def mask_on(region: Contours, grid: Volume) -> NDArray[np.bool_]:
    """Voxels of a grid whose centre lies inside, each contour in its nearest slice; the shape is the grid's.

    Raises
    ------
    Refusal
        ``region.unreadable``: the contours do not lie in the grid's slices.
    """
    to_index = np.linalg.inv(grid.affine) @ LPS_TO_RAS
    mask = np.zeros(grid.shape, bool)
    for outline in region.outlines:
        index = outline @ to_index[:3, :3].T + to_index[:3, 3]
        if np.ptp(index[:, 2]) > 0.5:
            raise Refusal("region.unreadable", "The contours do not lie in the slices of the image.")
        k = round(float(index[:, 2].mean()))
        if 0 <= k < grid.shape[2]:
            _fill(mask[:, :, k], index[:, :2])
    return mask


def _fill(plane: NDArray[np.bool_], outline: FloatArray) -> None:
    """Turn over what lies inside an outline, given in pixels."""
    from skimage.measure import points_in_poly

    low = np.maximum(np.ceil(outline.min(axis=0)).astype(int), 0)
    high = np.minimum(np.floor(outline.max(axis=0)).astype(int) + 1, plane.shape)
    if (high <= low).any():
        return
    box = (slice(low[0], high[0]), slice(low[1], high[1]))
    centres = np.argwhere(np.ones(high - low, bool)) + low
    plane[box] ^= points_in_poly(centres, outline).reshape(high - low)


def own_mask(region: Contours) -> Volume:
    """The region on a grid of its own: slices where it was drawn, pixels of at most 1 mm. Needs no image.

    Raises
    ------
    Refusal
        ``region.unreadable``: a single plane (it has no thickness), or planes that are not parallel.
    """
    normal, along_row, down_column = _axes(region.outlines)
    depths = defaultdict(list)
    for outline in region.outlines:
        depth = outline @ normal
        if np.ptp(depth) > 0.5:
            raise Refusal("region.unreadable", "The contours of a region do not lie in parallel planes.")
        depths[round(float(depth.mean()) / _SAME_PLANE_MM)].append(outline)
    steps = np.diff([np.concatenate(depths[plane]).mean(axis=0) @ normal for plane in sorted(depths)])
    if len(steps) == 0:
        raise Refusal("region.unreadable", "A region was drawn in a single plane: it has no volume.")
    spacing_mm = float(np.median(steps[steps < 1.5 * steps.min()]))
    spacing_mm = float(steps.sum() / np.rint(steps / spacing_mm).sum())  # one step is as rough as its points are
    points = np.concatenate(region.outlines)
    flat = points @ np.column_stack([along_row, down_column])
    low, high = flat.min(axis=0), flat.max(axis=0)
    pixel_mm = max(min(_LARGEST_PIXEL_MM, float((high - low).max()) / _PIXELS_ACROSS), 0.05)
    start = (points @ normal).min()
    columns, rows = (int(n) + 2 for n in np.ceil((high - low) / pixel_mm))
    slices = round(float((points @ normal).max() - start) / spacing_mm) + 1
    if max(columns, rows, slices) > _MOST_PIXELS:
        raise Refusal("region.unreadable", "The contours of a region lie too far apart for a patient.")
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1], lps[:3, 2] = along_row * pixel_mm, down_column * pixel_mm, normal * spacing_mm
    corner = low - pixel_mm / 2  # so that straight edges run between centres, not through them
    lps[:3, 3] = along_row * corner[0] + down_column * corner[1] + normal * start
    grid = Volume(np.zeros((columns, rows, slices), bool), LPS_TO_RAS @ lps)
    return grid.with_array(mask_on(region, grid))


def _axes(outlines: tuple[FloatArray, ...]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The normal of the planes and two directions in them, right-handed in LPS; patient axes where they fit."""
    largest = max(outlines, key=len)
    normal = np.linalg.svd(largest - largest.mean(axis=0))[2][2]
    axis = int(np.abs(normal).argmax())
    normal = normal * np.sign(normal[axis])
    if normal[axis] > 0.9999:
        normal = np.eye(3)[axis]
    along_row = np.eye(3)[(axis + 1) % 3]
    along_row = along_row - (along_row @ normal) * normal
    along_row /= np.linalg.norm(along_row)
    return normal, along_row, np.cross(normal, along_row)
