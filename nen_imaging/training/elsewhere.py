"""Bodies without a liver, painted simply: thighs and heads. A network that has never seen one finds a liver there.

A muscle is as even and as bright as a liver, so that only what lies around it tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nen_imaging.segmentation.preprocess import AIR_HU
from nen_imaging.training.cases import Case
from nen_imaging.training.digital import LICENCE
from nen_imaging.training.lesions import smooth_noise
from nen_imaging.volume import Volume

Floats = NDArray[np.float32]

SIZE_MM = (420.0, 300.0, 260.0)
FAT_HU, MUSCLE_HU, BONE_HU, MARROW_HU, BRAIN_HU, FLUID_HU, VESSEL_HU = -100.0, 55.0, 900.0, 80.0, 35.0, 8.0, 140.0


def bodies_without_liver(count: int, first_seed: int, spacing_mm: float, weight: float) -> Iterator[Case]:
    """Thighs and heads in turn, each of its own size, fat, contrast medium and noise; axes LPS."""
    for seed in range(first_seed, first_seed + count):
        rng = np.random.default_rng([seed, 7])
        paint = _thighs if seed % 2 == 0 else _head
        hu = paint(_grid(spacing_mm), rng)
        hu += rng.normal(0, rng.uniform(5, 25), hu.shape).astype(np.float32)
        affine = np.diag([-spacing_mm, -spacing_mm, spacing_mm, 1.0])
        image = Volume(np.clip(hu, AIR_HU, 3000).round().astype(np.int16), affine)
        name = f"elsewhere{seed}"
        label = image.with_array(np.zeros(hu.shape, np.uint8))
        yield Case(name, name, image, label, True, weight, LICENCE, painted=True)


def _grid(spacing_mm: float) -> tuple[Floats, Floats, Floats]:
    """Millimetres from the middle along each axis, as open arrays."""
    axes = [(np.arange(round(mm / spacing_mm)) * spacing_mm - mm / 2).astype(np.float32) for mm in SIZE_MM]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    return x, y, z


def _thighs(grid: tuple[Floats, Floats, Floats], rng: np.random.Generator) -> Floats:
    """Two legs that taper downwards: fat, muscles with fat between them, a femur with marrow, vessels."""
    x, y, z = grid
    shape = np.broadcast_shapes(x.shape, y.shape, z.shape)
    hu = np.full(shape, AIR_HU, np.float32)
    radius, fat_mm, apart_mm = rng.uniform(70, 105), rng.uniform(4, 35), rng.uniform(0, 25)
    septa = smooth_noise(shape, (14, 12, 5), rng)
    taper = 1 + rng.uniform(0.0005, 0.0015) * z
    for side in (-1, 1):
        across = x - side * (radius + apart_mm / 2)
        depth = np.hypot(across, y * rng.uniform(0.9, 1.1)) / taper
        hu = np.where(depth < radius, FAT_HU, hu)
        muscle = (depth < radius - fat_mm) & (np.abs(septa) > 0.12)
        hu = np.where(muscle, MUSCLE_HU + rng.normal(0, 10) + 4 * septa, hu)
        bone = np.hypot(across - rng.normal(0, 8), y - rng.normal(0, 8))
        hu = np.where(bone < 15, BONE_HU, hu)
        hu = np.where(bone < 8, MARROW_HU, hu)
        vessel = np.hypot(across + side * 0.45 * radius, y + 0.2 * radius)
        hu = np.where(vessel < 5, VESSEL_HU * rng.uniform(0.4, 1.6), hu)
    return np.asarray(hu, np.float32)


def _head(grid: tuple[Floats, Floats, Floats], rng: np.random.Generator) -> Floats:
    """A skull with brain and ventricles over a neck of muscle around a spine and an airway."""
    x, y, z = grid
    shape = np.broadcast_shapes(x.shape, y.shape, z.shape)
    wide, deep, high = rng.uniform(68, 80), rng.uniform(85, 100), rng.uniform(75, 95)
    texture = smooth_noise(shape, (9, 9, 9), rng)
    skull = np.sqrt((x / wide) ** 2 + (y / deep) ** 2 + ((z - 40) / high) ** 2)
    neck = np.hypot(x, y - 10) - rng.uniform(48, 65)
    hu = np.full(shape, AIR_HU, np.float32)
    below = z < 0
    hu = np.where(below & (neck < 0), FAT_HU, hu)
    hu = np.where(below & (neck < -rng.uniform(4, 15)), MUSCLE_HU + 5 * texture, hu)
    hu = np.where(below & (np.hypot(x, y - 30) < 18), BONE_HU / 2, hu)
    hu = np.where(below & (np.hypot(x, y + 15) < 10), AIR_HU, hu)
    hu = np.where(skull < 1.08, MUSCLE_HU, hu)
    hu = np.where(skull < 1.0, BONE_HU, hu)
    hu = np.where(skull < 0.92, BRAIN_HU * rng.uniform(0.8, 1.6) + 4 * texture, hu)
    ventricle = np.hypot((np.abs(x) - 12) / 7, (y + 5) / 25)
    return np.asarray(np.where((ventricle < 1) & (np.abs(z - 45) < 20), FLUID_HU, hu), np.float32)
