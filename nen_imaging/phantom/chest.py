"""What lies above the diaphragm of a digital patient, and the diaphragm itself."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from nen_imaging.phantom.build import Build
from nen_imaging.phantom.canvas import Canvas, Mask
from nen_imaging.phantom.organs import Organ
from nen_imaging.phantom.trunk import column
from nen_imaging.volume import FloatArray

LUNG_GAP_MM = 2.0
"""From the liver's top to the lung: the diaphragm's thickness."""


def height_of_diaphragm(canvas: Canvas, build: Build, rng: np.random.Generator) -> FloatArray:
    """Height of the diaphragm over every point: domes that fall to the ribs, deepest behind."""
    right = ((canvas.x - 70) / 95) ** 2 + ((canvas.y - 15) / 105) ** 2
    left = ((canvas.x + 70) / 95) ** 2 + ((canvas.y - 15) / 105) ** 2
    middle = (canvas.x / 90) ** 2 + ((canvas.y - 40) / 75) ** 2  # the heart rests here
    lower_left, lower_middle = rng.uniform(5, 20), rng.uniform(14, 24)
    domes = np.maximum(build.dome - 90 * right**1.3, build.dome - lower_left - 90 * left**1.3)
    return np.maximum(domes, build.dome - lower_middle - 90 * middle**1.3)


def over_the_liver(canvas: Canvas, diaphragm: FloatArray, liver: Mask) -> FloatArray:
    """The diaphragm lies on the liver where there is one, and meets its usual height around it."""
    top = np.where(liver, canvas.z, -np.inf).max(axis=2)
    here = np.isfinite(top)
    spacing_mm = [float(axis[1] - axis[0]) for axis in canvas.lattice.axes_mm[:2]]
    usual = diaphragm.mean(axis=2)
    rise = np.where(here, top + LUNG_GAP_MM - usual, 0).astype(np.float32)
    sigma = 3.0 / np.array(spacing_mm)
    smooth = ndimage.gaussian_filter(rise, sigma) / np.maximum(ndimage.gaussian_filter(here * 1.0, sigma), 0.05)
    nearby = ndimage.gaussian_filter(here.astype(np.float32), 2 * sigma)
    rise = np.where(here, np.maximum(smooth, rise), smooth * np.clip(2 * nearby, 0, 1))
    return diaphragm + rise.astype(np.float32)[:, :, None]


def paint_chest(canvas: Canvas, build: Build, chest: Mask, diaphragm: FloatArray, rng: np.random.Generator) -> None:
    """Lungs with vessels, mediastinum, and the heart in its fat, resting on the diaphragm."""
    canvas.paint(Organ.LUNG, chest)
    branching = canvas.lattice.random_field(rng, 7.0)
    canvas.paint(Organ.LUNG_VESSEL, chest & (branching > 2.7))
    middle = column(canvas, (-3, build.spine_y + 38, 0), 30, 24)
    canvas.paint(Organ.FAT, chest & middle)
    floor = build.dome - 25
    centre = np.array([-22 + rng.normal(0, 5), build.half_depth - build.fat - build.wall - 52, floor + 48])
    tilt = Rotation.from_euler("zy", [25, 20], degrees=True).as_matrix()
    semi_axes = np.array([68, 50, 54]) * rng.uniform(0.9, 1.1)
    above = canvas.z > diaphragm + 1
    canvas.paint(Organ.FAT, canvas.ellipsoid(centre, semi_axes + 6, tilt) & above & chest)
    canvas.paint(Organ.MUSCLE, canvas.ellipsoid(centre, semi_axes, tilt) & above & chest)
    canvas.paint(
        Organ.HEART, canvas.ellipsoid(np.add(centre, (14, -2, 0)), semi_axes * [0.6, 0.78, 0.8], tilt) & above & chest
    )
    canvas.paint(
        Organ.HEART, canvas.ellipsoid(np.add(centre, (-22, 0, -2)), semi_axes * [0.5, 0.62, 0.66], tilt) & above & chest
    )
    oesophagus = column(canvas, (-14, build.spine_y + 38, 0), 9, 8)
    canvas.paint(Organ.MUSCLE, chest & oesophagus)
