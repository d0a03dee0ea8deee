"""Diameters of a lesion, as a reader draws them.

Contour convention: the surface runs half way between the centre of a voxel inside and the centre of its neighbour
outside. A row of n voxels is therefore n spacings long, and a disc is neither under- nor overestimated on average.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist, squareform

from nen_imaging.volume import LPS_TO_RAS, slice_axis

Points = NDArray[np.float64]


@dataclass(frozen=True)
class InPlaneDiameters:
    """Longest diameter within a slice and the longest perpendicular to it, end points in LPS mm, shape (2, 3)."""

    longest_mm: float
    perpendicular_mm: float
    longest_ends: Points
    perpendicular_ends: Points


def in_plane_diameters(mask: NDArray[np.bool_], affine: NDArray[np.floating]) -> InPlaneDiameters:
    """Diameters on the slice where the longest one is longest (RECIST 1.1, Eisenhauer 2009).

    Slices are those of the series, in the plane of its images (`volume.slice_axis`): a cut across thick slices would
    know an edge no better than their spacing. Of nearly even voxels they are axial.

    Parameters
    ----------
    mask
        One lesion, at least one voxel, indexed (i, j, k).
    affine
        Index -> RAS millimetres, shape (4, 4).
    """
    axis = slice_axis(affine)
    best: tuple[float, Points, Points] | None = None
    for index in np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis))):
        outline = _outline(np.take(mask, index, axis=axis), axis, int(index))
        points = _to_lps(outline, affine)
        plane, origin = _plane_basis(affine, axis), points[0]
        flat = _hull_points((points - origin) @ plane.T)
        distances = squareform(pdist(flat))
        first, second = np.unravel_index(int(distances.argmax()), distances.shape)
        longest = float(distances[first, second])
        if best is None or longest > best[0] + 1e-9:
            best = longest, flat[[first, second]], _widest_perpendicular(flat, flat[first], flat[second])
            lift = plane, origin
    assert best is not None
    longest, ends, perpendicular = best
    plane, origin = lift
    width = float(np.linalg.norm(perpendicular[1] - perpendicular[0]))
    return InPlaneDiameters(longest, width, ends @ plane + origin, perpendicular @ plane + origin)


def longest_3d_mm(mask: NDArray[np.bool_], affine: NDArray[np.floating]) -> float:
    """The longest distance between two points of the lesion's surface."""
    points = _hull_points(_to_lps(_face_centres(mask), affine))
    return float(pdist(points).max())


def hull_volume_ml(mask: NDArray[np.bool_], affine: NDArray[np.floating]) -> float:
    """The volume of the lesion's convex hull."""
    return float(ConvexHull(_to_lps(_face_centres(mask), affine)).volume) / 1000


def sphere_diameter_mm(volume_ml: float) -> float:
    """The diameter of the sphere of that volume."""
    return float(np.cbrt(6000 * volume_ml / np.pi))


def _outline(plane: NDArray[np.bool_], axis: int, index: int) -> Points:
    """Face centres of a slice's mask as 3-D indices."""
    return np.insert(_face_centres(plane), axis, index, axis=1)


def _face_centres(mask: NDArray[np.bool_]) -> Points:
    """Centres of the faces between a voxel inside and one outside, in index units, shape (n, mask.ndim)."""
    padded = np.pad(mask, 1)
    faces = []
    for axis in range(mask.ndim):
        step = np.diff(padded.astype(np.int8), axis=axis)
        place = np.argwhere(step).astype(float) - 1
        place[:, axis] += 0.5
        faces.append(place)
    return np.concatenate(faces)


def _to_lps(indices: Points, affine: NDArray[np.floating]) -> Points:
    lps = LPS_TO_RAS @ affine
    return indices @ lps[:3, :3].T + lps[:3, 3]


def _plane_basis(affine: NDArray[np.floating], axis: int) -> Points:
    """Two orthonormal LPS vectors that span the slice, shape (2, 3)."""
    columns = (LPS_TO_RAS @ affine)[:3, [other for other in range(3) if other != axis]]
    basis, _ = np.linalg.qr(columns)
    return basis.T


def _hull_points(points: Points) -> Points:
    try:
        return points[ConvexHull(points).vertices]
    except QhullError:  # all in one plane or line: few points, take them as they are
        return points


def _widest_perpendicular(hull: Points, start: Points, end: Points) -> Points:
    """The longest chord of a convex polygon perpendicular to start-end; it passes through a vertex. Shape (2, 2)."""
    along = (end - start) / np.linalg.norm(end - start)
    across = np.array([-along[1], along[0]])
    t, s = hull @ along, hull @ across
    best = np.array([start, start])
    for position in t:
        crossings = _crossings(t, s, float(position))
        chord = np.array([position * along + crossings.min() * across, position * along + crossings.max() * across])
        if np.linalg.norm(chord[1] - chord[0]) > np.linalg.norm(best[1] - best[0]):
            best = chord
    return best


def _crossings(t: Points, s: Points, position: float) -> Points:
    """Where the polygon's edges meet the line t = position, as values of s."""
    t2, s2 = np.roll(t, -1), np.roll(s, -1)
    meets = (np.minimum(t, t2) <= position + 1e-9) & (np.maximum(t, t2) >= position - 1e-9)
    length = np.where(np.abs(t2 - t) < 1e-12, 1.0, t2 - t)
    share = np.clip((position - t) / length, 0, 1)
    inside = s + share * (s2 - s)
    flat = np.abs(t2 - t) < 1e-12
    return np.concatenate([inside[meets], s2[meets & flat]])
