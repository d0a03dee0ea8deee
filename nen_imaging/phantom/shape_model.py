"""Livers as people have them: a mean shape and its main modes of variation, drawn at any volume.

The model (``liver_shapes.npz``, see `fit_shapes`) holds signed distances of livers of one litre and a half about their
centroids, on a coarse grid in RAS mm. It was fitted to livers of LiTS: for non-commercial use only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Self

import numpy as np
from scipy import ndimage

from nen_imaging.phantom.ranges import Ranges
from nen_imaging.volume import FloatArray

FILE = Path(__file__).with_name("liver_shapes.npz")
UNIT_ML = 1500.0
STEP_MM = 7.0
REACH_MM = (133.0, 112.0, 112.0)  # of the grid to both sides of the centroid
_FINER = 2  # times, so that linear interpolation is smooth enough
_LIMIT = 1.6  # deviations of a mode


@dataclass(frozen=True)
class LiverShape:
    """The signed distance of one liver at unit volume, on a grid about its centroid."""

    field: FloatArray
    step_mm: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, ranges: Ranges) -> Self:
        """Draw the first mode, which tells kinds of livers apart, evenly, the others from a normal distribution."""
        mean, modes = _model()
        weights = 0.9 * np.clip(rng.standard_normal(len(modes)), -_LIMIT, _LIMIT)
        weights[0] = rng.uniform(*ranges.liver_mode)
        shape = [2 * round(reach / STEP_MM) + 1 for reach in REACH_MM]
        coarse = (mean + np.tensordot(weights.astype(np.float32), modes, axes=1)).reshape(shape)
        fine = ndimage.zoom(coarse, [(_FINER * (n - 1) + 1) / n for n in shape], order=3, grid_mode=False)
        return cls(fine.astype(np.float32), STEP_MM / _FINER)

    @cached_property
    def extent_mm(self) -> tuple[FloatArray, FloatArray]:
        """The lowest and highest x, y, z that are inside, relative to the centroid."""
        inside = np.argwhere(self.field > 0)
        middle = (np.array(self.field.shape) - 1) / 2
        return (inside.min(axis=0) - middle) * self.step_mm, (inside.max(axis=0) - middle) * self.step_mm

    def depth_mm(self, offset_mm: FloatArray, scale: float) -> FloatArray:
        """Signed distance (positive inside) of offsets ``(3, ...)`` from the centroid, of the liver at a scale."""
        middle = (np.array(self.field.shape, np.float32) - 1) / 2
        index = [axis / np.float32(scale * self.step_mm) + m for axis, m in zip(offset_mm, middle, strict=True)]
        return np.float32(scale) * ndimage.map_coordinates(self.field, index, np.float32, order=1, mode="nearest")


@cache
def _model() -> tuple[FloatArray, FloatArray]:
    with np.load(FILE) as content:
        modes = content["modes"].astype(np.float32) * content["unit"][:, None]
        return content["mean"].astype(np.float32), modes
