"""The liver of a digital patient: its shape under the right dome, and the two trees of vessels inside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from nen_imaging.phantom.canvas import Canvas, Mask, smooth_minimum
from nen_imaging.phantom.organs import Organ
from nen_imaging.phantom.shape_model import UNIT_ML, LiverShape
from nen_imaging.volume import FloatArray

LEAF_RADIUS_MM = 1.25
TAKEN = 1.055
"""How much larger a liver is before kidney, cava and diaphragm take their place from it."""
GROWTH = 0.40
"""Exponent of a vessel's radius over the leaves it feeds; Murray's law has 1/3."""


def liver_mask(canvas: Canvas, cavity_depth: FloatArray, dome_mm: float, shape: LiverShape, volume_ml: float) -> Mask:
    """A liver of the wanted volume, in one piece: against the right wall and the back, its top at the dome's height.

    The wall moulds it; it is enlarged until the volume is right.
    """
    walls = _Walls.of(canvas, cavity_depth)
    step = max(1, round(4.0 / float(np.diff(canvas.lattice.axes_mm[0][:2])[0])))
    coarse = canvas.every(step)
    low, high = 0.5, 1.6 * float(np.cbrt(volume_ml / UNIT_ML))
    for _ in range(10):
        scale = (low + high) / 2
        inside = _moulded(
            coarse, cavity_depth[::step, ::step, ::step], walls.centre_mm(shape, scale, dome_mm), shape, scale
        )
        is_larger = inside.sum() * coarse.voxel_volume_ml > TAKEN * volume_ml
        low, high = (low, scale) if is_larger else (scale, high)
    return _largest_part(_moulded(canvas, cavity_depth, walls.centre_mm(shape, scale, dome_mm), shape, scale))


@dataclass(frozen=True)
class _Walls:
    """The inner side of the trunk where the liver lies: right, back and front, in mm."""

    right: float
    back: float
    front: float

    @classmethod
    def of(cls, canvas: Canvas, cavity_depth: FloatArray) -> _Walls:
        inside = (cavity_depth > 0) & (np.abs(canvas.z) < 40)
        beside_spine = inside & (np.abs(canvas.x - 65) < 15)
        return cls(
            float(canvas.x[inside].max()), float(canvas.y[beside_spine].min()), float(canvas.y[beside_spine].max())
        )

    def centre_mm(self, shape: LiverShape, scale: float, dome_mm: float) -> FloatArray:
        """Where the centroid goes; a liver deeper than the trunk is pushed in at both sides."""
        lowest, highest = (scale * end for end in shape.extent_mm)
        y = self.back - lowest[1] - 2
        excess = max(0.0, y + float(highest[1]) - self.front)
        return np.array([self.right - highest[0] + 3, y - 0.5 * excess, dome_mm - highest[2]])


def _moulded(canvas: Canvas, cavity_depth: FloatArray, centre_mm: FloatArray, shape: LiverShape, scale: float) -> Mask:
    lowest, highest = (scale * end for end in shape.extent_mm)
    box = canvas.box(centre_mm + lowest, centre_mm + highest)
    offset = np.stack([c[box] - np.float32(m) for c, m in zip((canvas.x, canvas.y, canvas.z), centre_mm, strict=True)])
    mask = np.zeros(canvas.organs.shape, bool)
    mask[box] = smooth_minimum(shape.depth_mm(offset, scale), cavity_depth[box] - 1, 8) > 0
    return mask


def _largest_part(mask: Mask) -> Mask:
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    return parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))


def add_hepatic_vessels(canvas: Canvas, spine_y: float, rng: np.random.Generator) -> None:
    """Paint the portal vein with its tree, and the hepatic veins, into the liver on the canvas."""
    liver = canvas.organs == Organ.LIVER
    places = np.stack([c[liver] for c in (canvas.x, canvas.y, canvas.z)], axis=1).astype(float)
    if not len(places):
        return
    middle, highest = places.mean(axis=0), float(np.quantile(places[:, 2], 0.97))
    wanted = np.array([30, 0.5 * (spine_y + 60) + 0.5 * middle[1], middle[2] - 22])
    hilum = places[np.argmin(np.linalg.norm(places - wanted, axis=1))]
    trunk: list[ArrayLike] = [(2, spine_y + 52, hilum[2] - 50), (10, spine_y + 58, hilum[2] - 26), hilum]
    around = liver | (canvas.organs == Organ.FAT)
    canvas.paint(Organ.PORTAL_VEIN, canvas.tube(trunk, [6.5, 7, 6.5]) & around)
    outflow = np.array([22, spine_y + 52, highest - 12])
    for vein, root, leaves in ((Organ.PORTAL_VEIN, hilum, 75), (Organ.HEPATIC_VEIN, outflow, 50)):
        for start, end, radius in vessel_tree(root, places[rng.integers(len(places), size=leaves)]):
            canvas.paint(vein, canvas.tube([start, end], [radius, radius]) & liver)


def vessel_tree(root: FloatArray, leaves: FloatArray) -> list[tuple[FloatArray, FloatArray, float]]:
    """Segments (start, end, radius in mm) that join every leaf to the root by the nearest way already there."""
    nodes, parents = [np.asarray(root, float)], [-1]
    ends = []
    for leaf in leaves[np.argsort(np.linalg.norm(leaves - root, axis=1))]:
        nearest = int(np.argmin(np.linalg.norm(np.array(nodes) - leaf, axis=1)))
        start = nodes[nearest]
        for share in np.linspace(0, 1, 2 + int(np.linalg.norm(leaf - start) // 14))[1:]:
            nodes.append(start + share * (leaf - start))
            parents.append(nearest)
            nearest = len(nodes) - 1
        ends.append(nearest)
    fed = np.zeros(len(nodes))
    for end in ends:
        node = end
        while node >= 0:
            fed[node] += 1
            node = parents[node]
    return [(nodes[parents[n]], nodes[n], LEAF_RADIUS_MM * fed[n] ** GROWTH) for n in range(1, len(nodes))]
