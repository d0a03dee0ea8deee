"""Fit the statistical shape model of the liver: ``python -m nen_imaging.phantom.fit_shapes FOLDER [FILE]``.

The folder holds one binary mask of a whole liver per NIfTI file. The model keeps the mean and the main modes of their
signed distances, from which no single liver can be had back. The shipped one was fitted to 92 livers of LiTS
(CC BY-NC-ND): it is for non-commercial use, like weights that were trained on them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nen_imaging.phantom.shape_model import FILE, REACH_MM, STEP_MM, UNIT_ML
from nen_imaging.volume import FloatArray, Volume, read_nifti

MODES = 14
DISTANCE_MM = 40.0  # farther away it does not matter how far


def fit(livers: Iterable[Volume], file: Path, modes: int = MODES) -> FloatArray:
    """Write the model of some livers (binary, any orientation), and return the share of variance of each mode."""
    rows = np.stack([_distances(liver.oriented("RAS")) for liver in livers])
    mean = rows.mean(axis=0)
    _, singular, components = np.linalg.svd(rows - mean, full_matrices=False)
    scaled = components[:modes] * (singular[:modes, None] / np.sqrt(len(rows) - 1))  # one deviation of each mode, in mm
    unit = np.abs(scaled).max(axis=1) / 127
    np.savez_compressed(
        file,
        mean=mean.astype(np.float16),
        modes=np.rint(scaled / unit[:, None]).astype(np.int8),
        unit=unit.astype(np.float32),
    )
    return singular[:modes] ** 2 / (singular**2).sum()


def _distances(liver: Volume) -> FloatArray:
    """Signed distance (mm, positive inside) on the model's grid, of the liver at unit volume about its centroid."""
    mask = np.pad(_largest_part(liver.array.astype(bool)), 3)
    spacing = liver.spacing_mm
    scale = float(np.cbrt(mask.sum() * liver.voxel_volume_ml / UNIT_ML))
    distance = ndimage.distance_transform_edt(mask, sampling=spacing)
    distance = distance - ndimage.distance_transform_edt(~mask, sampling=spacing)
    grid = np.meshgrid(*[np.arange(-reach, reach + STEP_MM / 2, STEP_MM) for reach in REACH_MM], indexing="ij")
    centre = ndimage.center_of_mass(mask)
    index = np.stack([axis * scale / step + c for axis, step, c in zip(grid, spacing, centre, strict=True)])
    inside = np.clip(index, 0, np.array(mask.shape).reshape(3, 1, 1, 1) - 1)
    beyond_mm = np.linalg.norm((index - inside) * spacing.reshape(3, 1, 1, 1), axis=0)
    sampled = ndimage.map_coordinates(distance, inside, order=1) - beyond_mm
    return np.clip(sampled / scale, -DISTANCE_MM, DISTANCE_MM).ravel()


def _largest_part(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    parts, _ = ndimage.label(mask)
    return parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])


def main(arguments: list[str]) -> None:
    """Fit the model to a folder."""
    folder, *rest = arguments
    file = Path(rest[0]) if rest else FILE
    shares = fit((read_nifti(path) for path in sorted(Path(folder).glob("*.nii.gz"))), file)
    print(f"{file}: {len(shares)} modes explain {shares.sum():.0%} of the variance.")


if __name__ == "__main__":
    main(sys.argv[1:])
