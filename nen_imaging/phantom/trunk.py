"""The trunk of a digital patient: skin, fat, muscles, spine, ribs, and the table it lies on."""

from __future__ import annotations

import numpy as np

from nen_imaging.phantom.build import Build
from nen_imaging.phantom.canvas import Canvas, Mask, smooth_minimum
from nen_imaging.phantom.organs import Organ
from nen_imaging.volume import FloatArray


def depth_under_skin(canvas: Canvas, build: Build) -> FloatArray:
    """Radial distance to the skin (positive inside): a trunk that is flat behind and narrows to the waist."""
    waist = 1 - 0.05 * np.exp(-(((canvas.z + 130) / 60) ** 2))
    half_width, half_depth = build.half_width * waist, np.float32(build.half_depth)
    radius = (np.abs(canvas.x / half_width) ** 2.5 + np.abs(canvas.y / half_depth) ** 2.5) ** (1 / 2.5)
    groove = 10 * np.exp(-((canvas.x / 14) ** 2)) * (canvas.y < 0)  # along the spine
    return np.hypot(canvas.x, canvas.y) * (1 / np.maximum(radius, 1e-3) - 1) - groove


def depth_in_cavity(canvas: Canvas, build: Build, skin_depth: FloatArray) -> FloatArray:
    """Distance into the space of the organs: inside fat and wall, in front of the spine and its muscles."""
    front = np.clip(canvas.y / build.half_depth, -1, 1)
    thickness = build.wall + build.fat * (0.85 + 0.25 * front)
    spine = np.hypot(canvas.x / 1.15, canvas.y - (build.spine_y - 12)) - 38
    # Beside the spine the cavity (lung, liver, kidney) reaches back as far as the vertebra's rear edge.
    behind = canvas.y - (build.spine_y - 30) + 0.18 * np.abs(canvas.x) - 12 * (canvas.z < -20)
    depth = smooth_minimum(skin_depth - thickness, behind.astype(np.float32), 14)
    return smooth_minimum(depth, spine.astype(np.float32), 8)


def paint_trunk(
    canvas: Canvas, build: Build, skin_depth: FloatArray, cavity_depth: FloatArray, rng: np.random.Generator
) -> None:
    """Fat and skin, the layers of the wall, the muscles of the back and the psoas."""
    canvas.paint(Organ.FAT, skin_depth > 0)
    canvas.paint(Organ.SKIN, (skin_depth > 0) & (skin_depth < 2))
    thickness = build.wall * (0.8 + 0.2 * canvas.lattice.random_field(rng, 24.0))
    wall = (cavity_depth < 0) & (cavity_depth > -thickness) & (skin_depth > 4) & _is_beside_spine(canvas, build)
    canvas.paint(Organ.MUSCLE, wall)
    _part_the_layers(canvas, wall, cavity_depth, thickness, rng)
    for side in (-1, 1):
        centre = (side * 34, build.spine_y - 35, 0)
        canvas.paint(Organ.MUSCLE, column(canvas, centre, 31, 20) & (skin_depth > 0.5 * build.fat))
        lower = canvas.z < -95
        reach = np.clip((-95 - canvas.z) / 80, 0, 1) ** 0.5  # psoas
        canvas.paint(Organ.MUSCLE, column(canvas, (side * 36, build.spine_y - 2, 0), 18, 20, reach) & lower)
    linea_alba = (np.abs(canvas.x) < 3) & (canvas.y > 0) & (canvas.organs == Organ.MUSCLE) & (canvas.z < -20)
    canvas.paint(Organ.FAT, linea_alba)


