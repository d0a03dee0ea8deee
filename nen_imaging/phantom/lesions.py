"""Liver metastases at one staging: where they sit, which voxel is whose, and the load they make.

A lesion is a bent ellipsoid. Lesions without a radius of their own grow by one scale, the quantile of their
normalised distances (0 in the centre, 1 on the surface at unit size) that gives the wanted load exactly; where they
meet they merge, and where they shrink apart the conglomerate breaks up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nen_imaging.phantom.anatomy import Anatomy
from nen_imaging.phantom.canvas import Lattice
from nen_imaging.volume import FloatArray

BEND_KNOTS_MM = 14.0
_NOWHERE = np.float32(1e6)


@dataclass(frozen=True)
class Lesion:
    """One metastasis at one staging."""

    identity: int
    """The same number at every staging, from 1."""
    centre_mm: tuple[float, float, float]
    size: float
    """Relative to the other lesions; the staging's load sets the scale."""
    axes: tuple[float, float, float]
    contrast_hu: tuple[float, float, float]
    """To the liver: native, arterial, portal venous."""
    rim_hu: float
    necrosis_hu: float
    fade_mm: float
    """Width of the zone, centred on the outline, in which the lesion blends into the liver."""
    uptake: float
    """SUV relative to the liver; below 1 the lesion is cold (SSR-negative)."""
    mottle_hu: float = 0.0
    """Deviation of the coarse texture inside."""
    radius_mm: float | None = None
    """Its own radius, whatever the load; None: `size` times the staging's scale."""


@dataclass(frozen=True)
class Place:
    """A ball of the liver, the deeper the harder to enter for lesions without a radius of their own."""

    centre_mm: tuple[float, float, float]
    radius_mm: float


@dataclass(frozen=True)
class LesionMap:
    """The lesions of one staging in an anatomy's liver.

    `instances` lies on the grid of the anatomy; the other arrays hold one value per liver voxel, in the order of
    ``anatomy.liver.array.nonzero()``, and are empty where there is no lesion.
    """

    lesions: tuple[Lesion, ...]
    """Those that own a voxel, by identity."""
    instances: NDArray[np.uint16]
    """Identity of the lesion a voxel belongs to, 0 elsewhere."""
    nearest: NDArray[np.uint16]
    """Identity of the lesion that is nearest by its own measure, also outside of it."""
    depth: FloatArray
    """0 on the outline and outside, 1 in the middle of a lesion."""
    edge_mm: FloatArray
    """About how far inside the outline of the nearest lesion; negative outside."""


def lesion_map(
    anatomy: Anatomy, lesions: Sequence[Lesion], load_percent: float, *, reserved: Sequence[Place] = ()
) -> LesionMap:
    """Place the lesions at the scale that gives the load; those that come out smaller than a voxel are left out.

    Lesions with a radius of their own come first; the others fill up to the load and keep out of `reserved` places.
    """
    instances = np.zeros(anatomy.liver.shape, np.uint16)
    if load_percent <= 0 or not lesions:
        nothing = np.zeros(0, np.float32)
        return LesionMap((), instances, np.zeros(0, np.uint16), nothing, nothing)
    points = _bent_liver_points(anatomy)
    own_distance, own_nearest = _nearest(points, [lesion for lesion in lesions if lesion.radius_mm is not None])
    distance, nearest = _nearest(points, [lesion for lesion in lesions if lesion.radius_mm is None])
    for place in reserved:
        away = np.linalg.norm(points - np.array(place.centre_mm, np.float32), axis=1) / np.float32(place.radius_mm)
        distance *= 1 + 6 * np.clip(1 - away, 0, 1) ** 2
    fill = round(load_percent / 100 * len(points)) - int(np.count_nonzero(own_distance < 1))
    scale = _quantile_of_count(np.where(own_distance < 1, np.inf, distance), fill)
    size_mm = by_identity(lesions, lambda lesion: lesion.size if lesion.radius_mm is None else lesion.radius_mm)
    edge_mm, own_edge_mm = (scale - distance) * size_mm[nearest], (1 - own_distance) * size_mm[own_nearest]
    is_own = own_edge_mm > edge_mm
    nearest = np.where(is_own, own_nearest, nearest)
    instances[anatomy.liver.array] = np.where((own_distance < 1) | (distance < scale), nearest, 0)
    depth = np.where(is_own, 1 - own_distance, 1 - distance / max(scale, 1e-6)).clip(0, 1)
    seen = set(np.unique(instances))
    kept = sorted((lesion for lesion in lesions if lesion.identity in seen), key=lambda lesion: lesion.identity)
    return LesionMap(tuple(kept), instances, nearest, depth, np.maximum(edge_mm, own_edge_mm))


def _quantile_of_count(distance: FloatArray, count: int) -> float:
    """The scale below which `count` voxels lie; 0 for none."""
    if count <= 0 or not np.isfinite(distance).any():
        return 0.0
    return float(np.partition(distance, min(count, len(distance) - 1))[min(count, len(distance) - 1)])


def by_identity(lesions: Sequence[Lesion], value: Callable[[Lesion], float], highest: int = 0) -> FloatArray:
    """A table to look up a lesion's value by identity, up to `highest` at least; 0 for those that are not there."""
    table = np.zeros(1 + max(highest, *(lesion.identity for lesion in lesions)), np.float32)
    for lesion in lesions:
        table[lesion.identity] = value(lesion)
    return table


def _nearest(points: FloatArray, lesions: Sequence[Lesion]) -> tuple[FloatArray, NDArray[np.uint16]]:
    """For every point: distance to the nearest lesion over that lesion's size, and that lesion's identity."""
    best, identity = np.full(len(points), _NOWHERE, np.float32), np.zeros(len(points), np.uint16)
    for lesion in lesions:
        offset = (points - np.array(lesion.centre_mm, np.float32)) / np.array(lesion.axes, np.float32)
        size = np.float32(lesion.size if lesion.radius_mm is None else lesion.radius_mm)
        distance = np.sqrt(np.einsum("ij,ij->i", offset, offset)) / size
        closer = distance < best
        best[closer], identity[closer] = distance[closer], lesion.identity
    return best, identity


def _bent_liver_points(anatomy: Anatomy) -> FloatArray:
    """RAS mm of every liver voxel, bent so that what is round in them is not round in the patient."""
    liver = anatomy.liver.array
    box = ndimage.find_objects(liver.astype(np.uint8))[0]
    rng = np.random.default_rng([anatomy.seed, 3])
    amplitude_mm = np.float32(rng.uniform(*anatomy.ranges.lesion_bend_mm))
    axes = [axis[part] for axis, part in zip(anatomy.lattice.axes_mm, box, strict=True)]
    lattice = Lattice((axes[0], axes[1], axes[2]))
    bend = [amplitude_mm * lattice.random_field(rng, BEND_KNOTS_MM)[liver[box]] for _ in range(3)]
    straight = [axis[index] for axis, index in zip(axes, np.nonzero(liver[box]), strict=True)]
    return np.stack([a + b for a, b in zip(straight, bend, strict=True)], axis=1).astype(np.float32)
