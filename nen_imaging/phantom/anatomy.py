"""The body of a digital patient: every organ of the upper abdomen at its place, drawn from a seed.

Sizes and places are those of textbooks of radiological anatomy; ranges cover slim to obese adults.
Coordinates are RAS mm with the origin in the middle of the trunk, at the height of the heart's apex.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nen_imaging.phantom.abdomen import (
    paint_gallbladder,
    paint_great_vessels,
    paint_kidneys,
    paint_pancreas,
    paint_spleen,
)
from nen_imaging.phantom.build import Build
from nen_imaging.phantom.canvas import Canvas, Lattice, Mask
from nen_imaging.phantom.chest import LUNG_GAP_MM, height_of_diaphragm, over_the_liver, paint_chest
from nen_imaging.phantom.gut import paint_gut
from nen_imaging.phantom.liver import add_hepatic_vessels, liver_mask
from nen_imaging.phantom.organs import LIVER_ORGANS, Organ
from nen_imaging.phantom.ranges import GENERAL, Ranges
from nen_imaging.phantom.shape_model import LiverShape
from nen_imaging.phantom.trunk import (
    depth_in_cavity,
    depth_under_skin,
    paint_ribs,
    paint_spine,
    paint_table,
    paint_trunk,
)
from nen_imaging.volume import Volume


@dataclass(frozen=True)
class Anatomy:
    """A patient without disease: codes of `Organ` (uint8, RAS), and the liver with the vessels inside it."""

    organs: Volume
    liver: Volume
    build: Build
    seed: int
    ranges: Ranges = GENERAL
    """From which the patient, the lesions and the scans are drawn."""

    @property
    def lattice(self) -> Lattice:
        """The lattice that it was painted on, from its (axis-parallel) affine."""
        affine = self.organs.affine
        x, y, z = (affine[a, 3] + affine[a, a] * np.arange(n) for a, n in enumerate(self.organs.shape))
        return Lattice((x, y, z))

    @property
    def liver_volume_ml(self) -> float:
        return float(self.liver.array.sum()) * self.liver.voxel_volume_ml


def digital_patient(
    seed: int,
    spacing_mm: float | tuple[float, float, float] = 3.0,
    *,
    size_mm: tuple[float, float, float] = (420.0, 330.0, 300.0),
    lowest_mm: float = -200.0,
    liver_volume_ml: float | None = None,
    ranges: Ranges = GENERAL,
) -> Anatomy:
    """Draw a patient: the same one for the same seed.

    The body keeps its shape at every voxel size. Fine vessels follow the grid, and a field of view that cuts the
    liver makes it fill what is left: crop the volumes instead, to see a truncated liver.

    Parameters
    ----------
    seed
        Of everything that is drawn.
    spacing_mm
        Voxel size, one number or one along x, y and z.
    size_mm
        Extent of the field of view; it is centred on the trunk in x and y.
    lowest_mm
        Height of its lower end. The liver lies between about -170 and +55 mm.
    liver_volume_ml
        Drawn unless given.
    ranges
        From which everything is drawn.
    """
    rng = np.random.default_rng([seed, 1])
    spacing = np.broadcast_to(np.asarray(spacing_mm, float), 3)
    corner = np.array([-size_mm[0] / 2, -size_mm[1] / 2 - 12, lowest_mm])  # 12 mm lower: the table is in view
    counts = np.maximum(1, np.rint(np.array(size_mm) / spacing)).astype(int)
    x, y, z = (c + (np.arange(n) + 0.5) * s for c, n, s in zip(corner, counts, spacing, strict=True))
    build = Build.drawn(rng)
    own = np.random.default_rng([seed, 5])
    canvas = Canvas.empty(Lattice((x, y, z)), rng, own.uniform(*ranges.bend_mm))
    volume_ml = liver_volume_ml or own.uniform(*ranges.liver_volume_ml)
    liver_shape = LiverShape.drawn(own, ranges)
    build = build.with_room_for(liver_shape, volume_ml)
    shape = _paint_body(canvas, build, rng, liver_shape, volume_ml)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = x[0], y[0], z[0]
    liver = shape & np.isin(canvas.organs, LIVER_ORGANS)
    return Anatomy(Volume(canvas.organs, affine), Volume(liver, affine), build, seed, ranges)


def _paint_body(
    canvas: Canvas, build: Build, rng: np.random.Generator, liver_shape: LiverShape, liver_volume_ml: float
) -> Mask:
    """Paint every organ, later ones over earlier ones, and return the shape that the liver had."""
    skin_depth = depth_under_skin(canvas, build)
    cavity_depth = depth_in_cavity(canvas, build, skin_depth)
    liver = liver_mask(canvas, cavity_depth, build.dome, liver_shape, liver_volume_ml)
    diaphragm = over_the_liver(canvas, height_of_diaphragm(canvas, build, rng), liver)
    paint_trunk(canvas, build, skin_depth, cavity_depth, rng)
    paint_spine(canvas, build)
    paint_ribs(canvas, build, cavity_depth)
    inside = cavity_depth > 0
    inside &= ~np.isin(canvas.organs, (Organ.BONE, Organ.CORTEX, Organ.DISC))
    paint_chest(canvas, build, inside & (canvas.z > diaphragm), diaphragm, rng)
    canvas.paint(Organ.MUSCLE, inside & (np.abs(canvas.z - diaphragm + 0.5 * LUNG_GAP_MM) < 0.5 * LUNG_GAP_MM))
    abdomen = inside & (canvas.z < diaphragm - LUNG_GAP_MM)
    paint_gut(canvas, build, abdomen & (cavity_depth > 3), rng)
    paint_spleen(canvas, build, abdomen, rng)
    liver &= abdomen & ~paint_kidneys(canvas, build, abdomen, rng)
    canvas.paint(Organ.LIVER, liver)
    paint_pancreas(canvas, build, abdomen, rng)
    paint_great_vessels(canvas, build, inside)
    paint_gallbladder(canvas, liver, rng)
    add_hepatic_vessels(canvas, build.spine_y, rng)
    paint_table(canvas, build)
    return liver
