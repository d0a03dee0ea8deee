"""DICOM Segmentation images (BINARY, FRACTIONAL, LABELMAP) as masks, each on the grid of its frames.

Frames that a sparse segmentation leaves out are empty. Frames of slides or radiographs carry no place in a patient's
volume and are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from nen_imaging.contract import Refusal
from nen_imaging.dicom.frames import frame_headers
from nen_imaging.dicom.geometry import Plane, plane_of
from nen_imaging.dicom.pixels import decoded_pixels
from nen_imaging.volume import LPS_TO_RAS, FloatArray, Volume

_MOST_SLICES = 4096
_OFF_GRID_MM = 0.1  # dcmqi writes positions up to 0.013 mm beside those of the images


@dataclass(frozen=True)
class Segment:
    """One segment: number, label as written, and its mask (boolean)."""

    number: int
    label: str
    mask: Volume


def read_segments(dataset: Dataset) -> list[Segment]:
    """Every segment that a Segmentation image describes, all on one grid.

    A voxel of a FRACTIONAL segment counts from one half of MaximumFractionalValue.

    Raises
    ------
    Refusal
        ``region.unreadable``, ``geometry.*``, ``pixels.undecodable``.
    """
    kind = str(dataset.get("SegmentationType") or "BINARY")
    labels = {
        int(one.SegmentNumber): str(one.get("SegmentLabel") or "") for one in dataset.get("SegmentSequence") or []
    }
    headers = frame_headers(dataset)
    planes = [plane_of(header) for header in headers]
    slices, grid_affine, count = _slices(planes, headers[0])
    pixels = decoded_pixels(dataset)
    pixels = pixels.reshape(len(headers), *pixels.shape[-2:]).transpose(0, 2, 1)  # (frame, row, column) -> (., i, j)
    shape = (pixels.shape[1], pixels.shape[2], count)
    if kind == "LABELMAP":
        whole = np.full(shape, int(dataset.get("PixelPaddingValue") or 0), pixels.dtype)
        for k, plane in zip(slices, pixels, strict=True):
            whole[:, :, k] = plane
        background = {0, int(dataset.get("PixelPaddingValue") or 0)}
        numbers = [number for number in sorted(labels) if number not in background]
        return [Segment(number, labels[number], Volume(whole == number, grid_affine)) for number in numbers]
    threshold = int(dataset.get("MaximumFractionalValue") or 255) / 2 if kind == "FRACTIONAL" else 0.5
    masks: dict[int, NDArray[np.bool_]] = {number: np.zeros(shape, bool) for number in labels}
    for header, k, plane in zip(headers, slices, pixels, strict=True):
        number = int(header.get("ReferencedSegmentNumber") or 0)
        if number not in masks:
            raise Refusal("region.unreadable", f"A frame belongs to segment {number}, which is not described.")
        masks[number][:, :, k] |= plane >= threshold
    return [Segment(number, labels[number], Volume(masks[number], grid_affine)) for number in sorted(masks)]


def _slices(planes: Sequence[Plane], header: Dataset) -> tuple[list[int], FloatArray, int]:
    """The slice of every frame, the affine of the grid (RAS) and its number of slices."""
    first = planes[0]
    normal = np.cross(first.along_row, first.down_column)
    if any(np.abs(plane.along_row - first.along_row).max() > 1e-3 for plane in planes):
        raise Refusal("region.unreadable", "The frames of the segmentation do not lie in parallel planes.")
    positions = np.array([plane.position_mm for plane in planes])
    depth_mm = positions @ normal
    steps = np.diff(np.sort(depth_mm))
    steps = steps[steps > _OFF_GRID_MM]
    written = float(header.get("SpacingBetweenSlices") or header.get("SliceThickness") or 0)
    spacing_mm = float(np.median(steps[steps < 1.5 * steps.min()])) if len(steps) else written
    if spacing_mm <= 0:
        raise Refusal("geometry.missing", "A segmentation of one slice does not say how thick it is.")
    length_mm = float(np.ptp(depth_mm))
    if length_mm / spacing_mm > _MOST_SLICES:
        raise Refusal("region.unreadable", "The frames of the segmentation lie too far apart for one volume.")
    if len(steps):  # one step is as rough as the positions are; all of them together are not
        spacing_mm = length_mm / round(length_mm / spacing_mm)
    start = int(depth_mm.argmin())
    slices = np.rint((depth_mm - depth_mm[start]) / spacing_mm).astype(int)
    lps = np.eye(4)
    lps[:3, 0] = first.along_row * first.column_spacing_mm
    lps[:3, 1] = first.down_column * first.row_spacing_mm
    lps[:3, 2] = normal * spacing_mm
    lps[:3, 3] = positions[start]
    return slices.tolist(), LPS_TO_RAS @ lps, int(slices.max()) + 1
