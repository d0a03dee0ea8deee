"""The metastases of the published case: conglomerates that grow, new lesions at every progression, a remission.

New lesions appear in free parenchyma, where nothing else grows: the follow-up shall see them as new, not as part of
what is there. Old lesions merge as the load rises and break up as it falls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from nen_imaging.phantom.anatomy import Anatomy
from nen_imaging.phantom.course import drifted, new_lesions
from nen_imaging.phantom.lesions import Lesion, LesionMap, Place, lesion_map
from nen_imaging.volume import FloatArray

CONTRAST_HU = (-14.0, -25.0, -52.0)  # to the liver: native, arterial, portal venous
NEW_PER_PROGRESSION = 4
NEW_RADIUS_MM = (8.2, 9.0)  # 15 to 25 mm across once bent and cut into slices
NEW_GROWTH = 1.15  # of the radius, until the load is highest
OLD = 30
CANDIDATES = 5  # tried for each of them; more spread them more evenly
DEPTH_MM = 17.0  # of a new lesion's centre under the liver's surface
APART_MM = 36.0
OLD_APART_MM = 34.0  # of the other lesions' centres from the new ones'
RESERVED_MM = 36.0


@dataclass(frozen=True)
class StagingPlan:
    """What grows at one staging: `lesion_map` makes the map of it."""

    lesions: tuple[Lesion, ...]
    load_percent: float
    reserved: tuple[Place, ...]

    def lesion_map(self, anatomy: Anatomy) -> LesionMap:
        return lesion_map(anatomy, self.lesions, self.load_percent, reserved=self.reserved)


def plan_lesions(anatomy: Anatomy, loads_percent: Sequence[float]) -> list[StagingPlan]:
    """The lesions of each staging; wherever the load rises there are new ones, SSR-negative like all of them.

    Lesions born at the last progression are the first to vanish: the smallest is gone when the load has halved.
    """
    rng = np.random.default_rng([anatomy.seed, 7])
    progressions = [n for n in range(1, len(loads_percent)) if loads_percent[n] > loads_percent[n - 1]]
    points, depth_mm = _liver_points(anatomy)
    places = _free_places(points[depth_mm > DEPTH_MM], NEW_PER_PROGRESSION * max(1, len(progressions)), rng)
    old = _old_lesions(anatomy, points[_distance_mm(points, places) > OLD_APART_MM], rng)
    born_at = np.repeat(progressions, NEW_PER_PROGRESSION)
    born = _new_lesions(anatomy, rng.permutation(places)[: len(born_at)], len(old) + 1, rng)
    reserved = tuple(Place(lesion.centre_mm, RESERVED_MM) for lesion in born)
    peak = max(loads_percent)
    plans = []
    for staging, load in enumerate(loads_percent):
        old = drifted(old, rng) if staging else old
        present = [
            _grown(lesion, loads_percent, at, staging)
            for lesion, at in zip(born, born_at, strict=True)
            if at <= staging
        ]
        if progressions and staging > progressions[-1] and load < 0.5 * peak:
            present.remove(min(present[-NEW_PER_PROGRESSION:], key=lambda lesion: lesion.radius_mm or 0))
        plans.append(StagingPlan((*old, *present), load, reserved))
    return plans


def _grown(lesion: Lesion, loads_percent: Sequence[float], born_at: int, staging: int) -> Lesion:
    """A new lesion later on: larger up to the highest load, then smaller with the load."""
    peak = int(np.argmax(loads_percent))
    growth = NEW_GROWTH ** max(0, min(staging, peak) - born_at)
    shrinkage = np.cbrt(loads_percent[staging] / loads_percent[peak]) if staging > peak else 1.0
    return replace(lesion, radius_mm=(lesion.radius_mm or 0) * growth * float(shrinkage))


def _liver_points(anatomy: Anatomy, step_mm: float = 3.0) -> tuple[FloatArray, FloatArray]:
    """Places in the liver about `step_mm` apart, shape (n, 3) in RAS mm, and their depth under its surface in mm."""
    steps = np.maximum(1, np.rint(step_mm / anatomy.liver.spacing_mm)).astype(int)
    coarse = anatomy.liver.array[:: steps[0], :: steps[1], :: steps[2]]
    index = np.argwhere(coarse)
    depth_mm = ndimage.distance_transform_edt(coarse, sampling=anatomy.liver.spacing_mm * steps)[coarse]
    affine = anatomy.liver.affine
    return (index * steps) @ affine[:3, :3].T + affine[:3, 3], depth_mm


def _distance_mm(points: FloatArray, places: FloatArray) -> FloatArray:
    """From every point to the nearest place."""
    return np.min([np.linalg.norm(points - place, axis=1) for place in places], axis=0)


def _old_lesions(anatomy: Anatomy, points: FloatArray, rng: np.random.Generator) -> list[Lesion]:
    """Lesions spread over the rest of the liver: apart from each other they merge late and break up early."""
    places = [points[rng.integers(len(points))]]
    while len(places) < OLD:
        candidates = points[rng.integers(len(points), size=CANDIDATES)]
        places.append(candidates[int(np.argmax(_distance_mm(candidates, np.array(places))))])
    drawn = _as_in_the_case(new_lesions(anatomy, OLD, rng), places, rng)
    return [replace(lesion, size=float(np.exp(rng.normal(0, 0.22)))) for lesion in drawn]


def _new_lesions(anatomy: Anatomy, places: FloatArray, first_identity: int, rng: np.random.Generator) -> list[Lesion]:
    drawn = new_lesions(anatomy, len(places), rng, first_identity=first_identity)
    return [
        replace(lesion, radius_mm=rng.uniform(*NEW_RADIUS_MM), axes=tuple(np.exp(rng.normal(0, 0.05, 3))))
        for lesion in _as_in_the_case(drawn, list(places), rng)
    ]


def _as_in_the_case(lesions: list[Lesion], places: list[FloatArray], rng: np.random.Generator) -> list[Lesion]:
    """Cold, hypodense in the portal venous phase, without the odd bright one."""
    native, arterial, portal = CONTRAST_HU
    return [
        replace(
            lesion,
            centre_mm=(float(place[0]), float(place[1]), float(place[2])),
            contrast_hu=(native + rng.normal(0, 3), arterial + rng.normal(0, 3), portal + rng.normal(0, 3)),
            rim_hu=0.0,
            necrosis_hu=rng.uniform(0, 12),
            uptake=rng.uniform(0.25, 0.55),
        )
        for lesion, place in zip(lesions, places, strict=True)
    ]


def _free_places(points: FloatArray, count: int, rng: np.random.Generator) -> FloatArray:
    """Places apart from each other but close together, so that the parenchyma between them stays free in one piece."""
    chosen = [points[rng.integers(len(points))]]
    while len(chosen) < count:
        away = np.array([np.linalg.norm(points - place, axis=1) for place in chosen])
        too_near = np.clip(APART_MM - away.min(axis=0), 0, None)
        chosen.append(points[int(np.argmin(away.mean(axis=0) + 20 * too_near + rng.uniform(0, 5, len(points))))])
    return np.array(chosen)
