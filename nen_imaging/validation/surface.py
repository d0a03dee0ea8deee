"""Distances between the surfaces of two masks, under the surface conventions that are in use.

On one pair of masks HD95 was 155, 17 or 16 mm by choice of library alone: a distance means nothing without the name of
its surface. Every figure derives from two lists of nearest-point distances, found with k-d trees over surface
points: exact, and as cheap for lesions at far ends of the image as for one compact liver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Box = tuple[slice, ...]
Spacing = Sequence[float] | NDArray[np.floating]

_CORNERS = tuple(product((0, 1), repeat=3))


class Surface(StrEnum):
    """What counts as the surface of a mask."""

    AREA = "area"
    """Elements at voxel corners, weighted by their area (DeepMind's surface-distance); our own convention."""
    FACES = "6"
    """Voxels with a face neighbour outside, each counted once; beyond the image is outside (medpy)."""
    EDGES = "18"
    """Voxels with a face or edge neighbour outside; beyond the image is outside (LiTS)."""
    FACES_OPEN = "6, open"
    """As `FACES`, but beyond the image counts as inside: a cut organ has no surface there (CHAOS)."""


@dataclass(frozen=True)
class SurfaceDistances:
    """From every surface point of each mask the distance to the nearest of the other, and each point's weight.

    Distances in mm; weights are areas in mm2 under `Surface.AREA`, else 1. A mask without surface has empty lists,
    and the distances to it are infinite.
    """

    of_truth: Floats
    of_prediction: Floats
    truth_weights: Floats
    prediction_weights: Floats

    @property
    def directed_means_mm(self) -> tuple[float, float]:
        """Mean distance of the truth's surface to the prediction's, and of the prediction's to the truth's."""
        return _mean(self.of_truth, self.truth_weights), _mean(self.of_prediction, self.prediction_weights)

    @property
    def assd_mm(self) -> float:
        """Average symmetric surface distance: the mean over both surfaces' points together."""
        return _mean(*self._pooled)

    @property
    def rmsd_mm(self) -> float:
        """Root mean square of the distances of both surfaces' points together."""
        distances, weights = self._pooled
        return float(np.sqrt(_mean(distances**2, weights)))

    @property
    def msd_mm(self) -> float:
        """Maximum symmetric surface distance, the Hausdorff distance."""
        distances, _ = self._pooled
        return float(distances.max()) if distances.size else float("nan")

    def hausdorff_mm(self, percent: float = 95.0) -> float:
        """The larger of both directions' weighted percentiles; 95 gives HD95."""
        of_truth = _percentile(self.of_truth, self.truth_weights, percent)
        return float(np.fmax(of_truth, _percentile(self.of_prediction, self.prediction_weights, percent)))

    def surface_dice(self, tolerance_mm: float) -> float:
        """The share of both surfaces that lies within the tolerance of the other (Nikolov et al., 2018)."""
        distances, weights = self._pooled
        return _mean((distances <= tolerance_mm).astype(float), weights)

    @property
    def _pooled(self) -> tuple[Floats, Floats]:
        return (
            np.concatenate([self.of_truth, self.of_prediction]),
            np.concatenate([self.truth_weights, self.prediction_weights]),
        )


def surface_distances(
    truth: Mask, prediction: Mask, spacing_mm: Spacing, surface: Surface = Surface.AREA
) -> SurfaceDistances:
    """Measure how far the surfaces of two masks lie apart.

    Parameters
    ----------
    truth, prediction
        Masks of one shape, indexed (i, j, k); either may be empty.
    spacing_mm
        Along i, j and k.
    surface
        The convention.

    Raises
    ------
    ValueError
        The shapes differ, or the masks are not 3-D and boolean.
    """
    for name, mask in (("truth", truth), ("prediction", prediction)):
        if mask.ndim != 3 or mask.dtype != bool:
            raise ValueError(f"{name} must be a 3-D boolean array, got {mask.ndim}-D {mask.dtype}.")
    if truth.shape != prediction.shape:
        raise ValueError(f"The masks differ in shape: truth {truth.shape}, prediction {prediction.shape}.")
    spacing = np.asarray(spacing_mm, float)
    box = union_box(truth, prediction)
    if box is None:
        nothing = np.zeros(0)
        return SurfaceDistances(nothing, nothing, nothing, nothing)
    cut = [np.pad(mask[box], 1, mode="edge") for mask in (truth, prediction)]
    if surface is not Surface.FACES_OPEN:  # the box reaches one voxel beyond the masks, or ends where the image does
        for mask in cut:
            _clear_border(mask)
    found, weights = zip(*(_points(mask, spacing, surface) for mask in cut), strict=True)
    return SurfaceDistances(
        _nearest(found[0], found[1], spacing), _nearest(found[1], found[0], spacing), weights[0], weights[1]
    )


def union_box(first: Mask, second: Mask) -> Box | None:
    """The box of both masks with a margin of one voxel, as far as the image reaches; None if both are empty."""
    sides = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        found = np.flatnonzero(first.any(axis=others) | second.any(axis=others))
        if not found.size:
            return None
        sides.append(slice(max(int(found[0]) - 1, 0), min(int(found[-1]) + 2, first.shape[axis])))
    return tuple(sides)


def _clear_border(mask: Mask) -> None:
    for axis in range(3):
        for end in (0, -1):
            mask[(slice(None),) * axis + (end,)] = False


def _points(mask: Mask, spacing: Floats, surface: Surface) -> tuple[Mask, Floats]:
    """Where the surface has points (an array of one shape for both masks of a pair), and their weights in its order."""
    if surface is not Surface.AREA:
        boundary = _boundary(mask, edges=surface is Surface.EDGES)
        return boundary, np.ones(np.count_nonzero(boundary))
    code = np.zeros(np.array(mask.shape) - 1, np.uint8)
    for bit, corner in zip(range(7, -1, -1), _CORNERS, strict=True):
        part = mask[tuple(slice(at, n - 1 + at) for at, n in zip(corner, mask.shape, strict=True))]
        code |= part.view(np.uint8) << np.uint8(bit)
    elements = (code != 0) & (code != 255)
    return elements, _areas_mm2(tuple(spacing.tolist()))[code[elements]]


def _boundary(mask: Mask, *, edges: bool) -> Mask:
    inner = (slice(1, -1),) * 3
    steps = [step for step in product((-1, 0, 1), repeat=3) if 0 < sum(map(abs, step)) <= (2 if edges else 1)]
    inside = mask[inner].copy()
    for step in steps:
        inside &= mask[tuple(slice(1 + at, n - 1 + at) for at, n in zip(step, mask.shape, strict=True))]
    boundary = mask.copy()
    boundary[inner] &= ~inside
    _clear_border(boundary)  # that is the margin; the image begins one voxel further in
    return boundary


@lru_cache(maxsize=8)
def _areas_mm2(spacing_mm: tuple[float, ...]) -> Floats:
    """The area of the surface within 2 x 2 x 2 voxels, by the code of which of them are inside; shape (256,)."""
    import torch
    from monai.metrics.utils import create_table_neighbour_code_to_surface_area

    with torch.device("cpu"):
        table, _ = create_table_neighbour_code_to_surface_area(spacing_mm)
    return np.asarray(table, float)


def _nearest(of: Mask, to: Mask, spacing: Floats) -> Floats:
    """The distance of each point of one surface to the nearest of the other; points of both have none."""
    places = np.argwhere(of)
    shared = to[of]
    if not to.any():
        return np.full(len(places), np.inf)
    distances = np.zeros(len(places))
    if not shared.all():
        tree = KDTree(np.argwhere(to) * spacing, balanced_tree=False, compact_nodes=False)
        distances[~shared] = tree.query(places[~shared] * spacing, workers=-1)[0]
    return distances


def _mean(values: Floats, weights: Floats) -> float:
    total = float(weights.sum())
    return float(values @ weights) / total if total > 0 else float("nan")


def _percentile(distances: Floats, weights: Floats, percent: float) -> float:
    """The distance below or at which that share of the surface's weight lies."""
    if not distances.size:
        return float("nan")
    order = np.argsort(distances, kind="stable")
    share = np.cumsum(weights[order]) / weights.sum()
    place = int(np.searchsorted(share, percent / 100))
    return float(distances[order][min(place, len(distances) - 1)])
