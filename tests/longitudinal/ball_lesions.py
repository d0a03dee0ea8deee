"""Lesions as balls on a grid of 2 mm, for tests."""

from __future__ import annotations

import numpy as np

from nen_imaging.longitudinal.graph import StagingLesions
from nen_imaging.longitudinal.matching import Lesion

SHAPE, SPACING_MM = (60, 50, 40), 2.0
_PLACES_MM = np.stack(np.meshgrid(*(np.arange(n) * SPACING_MM for n in SHAPE), indexing="ij"), axis=-1)


def ball(staging, number, centre_mm, diameter_mm, *, cyst=False):
    """One lesion, a ball."""
    inside = np.linalg.norm(_PLACES_MM - np.asarray(centre_mm, float), axis=-1) <= diameter_mm / 2
    return shape(staging, number, inside, diameter_mm, cyst=cyst)


def shape(staging, number, inside, diameter_mm, *, cyst=False):
    """One lesion of any shape, given as mask."""
    centroid = np.argwhere(inside).mean(axis=0) * SPACING_MM
    volume_ml = np.count_nonzero(inside) * SPACING_MM**3 / 1000
    return Lesion(staging, number, np.flatnonzero(inside), centroid, volume_ml, diameter_mm, cyst)


def both(staging, number, *balls):
    """One lesion that is the union of several."""
    inside = np.zeros(np.prod(SHAPE), bool)
    for part in balls:
        inside[part.voxels] = True
    return shape(staging, number, inside.reshape(SHAPE), sum(part.longest_diameter_mm for part in balls))


def staging(name, *lesions, imaged=None, **more):
    """A staging whose liver fills the grid, all of it imaged unless given."""
    everything = np.ones(np.prod(SHAPE), bool)
    return StagingLesions(name, lesions, everything if imaged is None else imaged.ravel(), everything, **more)
