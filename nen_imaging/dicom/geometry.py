"""Where the slices of a series lie: order, gaps, duplicates, tilt, and the affine; no pixels are touched here.

DICOM gives each slice the place of its first pixel ``p`` (ImagePositionPatient), the direction ``r`` along a row (in
which the column index grows), the direction ``c`` down a column (in which the row index grows), and PixelSpacing as
(between rows, between columns). With ``n = r x c`` and slices sorted along ``n`` the point of array index (i, j, k) is

    p_0 + i * column_spacing * r + j * row_spacing * c + k * slice_spacing * n        (LPS, mm)

for arrays indexed (i, j, k) = (column, row, slice), as `Volume` has them. These are the columns of the affine; RAS
differs in the sign of its first two rows. The handedness is always that of ``n = r x c``: right-handed in LPS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset

from nen_imaging.contract import Reason, Refusal
from nen_imaging.volume import LPS_TO_RAS, FloatArray

MINIMUM_SLICES = 3
_SAME_POSITION_MM = 0.01
_COSINE_TOLERANCE = 0.02  # headers round direction cosines; beyond it two slices do not lie in one stack
_PIXEL_SPACING_TOLERANCE = 1e-3  # relative
_LARGEST_STEP = 2.5  # in slices: a larger step means slices are missing, whatever its size


@dataclass(frozen=True)
class Plane:
    """Where one slice lies: place of its first pixel (LPS, mm), directions along a row and down a column, sizes."""

    position_mm: FloatArray
    along_row: FloatArray
    down_column: FloatArray
    row_spacing_mm: float
    column_spacing_mm: float
    rows: int
    columns: int


@dataclass(frozen=True)
class Arrangement:
    """How to build a volume from slices.

    ``order`` holds the slices to take, by their place in what was given, along the normal. ``depth_mm`` is where each
    lies along it, ``shift_mm`` how far each is moved in its plane (along rows, down columns) against a right-angled
    stack; both relative to the first. ``slice_spacing_mm`` is that of the even grid, whose affine (RAS) is ``affine``.
    """

    order: tuple[int, ...]
    affine: FloatArray
    depth_mm: FloatArray
    shift_mm: FloatArray
    slice_spacing_mm: float
    tilted: bool
    uneven: bool
    reasons: tuple[Reason, ...]


def plane_of(dataset: Dataset) -> Plane:
    """The plane of a single-frame image.

    Raises
    ------
    Refusal
        ``geometry.missing`` without position, orientation or spacing; ``geometry.inconsistent`` for directions that
        are far from right-angled unit vectors.
    """
    needed = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns")
    missing = [keyword for keyword in needed if not dataset.get(keyword)]
    if missing:
        raise Refusal("geometry.missing", f"A slice carries no {' and no '.join(missing)}.")
    try:
        position, cosines = (
            _numbers(dataset, "ImagePositionPatient", 3),
            _numbers(dataset, "ImageOrientationPatient", 6),
        )
        row_spacing_mm, column_spacing_mm = _numbers(dataset, "PixelSpacing", 2)
    except (TypeError, ValueError) as error:
        raise Refusal("geometry.missing", "A slice's position, orientation or spacing holds no numbers.") from error
    if row_spacing_mm <= 0 or column_spacing_mm <= 0:
        raise Refusal("geometry.missing", f"PixelSpacing is {row_spacing_mm:g} x {column_spacing_mm:g} mm.")
    along_row, down_column = _right_angled(cosines[:3], cosines[3:])
    return Plane(
        position, along_row, down_column, float(row_spacing_mm), float(column_spacing_mm), dataset.Rows, dataset.Columns
    )


def arrange(
    planes: Sequence[Plane],
    contents: Sequence[object],
    *,
    spacing_tolerance_mm: float = 0.1,
    resample_uneven: bool = False,
) -> Arrangement:
    """Order the slices of one series and find the grid they stand for.

    Parameters
    ----------
    planes
        One per slice, in any order.
    contents
        Something equal for slices of equal pixels (a digest), in the same order.
    spacing_tolerance_mm
        Largest distance of a slice from its place on the even grid.
    resample_uneven
        Accept uneven spacing (``Arrangement.uneven``), single missing slices among it; larger gaps are refused.

    Raises
    ------
    Refusal
        ``slices.too_few``, ``slices.conflict``, ``slices.missing``, ``slices.uneven``, ``geometry.inconsistent``.
    """
    if len(planes) < MINIMUM_SLICES:
        raise Refusal("slices.too_few", f"{len(planes)} slices; a volume needs {MINIMUM_SLICES}.")
    _require_one_stack(planes)
    first = planes[0]
    normal = np.cross(first.along_row, first.down_column)
    positions = np.array([plane.position_mm for plane in planes])
    order = np.argsort(positions @ normal, kind="stable")
    order, reasons = _without_duplicates(order, positions, normal, contents)
    if len(order) < MINIMUM_SLICES:
        raise Refusal("slices.too_few", f"{len(order)} different slices; a volume needs {MINIMUM_SLICES}.")
    sorted_positions = positions[order]
    depth_mm = (sorted_positions - sorted_positions[0]) @ normal
    spacing_mm, start_mm, uneven = _even_spacing(
        depth_mm, sorted_positions[:, 2], spacing_tolerance_mm, resample_uneven=resample_uneven
    )
    shift_mm = (sorted_positions - sorted_positions[0]) @ np.column_stack([first.along_row, first.down_column])
    tilted = _is_tilted(depth_mm, shift_mm, min(first.row_spacing_mm, first.column_spacing_mm))
    if tilted:
        angle = np.degrees(np.arctan2(np.linalg.norm(shift_mm[-1]), depth_mm[-1]))
        reasons.append(Reason("slices.tilted", f"The stack leans by {angle:.1f} degrees against its slices."))
    if uneven:
        largest_mm = float(np.diff(depth_mm).max())
        text = f"Slices were interpolated to one every {spacing_mm:.3g} mm; up to {largest_mm:.3g} mm lay between two."
        reasons.append(Reason("slices.resampled", text))
    affine = _affine(first, sorted_positions[0] + start_mm * normal, spacing_mm)
    return Arrangement(
        tuple(int(n) for n in order), affine, depth_mm, shift_mm, spacing_mm, tilted, uneven, tuple(reasons)
    )


def _affine(plane: Plane, origin_mm: FloatArray, slice_spacing_mm: float) -> FloatArray:
    """The affine of the module's docstring, in RAS."""
    lps = np.eye(4)
    lps[:3, 0] = plane.along_row * plane.column_spacing_mm
    lps[:3, 1] = plane.down_column * plane.row_spacing_mm
    lps[:3, 2] = np.cross(plane.along_row, plane.down_column) * slice_spacing_mm
    lps[:3, 3] = origin_mm
    return LPS_TO_RAS @ lps


