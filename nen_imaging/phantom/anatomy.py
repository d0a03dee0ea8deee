"""The body of a digital patient: every organ of the upper abdomen at its place, drawn from a seed.

Sizes and places are those of textbooks of radiological anatomy; ranges cover slim to obese adults.
Coordinates are RAS mm with the origin in the middle of the trunk, at the height of the heart's apex.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from nen_imaging.phantom.build import Build
from nen_imaging.phantom.canvas import Canvas, Lattice, Mask, smooth_minimum
from nen_imaging.phantom.gut import paint_gut
from nen_imaging.phantom.liver import add_hepatic_vessels, liver_mask
from nen_imaging.phantom.organs import LIVER_ORGANS, Organ
from nen_imaging.phantom.ranges import GENERAL, Ranges
from nen_imaging.phantom.shape_model import LiverShape
from nen_imaging.volume import FloatArray, Volume


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
    skin_depth = _depth_under_skin(canvas, build)
    cavity_depth = _depth_in_cavity(canvas, build, skin_depth)
    liver = liver_mask(canvas, cavity_depth, build.dome, liver_shape, liver_volume_ml)
    diaphragm = _over_the_liver(canvas, _height_of_diaphragm(canvas, build, rng), liver)
    _paint_trunk(canvas, build, skin_depth, cavity_depth, rng)
    _paint_spine(canvas, build)
    _paint_ribs(canvas, build, cavity_depth)
    inside = cavity_depth > 0
    inside &= ~np.isin(canvas.organs, (Organ.BONE, Organ.CORTEX, Organ.DISC))
    _paint_chest(canvas, build, inside & (canvas.z > diaphragm), diaphragm, rng)
    canvas.paint(Organ.MUSCLE, inside & (np.abs(canvas.z - diaphragm + 1.5) < 1.5))
    abdomen = inside & (canvas.z < diaphragm - 3)
    paint_gut(canvas, build, abdomen & (cavity_depth > 3), rng)
    _paint_spleen(canvas, build, abdomen, rng)
    liver &= abdomen & ~_paint_kidneys(canvas, build, abdomen, rng)
    canvas.paint(Organ.LIVER, liver)
    _paint_pancreas(canvas, build, abdomen, rng)
    _paint_great_vessels(canvas, build, inside)
    _paint_gallbladder(canvas, liver, rng)
    add_hepatic_vessels(canvas, build.spine_y, rng)
    _paint_table(canvas, build)
    return liver


def _depth_under_skin(canvas: Canvas, build: Build) -> FloatArray:
    """Radial distance to the skin (positive inside): a trunk that is flat behind and narrows to the waist."""
    waist = 1 - 0.05 * np.exp(-(((canvas.z + 130) / 60) ** 2))
    half_width, half_depth = build.half_width * waist, np.float32(build.half_depth)
    radius = (np.abs(canvas.x / half_width) ** 2.5 + np.abs(canvas.y / half_depth) ** 2.5) ** (1 / 2.5)
    groove = 10 * np.exp(-((canvas.x / 14) ** 2)) * (canvas.y < 0)  # along the spine
    return np.hypot(canvas.x, canvas.y) * (1 / np.maximum(radius, 1e-3) - 1) - groove


def _depth_in_cavity(canvas: Canvas, build: Build, skin_depth: FloatArray) -> FloatArray:
    """Distance into the space of the organs: inside fat and wall, in front of the spine and its muscles."""
    front = np.clip(canvas.y / build.half_depth, -1, 1)
    thickness = build.wall + build.fat * (0.85 + 0.25 * front)
    spine = np.hypot(canvas.x / 1.15, canvas.y - (build.spine_y - 12)) - 38
    # Beside the spine the cavity (lung, liver, kidney) reaches back as far as the vertebra's rear edge.
    behind = canvas.y - (build.spine_y - 30) + 0.18 * np.abs(canvas.x) - 12 * (canvas.z < -20)
    depth = smooth_minimum(skin_depth - thickness, behind.astype(np.float32), 14)
    return smooth_minimum(depth, spine.astype(np.float32), 8)


def _height_of_diaphragm(canvas: Canvas, build: Build, rng: np.random.Generator) -> FloatArray:
    """Height of the diaphragm over every point: domes that fall to the ribs, deepest behind."""
    right = ((canvas.x - 70) / 95) ** 2 + ((canvas.y - 15) / 105) ** 2
    left = ((canvas.x + 70) / 95) ** 2 + ((canvas.y - 15) / 105) ** 2
    middle = (canvas.x / 90) ** 2 + ((canvas.y - 40) / 75) ** 2  # the heart rests here
    lower_left, lower_middle = rng.uniform(5, 20), rng.uniform(14, 24)
    domes = np.maximum(build.dome - 90 * right**1.3, build.dome - lower_left - 90 * left**1.3)
    return np.maximum(domes, build.dome - lower_middle - 90 * middle**1.3)


def _over_the_liver(canvas: Canvas, diaphragm: FloatArray, liver: Mask) -> FloatArray:
    """The diaphragm lies on the liver where there is one, and meets its usual height around it."""
    top = np.where(liver, canvas.z, -np.inf).max(axis=2)
    here = np.isfinite(top)
    spacing_mm = [float(axis[1] - axis[0]) for axis in canvas.lattice.axes_mm[:2]]
    usual = diaphragm.mean(axis=2)
    rise = np.where(here, top + 4 - usual, 0).astype(np.float32)
    sigma = 5.0 / np.array(spacing_mm)
    smooth = ndimage.gaussian_filter(rise, sigma) / np.maximum(ndimage.gaussian_filter(here * 1.0, sigma), 0.05)
    nearby = ndimage.gaussian_filter(here.astype(np.float32), 2 * sigma)
    rise = np.where(here, np.maximum(smooth, rise), smooth * np.clip(2 * nearby, 0, 1))
    return diaphragm + rise.astype(np.float32)[:, :, None]


def _paint_trunk(
    canvas: Canvas, build: Build, skin_depth: FloatArray, cavity_depth: FloatArray, rng: np.random.Generator
) -> None:
    canvas.paint(Organ.FAT, skin_depth > 0)
    canvas.paint(Organ.SKIN, (skin_depth > 0) & (skin_depth < 2))
    thickness = build.wall * (0.8 + 0.2 * canvas.lattice.random_field(rng, 24.0))
    wall = (cavity_depth < 0) & (cavity_depth > -thickness) & (skin_depth > 4) & _is_beside_spine(canvas, build)
    canvas.paint(Organ.MUSCLE, wall)
    for share in (0.36, 0.66):  # fat between the layers
        canvas.paint(
            Organ.FAT, wall & (np.abs(cavity_depth + share * thickness) < 0.55) & (thickness > 0.7 * build.wall)
        )
    for side in (-1, 1):
        centre = (side * 32, build.spine_y - 36, 0)
        canvas.paint(Organ.MUSCLE, _column(canvas, centre, 27, 19) & (skin_depth > 0.5 * build.fat))
        lower = canvas.z < -95
        reach = np.clip((-95 - canvas.z) / 80, 0, 1) ** 0.5  # psoas
        canvas.paint(Organ.MUSCLE, _column(canvas, (side * 36, build.spine_y - 2, 0), 18, 20, reach) & lower)
    linea_alba = (np.abs(canvas.x) < 3) & (canvas.y > 0) & (canvas.organs == Organ.MUSCLE) & (canvas.z < -20)
    canvas.paint(Organ.FAT, linea_alba)


def _is_beside_spine(canvas: Canvas, build: Build) -> Mask:
    return np.hypot(canvas.x / 1.15, canvas.y - (build.spine_y - 12)) > 52


def _column(
    canvas: Canvas, centre: tuple[float, float, float], width: float, depth: float, scale: FloatArray | float = 1.0
) -> Mask:
    """An upright elliptic column; `scale` may shrink it with height."""
    radius2 = ((canvas.x - centre[0]) / width) ** 2 + ((canvas.y - centre[1]) / depth) ** 2
    return radius2 < np.square(scale)


def _paint_spine(canvas: Canvas, build: Build) -> None:
    """Vertebrae of 34 mm: body and disc in front, then canal, arch, transverse and spinous processes."""
    phase = np.mod(canvas.z, 34)
    waist = 1 - 0.12 * np.sin(np.pi * np.clip((phase - 7) / 27, 0, 1))
    y = build.spine_y
    body = _column(canvas, (0, y, 0), 23, 17, waist)
    canvas.paint(Organ.CORTEX, body)
    canvas.paint(Organ.BONE, _column(canvas, (0, y, 0), 20.5, 14.5, waist))
    canvas.paint(Organ.DISC, body & (phase < 6))
    arch = _column(canvas, (0, y - 26, 0), 15, 14) & (phase > 8)
    canvas.paint(Organ.CORTEX, arch & ~body)
    processes = (np.abs(canvas.y - (y - 27)) < 5) & (np.abs(canvas.x) < 38) & (np.abs(phase - 20) < 7)
    spinous = (np.abs(canvas.x) < 4) & (canvas.y < y - 30) & (canvas.y > y - 60) & (np.abs(phase - 16) < 10)
    canvas.paint(Organ.BONE, processes | spinous)
    canvas.paint(Organ.MUSCLE, _column(canvas, (0, y - 25, 0), 10, 8))  # the canal and the cord in it


def _paint_ribs(canvas: Canvas, build: Build, cavity_depth: FloatArray) -> None:
    """Ribs 25 mm apart that run downwards to the front, in the inner part of the wall; none around the spine."""
    angle = np.arctan2(np.abs(canvas.x), -(canvas.y - build.spine_y))  # 0 behind, pi in front
    phase = np.mod(canvas.z + 58 * angle, 25) - 12.5
    shell = cavity_depth + 0.45 * build.wall
    flat = (phase / 6.0) ** 2 + (shell / 4.0) ** 2
    margin = -75 + 60 * np.clip(angle - 1.6, 0, None)  # the costal arch rises to the sternum
    caged = (canvas.z > margin - 40) & (angle < 2.75) & _is_beside_spine(canvas, build)
    canvas.paint(Organ.CORTEX, caged & (flat < 1))
    canvas.paint(Organ.BONE, caged & (flat < 0.35))
    sternum = (np.abs(canvas.x) < 17) & (canvas.y > 0) & (np.abs(shell) < 5) & (canvas.z > 45)
    canvas.paint(Organ.BONE, sternum)


def _paint_chest(canvas: Canvas, build: Build, chest: Mask, diaphragm: FloatArray, rng: np.random.Generator) -> None:
    canvas.paint(Organ.LUNG, chest)
    branching = canvas.lattice.random_field(rng, 7.0)
    canvas.paint(Organ.LUNG_VESSEL, chest & (branching > 2.7))
    middle = _column(canvas, (-3, build.spine_y + 38, 0), 30, 24)
    canvas.paint(Organ.FAT, chest & middle)
    floor = build.dome - 25
    centre = np.array([-22 + rng.normal(0, 5), build.half_depth - build.fat - build.wall - 52, floor + 48])
    tilt = Rotation.from_euler("zy", [25, 20], degrees=True).as_matrix()
    semi_axes = np.array([68, 50, 54]) * rng.uniform(0.9, 1.1)
    above = canvas.z > diaphragm + 1
    canvas.paint(Organ.FAT, canvas.ellipsoid(centre, semi_axes + 6, tilt) & above & chest)
    canvas.paint(Organ.MUSCLE, canvas.ellipsoid(centre, semi_axes, tilt) & above & chest)
    canvas.paint(
        Organ.HEART, canvas.ellipsoid(np.add(centre, (14, -2, 0)), semi_axes * [0.6, 0.75, 0.8], tilt) & above & chest
    )
    canvas.paint(
        Organ.HEART, canvas.ellipsoid(np.add(centre, (-24, 2, -2)), semi_axes * [0.36, 0.5, 0.55], tilt) & above & chest
    )
    oesophagus = _column(canvas, (-14, build.spine_y + 38, 0), 9, 8)
    canvas.paint(Organ.MUSCLE, chest & oesophagus)


def _paint_spleen(canvas: Canvas, build: Build, abdomen: Mask, rng: np.random.Generator) -> None:
    side = build.half_width - build.fat - build.wall
    centre = np.array([34 - side, build.spine_y + 24, build.dome - 64 + rng.normal(0, 8)])
    turn = Rotation.from_euler("zx", [-28 + rng.normal(0, 8), 25 + rng.normal(0, 8)], degrees=True).as_matrix()
    semi_axes = np.array([34, 58, 54]) * rng.uniform(0.85, 1.2)
    hilum = canvas.ellipsoid(np.add(centre, (44, 14, 0)), semi_axes * [0.95, 0.75, 0.9], turn)
    spleen = canvas.ellipsoid(centre, semi_axes, turn) & ~hilum & abdomen
    canvas.paint(Organ.SPLEEN, spleen)


def _paint_kidneys(canvas: Canvas, build: Build, abdomen: Mask, rng: np.random.Generator) -> Mask:
    """Both kidneys in their fat; returns where these are."""
    taken = np.zeros_like(abdomen)
    for side, z in ((1, -112 + rng.normal(0, 10)), (-1, -98 + rng.normal(0, 10))):
        centre = np.array([side * 68, build.spine_y + 4, z])
        turn = Rotation.from_euler("zxy", [side * 30, -12, side * -12], degrees=True).as_matrix()
        semi_axes = np.array([25, 29, 53]) * rng.uniform(0.92, 1.08)
        perirenal = canvas.ellipsoid(centre, semi_axes + 7, turn) & abdomen
        canvas.paint(Organ.FAT, perirenal)
        taken |= perirenal
        kidney = canvas.ellipsoid(centre, semi_axes, turn) & abdomen
        canvas.paint(Organ.KIDNEY_CORTEX, kidney)
        pyramids = canvas.ellipsoid(centre, semi_axes - 8, turn) & (canvas.lattice.random_field(rng, 8.0) > -0.6)
        canvas.paint(Organ.KIDNEY_MEDULLA, pyramids & kidney)
        sinus = canvas.ellipsoid(np.add(centre, (side * -16, 9, 0)), semi_axes * [0.62, 0.34, 0.5], turn)
        canvas.paint(Organ.FAT, sinus & abdomen)
    return taken


def _paint_pancreas(canvas: Canvas, build: Build, abdomen: Mask, rng: np.random.Generator) -> None:
    front = build.spine_y + 58
    pancreas = [(34, front - 4, -92), (26, front + 4, -76), (-10, front + 8, -66), (-48, front - 14, -52)]
    free = abdomen & ~np.isin(canvas.organs, (Organ.LIVER, Organ.SPLEEN))
    canvas.paint(Organ.FAT, canvas.tube(pancreas, [17, 16, 14, 13]) & free)
    lobules = canvas.lattice.random_field(rng, 7.0) > -1.0
    canvas.paint(Organ.PANCREAS, canvas.tube(pancreas, [13, 12, 9, 9]) & free & lobules)


def _paint_great_vessels(canvas: Canvas, build: Build, inside: Mask) -> None:
    y = build.spine_y
    top = build.dome + 40
    for side in (-1, 1):
        crus = [(side * 14, y + 22, -95), (side * 15, y + 26, -50), (side * 13, y + 36, build.dome - 45)]
        canvas.paint(Organ.MUSCLE, canvas.tube(crus, [5, 6, 5]) & inside & (canvas.organs == Organ.FAT))
    cava = [(20, y + 26, -260), (21, y + 28, -80), (24, y + 40, -20), (22, y + 50, build.dome - 22), (18, y + 56, top)]
    canvas.paint(Organ.CAVA, canvas.tube(cava, [11, 12, 13, 14, 13]) & inside)
    aorta = [(-6, y + 27, -260), (-8, y + 29, -60), (-14, y + 27, 20), (-24, y + 16, 160)]
    canvas.paint(Organ.AORTA, canvas.tube(aorta, [8.5, 10.5, 11.5, 12.5]))
    branches = [
        ([(-6, y + 34, -62), (-4, y + 52, -66), (-40, y + 50, -56)], [4.5, 4, 3]),  # coeliac trunk, splenic artery
        ([(-7, y + 36, -80), (-5, y + 52, -92), (-3, y + 56, -180)], [4.5, 4, 3.5]),  # superior mesenteric artery
    ]
    for points, radii in branches:
        canvas.paint(Organ.AORTA, canvas.tube(points, radii) & inside & (canvas.organs != Organ.LIVER))
    renal = [(21, y + 28, -100), (-8, y + 42, -96), (-46, y + 18, -100)]
    canvas.paint(Organ.CAVA, canvas.tube(renal, [5, 5, 4.5]) & (canvas.organs == Organ.FAT) & inside)


def _paint_gallbladder(canvas: Canvas, liver: Mask, rng: np.random.Generator) -> None:
    """Hung under the liver, two fingers to the right of the midline; one patient in eight has none left."""
    missing = rng.uniform() < 0.125
    semi_axes = np.array([13, 25, 15]) * rng.uniform(0.75, 1.2)
    beside = liver & (np.abs(canvas.x - 52) < 6) & (np.abs(canvas.y - 42) < 8)
    if missing or not beside.any():
        return
    centre = (52, 42, float(canvas.z[beside].min()) - 0.1 * semi_axes[2])
    turn = Rotation.from_euler("x", 35, degrees=True).as_matrix()
    free = ~np.isin(canvas.organs, (Organ.MUSCLE, Organ.BONE, Organ.CORTEX, Organ.SKIN))
    canvas.paint(Organ.BOWEL, canvas.ellipsoid(centre, semi_axes + 1.5, turn) & free)
    canvas.paint(Organ.GALLBLADDER, canvas.ellipsoid(centre, semi_axes, turn) & free)


def _paint_table(canvas: Canvas, build: Build) -> None:
    """A curved carbon shell under the back; a table does not bend with the patient."""
    x, y, _ = np.meshgrid(*canvas.lattice.axes_mm, indexing="ij", sparse=True)
    surface = -build.half_depth - 6 + 0.0009 * x**2
    shell = (np.abs(surface - y) < 2.5) & (np.abs(x) < 205)
    canvas.paint(Organ.TABLE, shell & (canvas.organs == Organ.AIR))
