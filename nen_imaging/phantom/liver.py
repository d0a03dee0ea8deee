"""The liver of a digital patient: its shape under the right dome, and the two trees of vessels inside."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from nen_imaging.phantom.canvas import Canvas, Mask, smooth_minimum
from nen_imaging.phantom.organs import Organ
from nen_imaging.volume import FloatArray

LEAF_RADIUS_MM = 1.6
GROWTH = 0.40
"""Exponent of a vessel's radius over the leaves it feeds; Murray's law has 1/3."""


def liver_shape(
    canvas: Canvas,
    spine_y: float,
    room: Mask,
    cavity_depth: FloatArray,
    diaphragm: FloatArray,
    rng: np.random.Generator,
    volume_ml: float,
) -> Mask:
    """A liver of the wanted volume, in one piece.

    Ribs and diaphragm bound it outside, `room` says where nothing else is. Its visceral surface, which rises from
    the right tip to the left lobe, is moved until the volume is right, as a liver grows where it finds room.
    """
    capsule = smooth_minimum(cavity_depth - 1, 0.8 * (diaphragm - 3 - canvas.z), 10)
    visceral = _visceral_depth(canvas, spine_y, rng)
    voxel_ml = float(np.prod([axis[1] - axis[0] for axis in canvas.lattice.axes_mm])) / 1000
    low, high = -80.0, 80.0
    for _ in range(12):
        offset = (low + high) / 2
        coarse = smooth_minimum(capsule[::2, ::2, ::2], visceral[::2, ::2, ::2] + offset, 14) > 0
        coarse &= room[::2, ::2, ::2]
        low, high = (low, offset) if coarse.sum() * 8 * voxel_ml > volume_ml else (offset, high)
    return _largest_part(room & (smooth_minimum(capsule, visceral + offset, 14) > 0))


def _visceral_depth(canvas: Canvas, spine_y: float, rng: np.random.Generator) -> FloatArray:
    """Distance (mm, positive inside) to the surface that faces stomach, kidney and gut."""
    x, y, z = canvas.x, canvas.y, canvas.z
    slope, left_mm = rng.uniform(0.6, 0.85), rng.uniform(-75, -35)
    medial = np.clip((80 - x) / 60, 0, 1)
    underside = -105 + slope * np.clip(100 - x, 0, None) + 0.35 * medial * np.clip(30 - y, 0, 70)
    hilum = 22 * np.exp(-(((x - 32) / 16) ** 2 + ((y - spine_y - 70) / 18) ** 2))
    rear = spine_y + 52 + 0.7 * np.clip(-x, 0, None) - 2.2 * np.clip(x - 30, 0, None)
    depth = smooth_minimum(0.85 * (z - underside - hilum), 0.8 * (y - rear), 16)
    depth = smooth_minimum(depth, x - left_mm, 20)
    fissure = 9 * np.exp(-(((x - 8) / 5) ** 2)) * np.clip((underside + 45 - z) / 30, 0, 1)  # of the round ligament
    return depth - fissure + 5 * canvas.lattice.random_field(rng, 32.0)


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
    hilum = np.array([30, spine_y + 66, -28.0])
    trunk: list[ArrayLike] = [(2, spine_y + 56, -78), (14, spine_y + 60, -58), hilum]
    around = liver | (canvas.organs == Organ.FAT)
    canvas.paint(Organ.PORTAL_VEIN, canvas.tube(trunk, [6.5, 7, 6.5]) & around)
    outflow = np.array([22, spine_y + 52, float(np.quantile(places[:, 2], 0.97)) - 8])
    for vein, root, leaves in ((Organ.PORTAL_VEIN, hilum, 34), (Organ.HEPATIC_VEIN, outflow, 26)):
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