def _require_one_stack(planes: Sequence[Plane]) -> None:
    first = planes[0]
    sizes = sorted({(plane.columns, plane.rows) for plane in planes})
    if len(sizes) > 1:
        raise Refusal("geometry.inconsistent", f"Slices have different sizes: {sizes[0]} and {sizes[1]} pixels.")
    for plane in planes:
        turned = max(
            np.abs(plane.along_row - first.along_row).max(), np.abs(plane.down_column - first.down_column).max()
        )
        if turned > _COSINE_TOLERANCE:
            raise Refusal(
                "geometry.inconsistent", "Slices have different orientations (scouts or several acquisitions)."
            )
        ratios = (plane.row_spacing_mm / first.row_spacing_mm, plane.column_spacing_mm / first.column_spacing_mm)
        if max(abs(ratio - 1) for ratio in ratios) > _PIXEL_SPACING_TOLERANCE:
            raise Refusal(
                "geometry.inconsistent",
                f"Slices have pixels of {first.column_spacing_mm:g} and {plane.column_spacing_mm:g} mm.",
            )


def _without_duplicates(
    order: np.ndarray, positions: FloatArray, normal: FloatArray, contents: Sequence[object]
) -> tuple[np.ndarray, list[Reason]]:
    depth_mm = positions[order] @ normal
    kept = [int(order[0])]
    kept_depth_mm = depth_mm[0]
    for index, depth in zip(order[1:].tolist(), depth_mm[1:], strict=True):
        if depth - kept_depth_mm > _SAME_POSITION_MM:
            kept.append(index)
            kept_depth_mm = depth
        elif contents[index] != contents[kept[-1]]:
            z = positions[index][2]
            raise Refusal("slices.conflict", f"Two slices with different pixels lie at z = {z:.2f} mm.")
    dropped = len(order) - len(kept)
    reasons = [Reason("slices.duplicate", f"{dropped} identical copies of slices were dropped.")] if dropped else []
    return np.array(kept), reasons


