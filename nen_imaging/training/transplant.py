"""Real lesions of one patient in the liver of another: texture, rim and shape that no formula draws.

As in Yang et al., "TumorCP: A Simple but Effective Object-Level Data Augmentation for Tumor Segmentation", MICCAI 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nen_imaging.training.cases import LESION, LIVER, Case, parenchyma_hu

Floats = NDArray[np.float32]

SMALLEST_ML, LARGEST_MM = 0.05, 90.0
MOST_AT_ONCE = 8
_MARGIN_MM = 2.0


@dataclass(frozen=True)
class Donated:
    """A real lesion: HU against its own parenchyma, its mask (0 to 1, soft), in a box with isotropic axes."""

    contrast_hu: Floats
    mask: Floats
    spacing_mm: NDArray[np.floating]


def lesions_of(case: Case) -> list[Donated]:
    """The lesions of a labelled case, apart from the smallest and those that would fill a liver."""
    label, spacing_mm = case.label.array, case.image.spacing_mm
    components, count = ndimage.label(np.equal(label, LESION), np.ones((3, 3, 3)))
    if not count:
        return []
    hu = np.asarray(case.image.array, np.float32)
    parenchyma = parenchyma_hu(hu, np.asarray(label))
    voxel_ml = case.image.voxel_volume_ml
    margin = np.ceil(_MARGIN_MM / spacing_mm).astype(int)
    found = []
    for number, box in enumerate(ndimage.find_objects(components), start=1):
        size_mm = np.array([part.stop - part.start for part in box]) * spacing_mm
        wide = tuple(slice(max(0, part.start - m), part.stop + m) for part, m in zip(box, margin, strict=True))
        mask = components[wide] == number
        if mask.sum() * voxel_ml >= SMALLEST_ML and size_mm.max() <= LARGEST_MM:
            found.append(Donated((hu[wide] - parenchyma).astype(np.float32), mask.astype(np.float32), spacing_mm))
    return found


def transplant(
    image: Floats,
    label: NDArray[np.uint8],
    spacing_mm: NDArray[np.floating],
    donors: Sequence[Sequence[Donated]],
    rng: np.random.Generator,
) -> tuple[Floats, NDArray[np.uint8]]:
    """Image (HU) and label (0, 1 liver, 2 lesion) with lesions of one donor, turned, scaled, more or less dark.

    They lie in the liver alone; lesions that are there stay. The inputs are not changed.
    """
    image, label = image.astype(np.float32, copy=True), label.copy()
    inside = np.flatnonzero(label == LIVER)
    if not donors or inside.size == 0:
        return image, label
    lesions = donors[int(rng.integers(len(donors)))]
    parenchyma = parenchyma_hu(image, label)
    gain = float(rng.uniform(0.6, 1.3))
    for _ in range(int(rng.integers(1, MOST_AT_ONCE + 1))):
        lesion = lesions[int(rng.integers(len(lesions)))]
        contrast, mask = _turned(lesion, spacing_mm, rng)
        centre = np.array(np.unravel_index(rng.choice(inside), label.shape))
        _place(image, label, contrast * gain + parenchyma, mask, centre)
    return image, label


def _turned(lesion: Donated, spacing_mm: NDArray[np.floating], rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Contrast and soft mask on the target's grid: flipped along any axis, from 0.7 to 1.5 times as large."""
    factors = lesion.spacing_mm / spacing_mm * np.exp(rng.uniform(np.log(0.7), np.log(1.5)))
    flips = tuple(slice(None, None, int(rng.choice((-1, 1)))) for _ in range(3))
    contrast, mask = (
        ndimage.zoom(part[flips], factors, order=1, mode="nearest", grid_mode=True)
        for part in (lesion.contrast_hu, lesion.mask)
    )
    return contrast, mask


def _place(image: Floats, label: NDArray[np.uint8], hu: Floats, mask: Floats, centre: NDArray[np.intp]) -> None:
    """Blend a lesion into image and label, in place, with its middle at a voxel; what leaves the liver is left out."""
    start = centre - np.array(mask.shape) // 2
    low, high = np.maximum(start, 0), np.minimum(start + mask.shape, label.shape)
    target = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    source = tuple(slice(int(a), int(b)) for a, b in zip(low - start, high - start, strict=True))
    free = label[target] == LIVER
    opacity = ndimage.gaussian_filter(mask[source], 0.6) * free
    image[target] += opacity * (hu[source] - image[target])
    label[target][free & (mask[source] >= 0.5)] = LESION
