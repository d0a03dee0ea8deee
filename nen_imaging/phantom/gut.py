"""Stomach, duodenum, small bowel and colon of a digital patient, with the vessels that run to them."""

from __future__ import annotations

import numpy as np

from nen_imaging.phantom.build import Build
from nen_imaging.phantom.canvas import Canvas, Mask
from nen_imaging.phantom.organs import Organ
from nen_imaging.volume import FloatArray

LOOPS, LOOP_STEP_MM = 16, 24.0


def paint_gut(canvas: Canvas, build: Build, room: Mask, rng: np.random.Generator) -> None:
    """Paint from back to front: small bowel, colon, stomach; `room` says where there is abdomen."""
    _paint_small_bowel(canvas, build, room, rng)
    _paint_colon(canvas, build, room, rng)
    _paint_stomach(canvas, build, room, rng)


def _paint_small_bowel(canvas: Canvas, build: Build, room: Mask, rng: np.random.Generator) -> None:
    """Loops that wander through the middle of the abdomen, full, collapsed or with some gas, and their vessels."""
    low = np.array([-0.72 * build.side_x, build.spine_y + 48, -215])
    high = np.array([0.62 * build.side_x, build.front_y - 12, -50])
    for _ in range(LOOPS):
        path = _wandering(low, high, int(rng.integers(13, 19)), rng)
        radii = rng.uniform(9, 14) * rng.uniform(0.85, 1.15, len(path))
        canvas.paint(Organ.BOWEL, canvas.tube(path, radii) & room)
        content = Organ.STOMACH_CONTENT if rng.uniform() < 0.6 else Organ.BOWEL
        for start in range(0, len(path) - 1, 4):
            part, widths = path[start : start + 5], radii[start : start + 5]
            lumen = canvas.tube(part, widths - rng.uniform(2.2, 4.5)) & room
            canvas.paint(content, lumen)
            if rng.uniform() < 0.2:
                canvas.paint(Organ.GAS, lumen & (canvas.y > part[:, 1].mean() + 0.35 * widths.mean()))
        root = np.array([-3, build.spine_y + 54, rng.uniform(-150, -90)])
        for end in path[::3]:
            bend = 0.5 * (root + end) + rng.normal(0, 9, 3)
            vessel = canvas.tube([root, bend, end], [2.6, 2.0, 1.3]) & room & (canvas.organs == Organ.FAT)
            canvas.paint(Organ.PORTAL_VEIN, vessel)


def _wandering(low: FloatArray, high: FloatArray, count: int, rng: np.random.Generator) -> FloatArray:
    """Points of a smooth way inside a box, a step apart; it turns back at the walls."""
    place, heading = rng.uniform(low, high), rng.standard_normal(3)
    points = [place]
    for _ in range(count):
        heading = heading / np.linalg.norm(heading) + 0.75 * rng.standard_normal(3)
        step = place + LOOP_STEP_MM * heading / np.linalg.norm(heading)
        heading = np.where((step < low) | (step > high), -heading, heading)
        place = np.clip(step, low, high)
        points.append(place)
    return np.array(points)


def _paint_colon(canvas: Canvas, build: Build, room: Mask, rng: np.random.Generator) -> None:
    """The frame of the colon, with haustra, stool and gas."""
    side, front = build.side_x, build.front_y
    colon = np.array([
        (side - 30, -8, -230), (side - 28, 0, -150), (side - 40, front - 40, -125), (0, front - 26, -120),
        (50 - side, front - 36, -75), (34 - side, -10, -55), (26 - side, -20, -120), (28 - side, -18, -230),
    ]) + rng.normal(0, 6, (8, 3))  # fmt: skip
    haustra = canvas.lattice.random_field(rng, 13.0)
    wall = canvas.tube(colon, [24, 23, 22, 20, 20, 18, 15, 14]) & room & (haustra > -1.5)
    content = canvas.tube(colon, [21.5, 20.5, 19.5, 17.5, 17.5, 15.5, 12.5, 11.5]) & wall & (haustra > -1.1)
    canvas.paint(Organ.BOWEL, wall)
    canvas.paint(Organ.STOOL, content)
    bubbles = canvas.lattice.random_field(rng, 5.0)
    canvas.paint(Organ.GAS, content & ((haustra + canvas.y / front > 0.75) | (bubbles > 1.0)))


def _paint_stomach(canvas: Canvas, build: Build, room: Mask, rng: np.random.Generator) -> None:
    """Stomach and duodenum; gas rises to the front of a patient on the back."""
    front = build.front_y
    fill = rng.uniform(0.65, 1.1)
    textbook = [
        (-62, build.spine_y + 45, build.dome - 45), (-68, build.spine_y + 75, -25), (-52, front - 38, -60),
        (-12, front - 34, -82), (26, front - 48, -74),
    ]  # fmt: skip
    path = np.array(textbook) + rng.normal(0, 7, (5, 3))
    radii = fill * np.array([38, 36, 30, 22, 14]) * rng.uniform(0.88, 1.12, 5)
    canvas.paint(Organ.FAT, canvas.tube(path, radii + 5) & room)
    canvas.paint(Organ.STOMACH_WALL, canvas.tube(path, radii) & room)
    folds = canvas.lattice.random_field(rng, 8.0)
    lumen = canvas.tube(path, radii - 4) & room & ((folds > -1.1) | canvas.tube(path, radii - 11))
    canvas.paint(Organ.STOMACH_CONTENT, lumen)
    heights = canvas.y[lumen]
    if heights.size:
        canvas.paint(Organ.GAS, lumen & (canvas.y > np.quantile(heights, rng.uniform(0.5, 0.95))))
    duodenum = np.array([
        (28, front - 48, -76), (46, build.spine_y + 66, -84), (46, build.spine_y + 52, -128),
        (-14, build.spine_y + 50, -134),
    ]) + rng.normal(0, 4, (4, 3))  # fmt: skip
    canvas.paint(Organ.STOMACH_WALL, canvas.tube(duodenum, [12, 13, 12, 10]) & room)
    canvas.paint(Organ.STOMACH_CONTENT, canvas.tube(duodenum, [8, 9, 7, 6]) & room)
