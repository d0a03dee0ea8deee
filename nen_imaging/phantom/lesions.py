"""Liver metastases with identities: where they sit, how they grow and shrink over stagings, how they look.

A lesion is a bent ellipsoid. Its normalised distance is 0 in its centre and 1 on its surface at unit scale; all
lesions of a staging grow by one scale, the quantile of these distances that gives the wanted load exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nen_imaging.phantom.anatomy import Anatomy
from nen_imaging.phantom.canvas import Lattice
from nen_imaging.volume import FloatArray


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
    edge: float
    """Share of the depth over which the lesion fades into the liver."""
    uptake: float
    """SUV relative to the liver; below 1 the lesion is cold (SSR-negative)."""


@dataclass(frozen=True)
class LesionMap:
    """The lesions of one staging on the grid of an anatomy."""

    lesions: tuple[Lesion, ...]
    instances: NDArray[np.uint16]
    """Identity of the lesion a voxel belongs to, 0 elsewhere."""
    depth: FloatArray
    """0 on the surface and outside, 1 in the middle of a lesion."""


def new_lesions(
    anatomy: Anatomy, count: int, rng: np.random.Generator, *, first_identity: int = 1, ssr_positive: float = 0.85
) -> list[Lesion]:
    """Lesions at random places of the liver; one patient's lesions look alike, with a few exceptions.

    `ssr_positive` is the share of lesions that take up more tracer than the liver.
    """
    liver = np.argwhere(anatomy.liver.array)
    places = liver[rng.integers(len(liver), size=count)] + rng.uniform(-0.5, 0.5, (count, 3))
    centres = places @ anatomy.liver.affine[:3, :3].T + anatomy.liver.affine[:3, 3]
    patients_own = np.array([rng.uniform(-25, -6), rng.uniform(-30, 45), rng.uniform(-65, -22)])
    rim, necrosis = rng.uniform(0, 35) * (rng.uniform() < 0.4), rng.uniform(0, 25) * (rng.uniform() < 0.4)
    edge = rng.uniform(0.06, 0.35)
    lesions = []
    for number, centre in enumerate(centres):
        contrast = patients_own + rng.normal(0, [3, 8, 7])
        contrast[2] = rng.uniform(12, 40) if rng.uniform() < 0.06 else min(contrast[2], -12.0)
        hot = rng.uniform() < ssr_positive
        lesions.append(
            Lesion(
                identity=first_identity + number,
                centre_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
                size=float(np.exp(rng.normal(0, 0.55))),
                axes=tuple(np.exp(rng.normal(0, 0.14, 3))),
                contrast_hu=(float(contrast[0]), float(contrast[1]), float(contrast[2])),
                rim_hu=rim * rng.uniform(0.5, 1.2),
                necrosis_hu=necrosis * rng.uniform(0.3, 1.3),
                edge=edge * rng.uniform(0.7, 1.3),
                uptake=rng.uniform(2.0, 6.0) if hot else rng.uniform(0.2, 0.7),
            )
        )
    return lesions


def course(
    anatomy: Anatomy,
    loads_percent: Sequence[float],
    seed: int,
    *,
    count: int = 12,
    new_at: Mapping[int, int] | None = None,
    gone_at: Mapping[int, int] | None = None,
) -> list[LesionMap]:
    """The lesions of one patient at each staging, with these loads.

    Parameters
    ----------
    anatomy, seed
        Whose liver, and what is drawn in it.
    loads_percent
        Lesion volume over liver volume at each staging; met to within one voxel.
    count
        Lesions at the first staging.
    new_at, gone_at
        Staging index -> how many lesions appear, or vanish, there.
    """
    rng = np.random.default_rng([seed, 2])
    present = new_lesions(anatomy, count, rng)
    next_identity = count + 1
    maps = []
    for staging, load in enumerate(loads_percent):
        if staging:
            present = [replace(lesion, size=lesion.size * float(np.exp(rng.normal(0, 0.08)))) for lesion in present]
            born = (new_at or {}).get(staging, 0)
            gone = rng.permutation(len(present))[: (gone_at or {}).get(staging, 0)]
            present = [lesion for n, lesion in enumerate(present) if n not in gone]
            present += new_lesions(anatomy, born, rng, first_identity=next_identity)
            next_identity += born
        maps.append(lesion_map(anatomy, present, load))
    return maps


def lesion_map(anatomy: Anatomy, lesions: Sequence[Lesion], load_percent: float) -> LesionMap:
    """Place the lesions at the scale that gives the load; those that come out smaller than a voxel are left out."""
    shape = anatomy.liver.shape
    instances, depth = np.zeros(shape, np.uint16), np.zeros(shape, np.float32)
    if load_percent <= 0 or not lesions:
        return LesionMap((), instances, depth)
    liver = anatomy.liver.array
    distance, nearest = _normalised_distance(anatomy, lesions)
    wanted = round(load_percent / 100 * len(distance))
    scale = np.partition(distance, min(wanted, len(distance) - 1))[min(wanted, len(distance) - 1)]
    identities = np.array([lesion.identity for lesion in lesions], np.uint16)
    inside = distance < scale
    instances[liver] = np.where(inside, identities[nearest], 0)
    depth[liver] = np.where(inside, 1 - distance / scale, 0)
    seen = set(np.unique(instances)) - {0}
    kept = sorted((lesion for lesion in lesions if lesion.identity in seen), key=lambda lesion: lesion.identity)
    return LesionMap(tuple(kept), instances, depth)


def _normalised_distance(anatomy: Anatomy, lesions: Sequence[Lesion]) -> tuple[FloatArray, NDArray[np.intp]]:
    """For every liver voxel: distance to the nearest lesion over that lesion's size, and which lesion it is."""
    affine, liver = anatomy.liver.affine, anatomy.liver.array
    x, y, z = (affine[a, 3] + affine[a, a] * np.arange(n) for a, n in enumerate(anatomy.liver.shape))
    rng = np.random.default_rng([anatomy.seed, 3])
    lattice = Lattice((x, y, z))
    points = np.argwhere(liver) * np.diag(affine)[:3] + affine[:3, 3]
    bend = np.stack([2.0 * lattice.random_field(rng, 14.0)[liver] for _ in range(3)], axis=1)
    points = (points + bend).astype(np.float32)
    best = np.full(len(points), np.inf, np.float32)
    nearest = np.zeros(len(points), np.intp)
    for n, lesion in enumerate(lesions):
        offset = (points - np.array(lesion.centre_mm, np.float32)) / np.array(lesion.axes, np.float32)
        distance = np.sqrt(np.einsum("ij,ij->i", offset, offset)) / np.float32(lesion.size)
        closer = distance < best
        best[closer], nearest[closer] = distance[closer], n
    return best, nearest
