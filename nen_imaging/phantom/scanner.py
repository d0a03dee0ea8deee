"""What a CT scanner makes of true Hounsfield units: blur, noise, and slices that average over their thickness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from nen_imaging.phantom.ranges import GENERAL, Ranges
from nen_imaging.volume import FloatArray, Volume


@dataclass(frozen=True)
class CtScanner:
    """Resolution and noise of one protocol."""

    fwhm_mm: float = 1.4
    noise_hu: float = 9.0
    """Deviation at this pixel size and at slices of 3 mm; it falls with thicker ones."""
    slice_thickness_mm: float | None = None
    """None keeps the slices of the anatomy; else a multiple of their spacing."""

    @classmethod
    def drawn(
        cls, rng: np.random.Generator, ranges: Ranges = GENERAL, slice_thickness_mm: float | None = None
    ) -> CtScanner:
        return cls(rng.uniform(*ranges.resolution_mm), rng.uniform(*ranges.noise_hu), slice_thickness_mm)


def scan_ct(hu: Volume, scanner: CtScanner, rng: np.random.Generator) -> Volume:
    """A CT (int16 HU) of true HU."""
    sigma = scanner.fwhm_mm / 2.355 / hu.spacing_mm
    blurred = ndimage.gaussian_filter(hu.array.astype(np.float32), [sigma[0], sigma[1], 0.3 * sigma[2]])
    thick = thick_slices(hu.with_array(blurred), scanner.slice_thickness_mm)
    noise = scanner.noise_hu * np.sqrt(3.0 / thick.spacing_mm[2]) * _correlated_noise(thick.shape, rng)
    return thick.with_array(np.clip(np.rint(thick.array + noise), -1024, 3071).astype(np.int16))


def thick_slices(volume: Volume, thickness_mm: float | None) -> Volume:
    """Means over slabs of slices, float32; slices left over at the upper end are dropped."""
    spacing_mm = float(volume.spacing_mm[2])
    count = 1 if thickness_mm is None else round(thickness_mm / spacing_mm)
    if thickness_mm is not None and (count < 1 or abs(count * spacing_mm - thickness_mm) > 0.01):
        raise ValueError(f"Slices of {thickness_mm} mm are no multiple of the anatomy's {spacing_mm:g} mm.")
    slabs = volume.shape[2] // count
    array = volume.array[:, :, : slabs * count].astype(np.float32)
    affine = volume.affine.copy()
    affine[:3, 3] += volume.affine[:3, 2] * (count - 1) / 2
    affine[:3, 2] *= count
    return Volume(array.reshape(*array.shape[:2], slabs, count).mean(axis=3), affine)


def _correlated_noise(shape: tuple[int, int, int], rng: np.random.Generator) -> FloatArray:
    """Unit deviation, in-plane grain of about one and a half voxels."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, np.float32), [0.6, 0.6, 0])
    return noise / max(float(noise.std()), 1e-6)
