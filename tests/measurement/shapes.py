"""Analytic bodies on grids, and the 48 ways to lay the same picture into an array."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
from scipy.special import ndtr

from nen_imaging.volume import Volume

ORIENTATIONS = ["".join(codes) for order in permutations(("RL", "AP", "SI")) for codes in product(*order)]


def grid(shape, spacing_mm) -> Volume:
    """An empty uint8 volume, RAS, centred on the origin."""
    spacing = np.asarray(spacing_mm, float)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -spacing * (np.array(shape) - 1) / 2
    return Volume(np.zeros(shape, np.uint8), affine)


def scanned_coronal(axial: Volume) -> Volume:
    """The same pictures, taken as coronal slices of a patient who is turned likewise: head-foot becomes front-back."""
    return Volume(axial.array, np.eye(4)[[0, 2, 1, 3]] @ axial.affine)


def ellipsoid(volume: Volume, semi_axes_mm, centre_mm=(0, 0, 0)) -> np.ndarray:
    """Voxels whose centre lies in an ellipsoid; RAS millimetres."""
    place = np.stack(np.indices(volume.shape), -1) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    return (((place - np.array(centre_mm)) / np.array(semi_axes_mm)) ** 2).sum(-1) <= 1


def blurred_sphere(volume: Volume, radius_mm: float, fwhm_mm: float, centre_mm=(0, 0, 0)) -> np.ndarray:
    """A sphere of 1 in nothing, convolved with a Gaussian, at every voxel's centre (closed form); RAS millimetres."""
    place = np.stack(np.indices(volume.shape), -1) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    r = np.maximum(np.linalg.norm(place - np.array(centre_mm), axis=-1), 1e-3)
    s = fwhm_mm / np.sqrt(8 * np.log(2))
    tails = np.exp(-((radius_mm - r) ** 2) / (2 * s**2)) - np.exp(-((radius_mm + r) ** 2) / (2 * s**2))
    return ndtr((radius_mm - r) / s) + ndtr((radius_mm + r) / s) - 1 - s / (r * np.sqrt(2 * np.pi)) * tails


def liver_with(shape, spacing_mm, *lesions) -> Volume:
    """Labels: a box of liver one voxel away from the border, with ellipsoids (semi axes, centre) as lesions."""
    volume = grid(shape, spacing_mm)
    volume.array[1:-1, 1:-1, 1:-1] = 1
    for semi_axes_mm, centre_mm in lesions:
        volume.array[ellipsoid(volume, semi_axes_mm, centre_mm)] = 2
    return volume
