"""Where a part of one image lies in another, by translations over the whole of both: nothing is known beforehand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from nen_imaging.volume import FloatArray, Volume, resample

_MOSTLY_SEEN = 0.6
_EVEN = 1e-3  # of the deviation of the whole image: where it varies less there is nothing to compare


@dataclass(frozen=True)
class Place:
    """The translation (RAS mm) from one image to the other, and Pearson's correlation there."""

    shift_mm: FloatArray
    correlation: float


def on_coarse_grid(
    volume: Volume, spacing_mm: float, *, outside: float, box_mm: tuple[FloatArray, FloatArray] | None = None
) -> Volume:
    """Smoothed to a coarse grid (float32) with RAS axes, over a box (its low and high corner, RAS) or the whole."""
    low, high = box_mm if box_mm is not None else bounds_mm(volume)
    shape = np.maximum(1, np.ceil((high - low) / spacing_mm)).astype(int)
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = low + spacing_mm / 2
    volume = _near(volume, low - 2 * spacing_mm, high + 2 * spacing_mm)
    width = np.maximum(0, spacing_mm / volume.spacing_mm - 1) / 2
    smooth = volume.with_array(ndimage.gaussian_filter(volume.array.astype(np.float32), width, mode="nearest"))
    i, j, k = shape.tolist()
    return resample(smooth, (i, j, k), affine, outside=outside)


def _near(volume: Volume, low: FloatArray, high: FloatArray) -> Volume:
    """The part of an image that a box (RAS mm) touches; one voxel of it where they do not meet."""
    corners = np.array(np.meshgrid(*zip(low, high, strict=True), [1.0], indexing="ij")).reshape(4, -1)
    index = (np.linalg.inv(volume.affine) @ corners)[:3]
    last = np.array(volume.shape) - 1
    start = np.clip(np.floor(index.min(axis=1)), 0, last).astype(int)
    stop = np.clip(np.ceil(index.max(axis=1)), start, last).astype(int) + 1
    return volume.cropped(start, stop)


def bounds_mm(volume: Volume) -> tuple[FloatArray, FloatArray]:
    """The low and the high corner (RAS) of the box that holds an image."""
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in volume.shape], indexing="ij")).reshape(3, -1)
    places = volume.affine[:3, :3] @ corners + volume.affine[:3, 3:]
    return places.min(axis=1), places.max(axis=1)


def best_place(model: Volume, weight: NDArray[np.floating], image: Volume, *, outside: float) -> Place:
    """The translation of ``model`` (where ``weight`` is not 0) that correlates best with ``image``.

    Both lie on grids of one spacing with RAS axes. ``outside`` stands for what the image never saw; at least 60 % of
    the weight must lie where it saw something.
    """
    total = float(weight.sum())
    values = np.where(weight > 0, model.array, 0).astype(float)
    values = weight * (values - (weight * values).sum() / total)
    deviation = float(np.sqrt((values[weight > 0] ** 2 / weight[weight > 0]).sum() / total))
    offset = image.array.astype(float) - outside  # so that what lies beyond the image counts as `outside`
    mean = _slid(offset, weight) / total
    spread = np.sqrt(np.maximum(0, _slid(offset**2, weight) / total - mean**2))
    seen = _slid(np.ones(image.shape), weight) / total
    usable = (seen >= _MOSTLY_SEEN) & (spread > _EVEN * max(float(offset.std()), 1e-12))
    scores = np.full(spread.shape, -1.0)
    scores[usable] = _slid(offset, values)[usable] / total / (spread[usable] * max(deviation, 1e-12))
    best = np.array(np.unravel_index(int(scores.argmax()), scores.shape))
    step = best - (np.array(model.shape) - 1)
    shift_mm = image.affine[:3, :3] @ step + image.affine[:3, 3] - model.affine[:3, 3]
    return Place(shift_mm, float(scores.max()))


def _slid(image: NDArray[np.floating], model: NDArray[np.floating]) -> NDArray[np.floating]:
    """Sums of products for every translation at which both overlap; shape image + model - 1."""
    return np.asarray(signal.correlate(image, model, mode="full", method="fft"))
