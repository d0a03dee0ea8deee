"""The solid organs and great vessels of a digital patient's abdomen, but for the liver."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from nen_imaging.phantom.build import Build
from nen_imaging.phantom.canvas import Canvas, Mask
from nen_imaging.phantom.organs import Organ


def paint_spleen(canvas: Canvas, build: Build, abdomen: Mask, rng: np.random.Generator) -> None:
    """Under the left dome, a hollow towards the stomach."""
    side = build.half_width - build.fat - build.wall
    centre = np.array([34 - side, build.spine_y + 24, build.dome - 64 + rng.normal(0, 8)])
    turn = Rotation.from_euler("zx", [-28 + rng.normal(0, 8), 25 + rng.normal(0, 8)], degrees=True).as_matrix()
    semi_axes = np.array([34, 58, 54]) * rng.uniform(0.85, 1.2)
    hilum = canvas.ellipsoid(np.add(centre, (44, 14, 0)), semi_axes * [0.95, 0.75, 0.9], turn)
    spleen = canvas.ellipsoid(centre, semi_axes, turn) & ~hilum & abdomen
    canvas.paint(Organ.SPLEEN, spleen)


def paint_kidneys(canvas: Canvas, build: Build, abdomen: Mask, rng: np.random.Generator) -> Mask:
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
        pelvis = sinus & (canvas.lattice.random_field(rng, 6.0) > 0.5)
        canvas.paint(Organ.PORTAL_VEIN, pelvis & abdomen)
    return taken


def paint_pancreas(canvas: Canvas, build: Build, abdomen: Mask, rng: np.random.Generator) -> None:
    """A lobulated band in its fat, from the duodenum to the spleen's hilum."""
    front = build.spine_y + 58
    pancreas = [(34, front - 4, -92), (26, front + 4, -76), (-10, front + 8, -66), (-48, front - 14, -52)]
    free = abdomen & ~np.isin(canvas.organs, (Organ.LIVER, Organ.SPLEEN))
    canvas.paint(Organ.FAT, canvas.tube(pancreas, [17, 16, 14, 13]) & free)
    lobules = canvas.lattice.random_field(rng, 7.0) > -1.0
    canvas.paint(Organ.PANCREAS, canvas.tube(pancreas, [13, 12, 9, 9]) & free & lobules)


def paint_great_vessels(canvas: Canvas, build: Build, inside: Mask) -> None:
    """Caval vein, aorta with its first branches, the left renal vein, and the crura beside them."""
    y = build.spine_y
    top = build.dome + 40
    for side in (-1, 1):
        crus = [(side * 20, y + 18, -95), (side * 24, y + 22, -50), (side * 24, y + 32, build.dome - 45)]
        canvas.paint(Organ.MUSCLE, canvas.tube(crus, [4, 5, 4]) & inside & (canvas.organs == Organ.FAT))
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


def paint_gallbladder(canvas: Canvas, liver: Mask, rng: np.random.Generator) -> None:
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