def _part_the_layers(
    canvas: Canvas, wall: Mask, cavity_depth: FloatArray, thickness: FloatArray, rng: np.random.Generator
) -> None:
    """Thin fat between the wall's muscles, here and there, and gaps between those of the chest."""
    here = canvas.lattice.random_field(rng, 15.0)
    for share, more in ((0.36, 0.2), (0.66, -0.3)):
        layer = np.abs(cavity_depth + share * thickness) < 0.3 + 0.5 * np.clip(here + more, 0, 1)
        canvas.paint(Organ.FAT, wall & layer & (here > -more))
    canvas.paint(Organ.FAT, wall & (cavity_depth < -0.5 * thickness) & (here < -1.1))


def _is_beside_spine(canvas: Canvas, build: Build) -> Mask:
    return np.hypot(canvas.x / 1.15, canvas.y - (build.spine_y - 12)) > 52


def column(
    canvas: Canvas, centre: tuple[float, float, float], width: float, depth: float, scale: FloatArray | float = 1.0
) -> Mask:
    """An upright elliptic column; `scale` may shrink it with height."""
    radius2 = ((canvas.x - centre[0]) / width) ** 2 + ((canvas.y - centre[1]) / depth) ** 2
    return radius2 < np.square(scale)


def paint_spine(canvas: Canvas, build: Build) -> None:
    """Vertebrae of 34 mm: body and disc in front, then canal, arch, transverse and spinous processes."""
    phase = np.mod(canvas.z, 34)
    waist = 1 - 0.12 * np.sin(np.pi * np.clip((phase - 7) / 27, 0, 1))
    y = build.spine_y
    body = column(canvas, (0, y, 0), 23, 17, waist)
    canvas.paint(Organ.CORTEX, body)
    canvas.paint(Organ.BONE, column(canvas, (0, y, 0), 21.8, 15.8, waist))
    canvas.paint(Organ.DISC, body & (phase < 6))
    arch = column(canvas, (0, y - 26, 0), 15, 14) & (phase > 8)
    canvas.paint(Organ.CORTEX, arch & ~body)
    processes = (np.abs(canvas.y - (y - 27)) < 5) & (np.abs(canvas.x) < 38) & (np.abs(phase - 20) < 7)
    spinous = (np.abs(canvas.x) < 4) & (canvas.y < y - 30) & (canvas.y > y - 60) & (np.abs(phase - 16) < 10)
    canvas.paint(Organ.BONE, processes | spinous)
    canvas.paint(Organ.MUSCLE, column(canvas, (0, y - 25, 0), 10, 8))  # the canal and the cord in it


def paint_ribs(canvas: Canvas, build: Build, cavity_depth: FloatArray) -> None:
    """Ribs 25 mm apart that run downwards to the front, in the inner part of the wall; none around the spine."""
    angle = np.arctan2(np.abs(canvas.x), -(canvas.y - build.spine_y))  # 0 behind, pi in front
    phase = np.mod(canvas.z + 78 * angle, 25) - 12.5
    shell = cavity_depth + 0.45 * build.wall
    flat = (phase / 6.5) ** 2 + (shell / 4.0) ** 2
    margin = -75 + 60 * np.clip(angle - 1.6, 0, None)  # the costal arch rises to the sternum
    caged = (canvas.z > margin - 40) & (angle < 2.75) & _is_beside_spine(canvas, build)
    canvas.paint(Organ.CORTEX, caged & (flat < 1))
    canvas.paint(Organ.BONE, caged & (flat < 0.35))
    sternum = (np.abs(canvas.x) < 17) & (canvas.y > 0) & (np.abs(shell) < 5) & (canvas.z > 45)
    canvas.paint(Organ.BONE, sternum)


def paint_table(canvas: Canvas, build: Build) -> None:
    """A curved carbon shell under the back; a table does not bend with the patient."""
    x, y, _ = np.meshgrid(*canvas.lattice.axes_mm, indexing="ij", sparse=True)
    surface = -build.half_depth - 6 + 0.0009 * x**2
    shell = (np.abs(surface - y) < 2.5) & (np.abs(x) < 205)
    canvas.paint(Organ.TABLE, shell & (canvas.organs == Organ.AIR))
