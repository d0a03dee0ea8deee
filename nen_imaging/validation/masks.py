"""Labels that come as slices: DICOM masks, PNG beside DICOM, segments. Each slice is put where its position says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nen_imaging.contract import Refusal
from nen_imaging.dicom.geometry import Plane, plane_of
from nen_imaging.dicom.pixels import stored_values
from nen_imaging.dicom.series import read_dataset
from nen_imaging.validation.surface import Mask
from nen_imaging.volume import LPS_TO_RAS, Volume

Slices = Iterable[tuple[Plane, NDArray[np.bool_]]]
_TOLERANCE = 0.25  # voxels, at the corners of a slice: headers round spacings


def mask_on(ct: Volume, slices: Slices) -> Mask:
    """The mask that slices, indexed (i, j), make on a CT read from DICOM.

    Raises Refusal ``truth.unusable`` where a slice is none of the CT's.
    """
    mask = np.zeros(ct.shape, bool)
    to_index = np.linalg.inv(LPS_TO_RAS @ ct.affine)
    for plane, pixels in slices:
        corners = np.array([(0, 0), (pixels.shape[0] - 1, 0), (0, pixels.shape[1] - 1)])
        steps = np.stack([plane.along_row * plane.column_spacing_mm, plane.down_column * plane.row_spacing_mm])
        places = (plane.position_mm + corners @ steps) @ to_index[:3, :3].T + to_index[:3, 3]
        k = round(float(places[0, 2]))
        off = np.abs(places - np.insert(corners, 2, k, axis=1)).max()
        if pixels.shape != ct.shape[:2] or not 0 <= k < ct.shape[2] or off > _TOLERANCE:
            where = ", ".join(f"{value:.1f}" for value in plane.position_mm)
            raise Refusal("truth.unusable", f"The mask's slice at ({where}) mm lies on no slice of the CT.")
        mask[:, :, k] |= pixels
    return mask


def dicom_slices(folder: Path) -> Iterator[tuple[Plane, NDArray[np.bool_]]]:
    """The slices of a folder of single-frame masks; what is not 0 is inside."""
    for path in _files(folder):
        with path.open("rb") as file:
            dataset = read_dataset(file)
        yield plane_of(dataset), stored_values(dataset) != 0


def png_slices(folder: Path, dicom_folder: Path) -> Iterator[tuple[Plane, NDArray[np.bool_]]]:
    """PNG masks, in order of their names the slices of the DICOM files in order of theirs (CHAOS)."""
    from PIL import Image

    pictures, headers = _files(folder, ".png"), _files(dicom_folder)
    if len(pictures) != len(headers):
        raise Refusal("truth.unusable", f"There are {len(headers)} slices, but {len(pictures)} masks.")
    for picture, header in zip(pictures, headers, strict=True):
        with header.open("rb") as file:
            plane = plane_of(read_dataset(file, pixels=False))
        yield plane, np.asarray(Image.open(picture).convert("L")).T > 0  # (row, column) -> (i, j)


def slices_of(mask: Volume) -> Iterator[tuple[Plane, NDArray[np.bool_]]]:
    """The slices of a mask on a grid of its own, as far as there is something inside."""
    lps = LPS_TO_RAS @ mask.affine
    i_mm, j_mm, _ = mask.spacing_mm.tolist()
    for k in np.flatnonzero(mask.array.any(axis=(0, 1))).tolist():
        position_mm = lps[:3, 3] + k * lps[:3, 2]
        plane = Plane(position_mm, lps[:3, 0] / i_mm, lps[:3, 1] / j_mm, j_mm, i_mm, mask.shape[1], mask.shape[0])
        yield plane, mask.array[:, :, k].astype(bool)


def _files(folder: Path, suffix: str = "") -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path.name.lower().endswith(suffix) and path.name[0] != "."
    )
