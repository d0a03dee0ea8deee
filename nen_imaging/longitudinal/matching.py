"""Which lesion of a staging is which lesion of an earlier one: overlap, distance, and the optimal assignment.

All lesions lie on one grid, that of the patient's reference liver.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array

from nen_imaging.volume import FloatArray

_COSTLIEST_EDGE = 1.5
_NO_MATCH = 2.0
"""Above any single edge, but below two poor ones: a good match is not given up to find partners for its neighbours."""
_GONE = 0.4
"""What is still there outranks what had vanished, unless the latter fits much better."""
_READERS_WORD = 1000.0

Voxels = NDArray[np.intp]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Lesion:
    """A lesion of one staging, brought to the reference.

    ``voxels`` are its flat indices in the reference grid, sorted (empty where it is smaller than a voxel);
    ``centroid_mm`` lies in the reference's RAS. One that is ``left_out`` of its staging's load is followed all the
    same, so that its neighbours in time are neither new nor resolved.
    """

    staging: str
    number: int
    voxels: Voxels
    centroid_mm: FloatArray
    volume_ml: float
    longest_diameter_mm: float
    probable_cyst: bool = False
    left_out: bool = False

    @property
    def key(self) -> tuple[str, int]:
        return self.staging, self.number

    @property
    def sphere_diameter_mm(self) -> float:
        return float((6000 * self.volume_ml / np.pi) ** (1 / 3))


@dataclass(frozen=True)
class MatchLimits:
    """When two lesions may be one.

    ``part_share``: a lesion with this share of its volume inside another is a part of it. An edge needs
    ``edge_share`` of the smaller one inside the other, or centroids closer than ``edge_distance`` times the smaller
    one's diameter (plus the uncertainty of the alignment, at most half of that diameter). The larger one's size is no
    measure of how far the alignment may be off: by it, what is new beside a large conglomerate would be a part of it.
    """

    part_share: float = 0.5
    edge_share: float = 0.25
    edge_distance: float = 0.5


@dataclass(frozen=True)
class Match:
    """How the later lesions relate to the earlier ones; pairs are (index of earlier, index of later).

    ``parts`` holds every pair of a lesion and its continuation: one-to-one, merged and split ones. ``near`` are
    later lesions that continue none, but lie so close to one that they are not surely new.
    """

    parts: frozenset[tuple[int, int]]
    near: frozenset[int]


def match_lesions(
    earlier: Sequence[Lesion],
    later: Sequence[Lesion],
    limits: MatchLimits,
    *,
    uncertainty_mm: float = 0.0,
    gone: Collection[int] = (),
    same: Collection[tuple[int, int]] = (),
    different: Collection[tuple[int, int]] = (),
) -> Match:
    """Relate two sets of lesions.

    Parameters
    ----------
    earlier, later
        The lesions; their order does not matter to who is matched with whom.
    limits
        The gate.
    uncertainty_mm
        Of the alignment; widens the gate of the distance.
    gone
        Earlier lesions that had vanished: they may come back, but do not go into a lesion that is another's.
    same, different
        Pairs that a reader has joined, or parted.
    """
    if not earlier or not later:
        return Match(frozenset(), frozenset())
    inside_later, inside_earlier = _shares(earlier, later)
    smaller = np.maximum(inside_later, inside_earlier)
    first, second = (np.array([lesion.sphere_diameter_mm for lesion in group]) for group in (earlier, later))
    within = _relative_distances(earlier, later, np.minimum.outer(first, second), uncertainty_mm)
    distance = _relative_distances(earlier, later, np.add.outer(first, second) / 2, uncertainty_mm)
    edge = (smaller >= limits.edge_share) | (within <= limits.edge_distance)
    for a, b in different:
        edge[a, b] = False
    cost = np.where(edge, np.minimum((1 - smaller) + distance, _COSTLIEST_EDGE), np.inf)
    cost[list(gone)] += _GONE
    for a, b in same:
        cost[a, b] = -_READERS_WORD
    parts = _assign(cost) | set(same)
    matched_earlier, matched_later = {a for a, _ in parts}, {b for _, b in parts}
    taken = {b for a, b in parts if a not in gone}
    for a, b in np.argwhere(edge & (inside_later >= limits.part_share)):  # merged: an earlier lesion went into another
        if a not in matched_earlier and not (a in gone and b in taken):
            parts.add((int(a), int(b)))
    for a, b in np.argwhere(edge & (inside_earlier >= limits.part_share)):  # split: a fragment of an earlier lesion
        if b not in matched_later:
            parts.add((int(a), int(b)))
    continued = {b for _, b in parts}
    near = {int(b) for b in np.flatnonzero(edge.any(axis=0)) if b not in continued}
    return Match(frozenset(parts), frozenset(near))


def _shares(earlier: Sequence[Lesion], later: Sequence[Lesion]) -> tuple[FloatArray, FloatArray]:
    """Share of each earlier lesion inside each later one, and of each later one inside each earlier one."""
    size = 1 + max((int(lesion.voxels[-1]) for lesion in (*earlier, *later) if len(lesion.voxels)), default=0)
    common = (_voxel_rows(earlier, size) @ _voxel_rows(later, size).T).toarray().astype(float)
    size_earlier = np.array([max(1, len(a.voxels)) for a in earlier])[:, None]
    size_later = np.array([max(1, len(b.voxels)) for b in later])[None, :]
    return common / size_earlier, common / size_later


def _voxel_rows(lesions: Sequence[Lesion], size: int) -> csr_array:
    """One row per lesion, one column per voxel of the grid: 1 where the lesion is."""
    ends = np.cumsum([0, *(len(lesion.voxels) for lesion in lesions)])
    columns = np.concatenate([lesion.voxels for lesion in lesions])
    return csr_array((np.ones(len(columns), np.int32), columns, ends), shape=(len(lesions), size))


def _relative_distances(
    earlier: Sequence[Lesion], later: Sequence[Lesion], diameter_mm: FloatArray, uncertainty_mm: float
) -> FloatArray:
    """Distance of the centroids, less the alignment's uncertainty, over a diameter given for every pair."""
    first, second = (np.array([lesion.centroid_mm for lesion in group]) for group in (earlier, later))
    distance = np.linalg.norm(first[:, None] - second[None], axis=2)
    return np.maximum(0, distance - np.minimum(uncertainty_mm, diameter_mm / 2)) / np.maximum(diameter_mm, 1e-6)


def _assign(cost: FloatArray) -> set[tuple[int, int]]:
    """The cheapest one-to-one assignment among the pairs of finite cost."""
    gated = np.where(np.isfinite(cost), cost, _NO_MATCH)
    rows, columns = linear_sum_assignment(gated)
    return {(int(a), int(b)) for a, b in zip(rows, columns, strict=True) if np.isfinite(cost[a, b])}
