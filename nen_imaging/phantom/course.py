"""The metastases of one patient over the stagings: they grow, shrink, appear, vanish, merge and break up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from nen_imaging.phantom.anatomy import Anatomy
from nen_imaging.phantom.lesions import Lesion, LesionMap, lesion_map


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
    mottle = rng.uniform(0, 8)
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
                fade_mm=rng.uniform(*anatomy.ranges.lesion_fade_mm),
                uptake=rng.uniform(2.0, 6.0) if hot else rng.uniform(0.2, 0.7),
                mottle_hu=mottle,
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
            present = drifted(present, rng)
            born = (new_at or {}).get(staging, 0)
            gone = rng.permutation(len(present))[: (gone_at or {}).get(staging, 0)]
            present = [lesion for n, lesion in enumerate(present) if n not in gone]
            present += new_lesions(anatomy, born, rng, first_identity=next_identity)
            next_identity += born
        maps.append(lesion_map(anatomy, present, load))
    return maps


def drifted(lesions: Sequence[Lesion], rng: np.random.Generator) -> list[Lesion]:
    """The same lesions at the next staging: each grows a little more or less than the others."""
    return [replace(lesion, size=lesion.size * float(np.exp(rng.normal(0, 0.08)))) for lesion in lesions]
