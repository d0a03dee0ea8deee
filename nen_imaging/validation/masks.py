"""Labels that come as slices: DICOM masks, PNG beside DICOM, DICOM SEG. Each slice is put where its position says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import Dataset

from nen_imaging.contract import Refusal
from nen_imaging.dicom.geometry import Plane, plane_of
from nen_imaging.dicom.pixels import stored_values
from nen_imaging.dicom.series import read_dataset
from nen_imaging.validation.surface import Mask
from nen_imaging.volume import LPS_TO_RAS, Volume

Slices = Iterable[tuple[Plane, NDArray[np.bool_]]]
_TOLERANCE = 0.1  # voxels; directions in mm over a voxel


def mask_on(ct: Volume, slices: Slices) -> Mask:
    """The mask that slices, indexed (i, j), make on a CT read from DICOM.

    Raises Refusal ``truth.unusable`` where a slice is none of the CT's.
    """
    mask = np.zeros(ct.shape, bool)
    to_index = np.linalg.inv(LPS_TO_RAS @ ct.affine)
    for plane, pixels in slices:
        place = to_index @ [*plane.position_mm, 1.0]
        k = round(float(place[2]))
        steps = np.column_stack([plane.along_row * plane.column_spacing_mm, plane.down_column * plane.row_spacing_mm])
        turned = np.abs(to_index[:3, :3] @ steps - np.eye(3)[:, :2]).max()
        off = np.abs(place[:3] - (0, 0, k)).max()
        if pixels.shape != ct.shape[:2] or not 0 <= k < ct.shape[2] or max(off, turned) > _TOLERANCE:
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


def seg_slices(seg: Dataset, segments: Sequence[int]) -> Iterator[tuple[Plane, NDArray[np.bool_]]]:
    """The frames of a DICOM SEG (BINARY or FRACTIONAL) that belong to the named segments.

    Raises Refusal ``truth.unusable`` for what holds no such frames, or cannot be decoded.
    """
    if str(seg.get("SegmentationType", "")) not in ("BINARY", "FRACTIONAL"):
        raise Refusal("truth.unusable", "The SEG is neither BINARY nor FRACTIONAL.")
    try:
        frames = np.atleast_3d(seg.pixel_array) if int(seg.NumberOfFrames) > 1 else seg.pixel_array[None]
        shared = seg.SharedFunctionalGroupsSequence[0]
        for frame, groups in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
            if _group(groups, shared, "SegmentIdentificationSequence").ReferencedSegmentNumber in segments:
                inside = frame >= max(1, int(seg.get("MaximumFractionalValue") or 1) / 2)
                yield _plane_of_frame(seg, groups, shared), inside.T  # (row, column) -> (i, j)
    except Refusal:
        raise
    except Exception as error:  # decoders raise whatever they like
        raise Refusal("truth.unusable", f"The SEG cannot be read ({type(error).__name__}: {error}).") from error


def segment_labels(seg: Dataset) -> dict[int, str]:
    """Number and name of each segment, in lower case."""
    return {int(item.SegmentNumber): str(item.get("SegmentLabel", "")).lower() for item in seg.SegmentSequence}


def referenced_series(seg: Dataset) -> str:
    """The series that a SEG was drawn on; empty if it does not say."""
    references = seg.get("ReferencedSeriesSequence") or []
    return str(references[0].get("SeriesInstanceUID", "")) if references else ""


def read_seg(path: Path) -> Dataset:
    """A DICOM SEG with its pixels."""
    return pydicom.dcmread(path)


def _plane_of_frame(seg: Dataset, groups: Dataset, shared: Dataset) -> Plane:
    plane = Dataset()
    plane.Rows, plane.Columns = seg.Rows, seg.Columns
    plane.ImagePositionPatient = _group(groups, shared, "PlanePositionSequence").ImagePositionPatient
    plane.ImageOrientationPatient = _group(groups, shared, "PlaneOrientationSequence").ImageOrientationPatient
    plane.PixelSpacing = _group(groups, shared, "PixelMeasuresSequence").PixelSpacing
    return plane_of(plane)


def _group(groups: Dataset, shared: Dataset, name: str) -> Any:  # noqa: ANN401 - pydicom's item
    """A functional group of a frame, its own or that of all frames."""
    return (groups.get(name) or shared[name].value)[0]


def _files(folder: Path, suffix: str = "") -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path.name.lower().endswith(suffix) and path.name[0] != "."
    )