def _even_spacing(
    depth_mm: FloatArray, z_mm: FloatArray, tolerance_mm: float, *, resample_uneven: bool
) -> tuple[float, float, bool]:
    """Spacing and start (relative to the first slice) of the even grid, and whether slices must be interpolated.

    The grid is fitted to all slices, so that rounded positions do not add up.
    """
    number = np.arange(len(depth_mm))
    spacing_mm, start_mm = (float(value) for value in np.polyfit(number, depth_mm, 1))
    deviation_mm = np.abs(depth_mm - (start_mm + spacing_mm * number))
    if deviation_mm.max() <= tolerance_mm:
        return spacing_mm, start_mm, False
    steps_mm = np.diff(depth_mm)
    expected_mm = float(np.median(steps_mm))
    if not resample_uneven or steps_mm.max() > _LARGEST_STEP * expected_mm:
        _refuse_missing(steps_mm, expected_mm, z_mm, tolerance_mm)
    if not resample_uneven:
        raise Refusal(
            "slices.uneven",
            f"Steps between slices run from {steps_mm.min():.2f} to {steps_mm.max():.2f} mm; a slice lies up to "
            f"{deviation_mm.max():.2f} mm off an even grid (tolerance {tolerance_mm:g} mm).",
        )
    return expected_mm, 0.0, True


def _refuse_missing(steps_mm: FloatArray, expected_mm: float, z_mm: FloatArray, tolerance_mm: float) -> None:
    """Refuse a series with gaps: steps of about two slices or of more; where such steps are common it is uneven."""
    in_slices = steps_mm / expected_mm
    is_gap = (in_slices > _LARGEST_STEP) | (np.abs(in_slices - 2) <= max(0.1, tolerance_mm / expected_mm))
    if not is_gap.any() or (is_gap.mean() > 0.25 and in_slices.max() <= _LARGEST_STEP):
        return
    parts = []
    lost = 0
    for gap in np.flatnonzero(is_gap):
        count = max(1, round(in_slices[gap]) - 1)
        number = gap + 2 + lost  # counted from 1, the lost ones included
        which = f"slice {number} missing" if count == 1 else f"slices {number}-{number + count - 1} missing"
        parts.append(f"{which}: gap of {steps_mm[gap]:.1f} mm after z={z_mm[gap]:.1f}, expected {expected_mm:.1f} mm")
        lost += count
    more = f"; {len(parts) - 3} more gaps" if len(parts) > 3 else ""
    raise Refusal("slices.missing", "; ".join(parts[:3]) + more)


def _is_tilted(depth_mm: FloatArray, shift_mm: FloatArray, pixel_mm: float) -> bool:
    """Whether slices are moved in their planes by more than half a pixel over the stack.

    Raises Refusal ``geometry.inconsistent`` where they are not moved evenly, as a tilted gantry does it.
    """
    if np.abs(shift_mm).max() <= pixel_mm / 2:
        return False
    off_line_mm = np.abs(shift_mm - np.outer(depth_mm, shift_mm[-1] / depth_mm[-1])).max()
    if off_line_mm > max(1.0, pixel_mm):
        raise Refusal("geometry.inconsistent", f"Slices are moved sideways by up to {off_line_mm:.1f} mm, not evenly.")
    return True


def _right_angled(along_row: FloatArray, down_column: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Unit vectors at right angles, nearest to what the header rounds."""
    lengths = np.linalg.norm(along_row), np.linalg.norm(down_column)
    if max(abs(length - 1) for length in lengths) > _COSINE_TOLERANCE or (
        abs(along_row @ down_column) > _COSINE_TOLERANCE
    ):
        raise Refusal("geometry.inconsistent", "ImageOrientationPatient holds no two unit vectors at right angles.")
    u, _, vt = np.linalg.svd(np.column_stack([along_row, down_column]), full_matrices=False)
    exact = u @ vt
    return exact[:, 0], exact[:, 1]


def _numbers(dataset: Dataset, keyword: str, count: int) -> FloatArray:
    values = np.array([float(value) for value in dataset[keyword].value])
    if values.shape != (count,) or not np.isfinite(values).all():
        raise ValueError(f"{keyword} holds {values.tolist()}")
    return values
