"""Digital patients beside real ones, to look at: axial slices in a soft tissue window, one patient per row.

``python -m nen_imaging.phantom.montage PICTURE.png [--real FOLDER ...] [--pet FOLDER ...]``, where a folder holds
image.nii.gz (CT in HU, PET in SUV) and label.nii.gz (1 and above: liver).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nen_imaging.phantom.anatomy import digital_patient
from nen_imaging.phantom.staging import staging
from nen_imaging.volume import Volume, read_nifti, resample

CT_WINDOW = (-110.0, 190.0)
SUV_WINDOW = (0.0, 12.0)
TILE_MM, PIXEL_MM = (410.0, 310.0), 1.3
LEVELS = (0.93, 0.74, 0.55, 0.36, 0.14)  # from the lowest to the highest slice of the liver
LOADS_PERCENT = (0.0, 6.0, 25.0, 55.0)


@dataclass(frozen=True)
class Row:
    """One image to show: a CT in HU or a PET in SUV, and the heights (RAS mm) of its slices."""

    image: Volume
    heights_mm: tuple[float, ...]
    window: tuple[float, float] = CT_WINDOW


def digital_rows(seed: int, *, spacing_mm: tuple[float, float, float] = (1.0, 1.0, 3.0)) -> list[Row]:
    """Four patients with rising loads, and the PET of the last one."""
    rows = []
    for number, load in enumerate(LOADS_PERCENT):
        anatomy = digital_patient(seed + number, spacing_mm)
        scanned = staging(anatomy, load, seed, with_pet=load == LOADS_PERCENT[-1])
        heights_mm = liver_levels_mm(scanned.labels)
        rows.append(Row(scanned.ct, heights_mm))
        if scanned.suv is not None:
            rows.append(Row(scanned.suv, heights_mm, SUV_WINDOW))
    return rows


def liver_levels_mm(labels: Volume) -> tuple[float, ...]:
    """The heights at which to cut a patient whose liver is labelled (1 and above)."""
    ras = labels.oriented("RAS")
    slices = np.flatnonzero((ras.array.astype(np.uint8) > 0).any(axis=(0, 1)))
    if not len(slices):
        raise ValueError("The label map holds no liver, so nothing says which slices to show.")
    low, high = (float(ras.affine[2, 3] + k * ras.affine[2, 2]) for k in slices[[0, -1]])
    return tuple(low + level * (high - low) for level in LEVELS)


def montage(rows: Sequence[Row]) -> Image.Image:
    """One row of slices per image, as a radiologist sees them: the patient's right on the left."""
    return Image.fromarray(np.vstack([np.hstack([_tile(row, height) for height in row.heights_mm]) for row in rows]))


def side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    """Two montages beside each other, a line between them."""
    height = max(left.height, right.height)
    both = Image.new("L", (left.width + right.width + 12, height), 255)
    both.paste(left, (0, 0))
    both.paste(right, (left.width + 12, 0))
    return both


def _tile(row: Row, height_mm: float) -> NDArray[np.uint8]:
    """One axial slice on a grid of the tile's size, centred on the image in x and y."""
    shape = (round(TILE_MM[0] / PIXEL_MM), round(TILE_MM[1] / PIXEL_MM), 1)
    corners = np.array([[0, 0, 0, 1], [*(np.array(row.image.shape) - 1), 1]]) @ row.image.affine.T
    centre = corners[:, :3].mean(axis=0)
    affine = np.diag([-PIXEL_MM, -PIXEL_MM, PIXEL_MM, 1.0])  # columns run to the left, rows to the back
    affine[:2, 3] = centre[0] + TILE_MM[0] / 2, centre[1] + TILE_MM[1] / 2
    affine[2, 3] = height_mm
    low, high = row.window
    values = Volume(row.image.array.astype(np.float32), row.image.affine)
    seen = resample(values, shape, affine, outside=low).array[:, :, 0].T.astype(np.float32)
    grey = 255 * np.clip((seen - low) / (high - low), 0, 1)
    return (255 - grey if row.window == SUV_WINDOW else grey).astype(np.uint8)


def main() -> None:
    """Draw digital patients, with the real ones that are given to their right."""
    parser = argparse.ArgumentParser(description="slices of digital patients, alone or beside real ones")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--seed", type=int, default=11, help="of the first digital patient")
    parser.add_argument("--real", type=Path, nargs="*", default=[], help="folders with image.nii.gz and label.nii.gz")
    parser.add_argument("--pet", type=Path, nargs="*", default=[], help="the same with PET in SUV")
    given = parser.parse_args()
    picture = montage(digital_rows(given.seed))
    real = [_real_row(folder, CT_WINDOW) for folder in given.real] + [
        _real_row(folder, SUV_WINDOW) for folder in given.pet
    ]
    given.picture.parent.mkdir(parents=True, exist_ok=True)
    (side_by_side(picture, montage(real)) if real else picture).save(given.picture)
    print(f"Written: {given.picture}")


def _real_row(folder: Path, window: tuple[float, float]) -> Row:
    return Row(read_nifti(folder / "image.nii.gz"), liver_levels_mm(read_nifti(folder / "label.nii.gz")), window)


if __name__ == "__main__":
    main()
