"""Build the array of a series from its slices: stack them, straighten a tilted gantry, even out uneven slices."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from nen_imaging.dicom.geometry import Arrangement
from nen_imaging.volume import Array, FloatArray, Volume


def build_volume(slices: list[Array | None], arrangement: Arrangement, *, outside: float) -> Volume:
    """The volume of a series on a right-angled, even grid.

    Parameters
    ----------
    slices
        Pixels of each slice, indexed (i, j) = (column, row), in the order that `arrange` was given. **Emptied** on the
        way (each becomes None), so that slices and volume never lie in memory together.
    arrangement
        Order and grid.
    outside
        Value of what no slice saw.
    """
    affine = arrangement.affine.copy()
    margins = np.zeros((2, 2), int)
    shift_px = np.zeros((len(arrangement.order), 2))
    if arrangement.tilted:
        shift_px = arrangement.shift_mm / np.linalg.norm(affine[:3, :2], axis=0)
        margins = np.array([np.ceil(-shift_px.min(axis=0)), np.ceil(shift_px.max(axis=0))]).astype(int)  # before, after
        affine[:3, 3] -= affine[:3, :2] @ margins[0]
    first = next(pixels for pixels in slices if pixels is not None)
    shape = np.array(first.shape) + margins.sum(axis=0)
    array = np.empty((*shape, len(arrangement.order)), first.dtype, order="F")
    for k, index in enumerate(arrangement.order):
        pixels = slices[index]
        assert pixels is not None
        slices[index] = None
        array[:, :, k] = _moved(pixels, shift_px[k], margins, outside) if arrangement.tilted else pixels
    slices.clear()
    if arrangement.uneven:
        array = _interpolated(array, arrangement.depth_mm, arrangement.slice_spacing_mm)
    return Volume(array, affine)


def _moved(pixels: Array, shift_px: FloatArray, margins: np.ndarray, outside: float) -> Array:
    """A slice at its place in the wider, straight stack; linear between pixels."""
    wide = np.pad(pixels.astype(np.float32), margins.T, constant_values=outside)
    moved = ndimage.shift(wide, shift_px, order=1, cval=outside)
    return _as_type(moved, pixels.dtype)


def _interpolated(array: Array, depth_mm: FloatArray, spacing_mm: float) -> Array:
    """Slices at even depths, each linear between the two that lie around it."""
    depths = np.arange(0.0, depth_mm[-1] + 1e-6, spacing_mm)
    above = np.clip(np.searchsorted(depth_mm, depths, side="right"), 1, len(depth_mm) - 1)
    weight = ((depths - depth_mm[above - 1]) / (depth_mm[above] - depth_mm[above - 1])).astype(np.float32)
    result = np.empty((*array.shape[:2], len(depths)), array.dtype, order="F")
    for k, (upper, share) in enumerate(zip(above, weight, strict=True)):
        mixed = array[:, :, upper - 1] * (1 - share) + array[:, :, upper] * share
        result[:, :, k] = _as_type(mixed, array.dtype)
    return result


def _as_type(values: FloatArray, dtype: np.dtype) -> Array:
    return np.rint(values).astype(dtype) if np.issubdtype(dtype, np.integer) else values.astype(dtype)
