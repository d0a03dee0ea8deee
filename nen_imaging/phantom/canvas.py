"""A grid in the patient to paint organs on, its coordinates bent by a smooth random field.

Coordinates are RAS millimetres: x to the patient's right, y to the front, z to the head. The bend and every other
random field are splines on a lattice in millimetres, so that a patient has one shape at every voxel size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nen_imaging.volume import FloatArray

Box = tuple[slice, slice, slice]
Mask = NDArray[np.bool_]


def smooth_minimum(first: FloatArray, second: FloatArray, rounding_mm: float) -> FloatArray:
    """The intersection of two signed distances (positive inside) with its edge rounded off.

    Source: the polynomial smooth minimum of Inigo Quilez.
    """
    blend = np.clip(rounding_mm - np.abs(first - second), 0, None)
    return np.minimum(first, second) - blend**2 / (4 * rounding_mm)


@dataclass(frozen=True)
class Lattice:
    """The voxel centres of a grid along x, y and z, in mm."""

    axes_mm: tuple[FloatArray, FloatArray, FloatArray]

    @property
    def shape(self) -> tuple[int, int, int]:
        x, y, z = self.axes_mm
        return len(x), len(y), len(z)

    def random_field(self, rng: np.random.Generator, knots_mm: float) -> FloatArray:
        """A smooth field with mean 0 and deviation about 1, the same for every voxel size."""
        matrices = []
        for axis in self.axes_mm:
            knots = np.arange(-REACH_MM, REACH_MM + knots_mm, knots_mm)
            matrices.append(_cubic_spline((axis[:, None] - knots[None, :]) / knots_mm))
        values = rng.standard_normal([matrix.shape[1] for matrix in matrices]).astype(np.float32)
        for matrix in matrices:  # contract one axis after the other; each result moves to the end
            values = np.tensordot(values, matrix, axes=(0, 1))
        return values * _SPLINE_GAIN


REACH_MM = 300.0
_SPLINE_GAIN = np.float32(3.0)  # a sum of independent knots under a cubic B-spline in 3-D has a deviation near 1/3


def _cubic_spline(t: FloatArray) -> FloatArray:
    t = np.abs(t)
    inner, outer = 2 / 3 - t**2 + t**3 / 2, np.clip(2 - t, 0, None) ** 3 / 6
    return np.where(t < 1, inner, outer).astype(np.float32)


@dataclass(frozen=True)
class Canvas:
    """Organ codes on a lattice, with the bent coordinates in which shapes are simple."""

    lattice: Lattice
    organs: NDArray[np.uint8]
    x: FloatArray
    y: FloatArray
    z: FloatArray
    bend_mm: float

    @classmethod
    def empty(cls, lattice: Lattice, rng: np.random.Generator, bend_mm: float = 5.0, knots_mm: float = 70.0) -> Self:
        """A canvas of zeros whose coordinates differ from the lattice's by about `bend_mm`."""
        straight = np.meshgrid(*[axis.astype(np.float32) for axis in lattice.axes_mm], indexing="ij", copy=False)
        x, y, z = (axis + np.float32(bend_mm) * lattice.random_field(rng, knots_mm) for axis in straight)
        return cls(lattice, np.zeros(lattice.shape, np.uint8), x, y, z, bend_mm)

    @property
    def voxel_volume_ml(self) -> float:
        return float(np.prod([axis[1] - axis[0] for axis in self.lattice.axes_mm])) / 1000

    def every(self, step: int) -> Self:
        """The canvas of every so manieth voxel along each axis; shapes can be tried on it, not painted."""
        x, y, z = (axis[::step] for axis in self.lattice.axes_mm)
        some = (slice(None, None, step),) * 3
        lattice = Lattice((x, y, z))
        return type(self)(lattice, self.organs[some], self.x[some], self.y[some], self.z[some], self.bend_mm)

    def paint(self, organ: int, mask: Mask) -> None:
        self.organs[mask] = organ

    def ellipsoid(self, centre_mm: ArrayLike, semi_axes_mm: ArrayLike, rotation: FloatArray | None = None) -> Mask:
        """Where an ellipsoid lies; `rotation` (3 x 3) turns its axes."""
        centre, semi_axes = np.asarray(centre_mm, float), np.asarray(semi_axes_mm, float)
        box = self.box(centre - semi_axes.max(), centre + semi_axes.max())
        mask = np.zeros(self.organs.shape, bool)
        offset = np.stack([c[box] - np.float32(m) for c, m in zip((self.x, self.y, self.z), centre, strict=True)])
        turned = offset if rotation is None else np.tensordot(rotation.T.astype(np.float32), offset, axes=1)
        mask[box] = sum((turned[a] / np.float32(semi_axes[a])) ** 2 for a in range(3)) < 1
        return mask

    def tube(self, points_mm: Sequence[ArrayLike] | FloatArray, radii_mm: Sequence[float] | FloatArray) -> Mask:
        """Where a chain of rounded cones lies, through points of given radii."""
        mask = np.zeros(self.organs.shape, bool)
        points = [np.asarray(point, float) for point in points_mm]
        for start, end, first, last in zip(points, points[1:], radii_mm, radii_mm[1:], strict=False):
            self._add_cone(mask, start, end, first, last)
        return mask

    def _add_cone(self, mask: Mask, start: FloatArray, end: FloatArray, first_mm: float, last_mm: float) -> None:
        radius = max(first_mm, last_mm)
        box = self.box(np.minimum(start, end) - radius, np.maximum(start, end) + radius)
        offset = [c[box] - np.float32(m) for c, m in zip((self.x, self.y, self.z), start, strict=True)]
        along = (end - start).astype(np.float32)
        share = sum(o * a for o, a in zip(offset, along, strict=True)) / np.float32(max(float(along @ along), 1e-6))
        share = np.clip(share, 0, 1)
        distance2 = sum((o - share * a) ** 2 for o, a in zip(offset, along, strict=True))
        mask[box] |= distance2 < (first_mm + share * np.float32(last_mm - first_mm)) ** 2

    def box(self, low_mm: FloatArray, high_mm: FloatArray) -> Box:
        """The voxels that a shape can reach, whatever the bend."""
        margin = 4 * self.bend_mm
        bounds = [
            slice(int(np.searchsorted(axis, low - margin)), int(np.searchsorted(axis, high + margin)))
            for axis, low, high in zip(self.lattice.axes_mm, low_mm, high_mm, strict=True)
        ]
        return bounds[0], bounds[1], bounds[2]
