"""The measures of one body."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nen_imaging.phantom.shape_model import UNIT_ML, LiverShape


@dataclass(frozen=True)
class Build:
    """Widths and heights in mm."""

    half_width: float
    half_depth: float
    fat: float
    wall: float
    dome: float
    """Height of the right dome of the diaphragm."""

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Build:
        stoutness = rng.uniform(0, 1)
        return cls(
            half_width=145 + 40 * stoutness + rng.normal(0, 6),
            half_depth=95 + 38 * stoutness + rng.normal(0, 5),
            fat=8 + 24 * stoutness * rng.uniform(0.6, 1.2),
            wall=rng.uniform(10, 15),
            dome=rng.uniform(35, 60),
        )

    def with_room_for(self, liver: LiverShape, volume_ml: float) -> Build:
        """A trunk that is deep and wide enough for the liver; a large one makes the belly large."""
        lowest, highest = liver.extent_mm
        width, depth, _ = 0.94 * float(np.cbrt(volume_ml / UNIT_ML)) * (highest - lowest)
        half_depth = max(self.half_depth, (depth + self.wall + 1.7 * self.fat + 11) / 2)
        half_width = max(self.half_width, width / 2 + self.fat + self.wall, 1.25 * half_depth)
        return replace(self, half_depth=half_depth, half_width=half_width)

    @property
    def spine_y(self) -> float:
        """Middle of the vertebral bodies."""
        return -self.half_depth + 0.6 * self.fat + 52

    @property
    def front_y(self) -> float:
        """Inner side of the abdominal wall."""
        return self.half_depth - self.fat - self.wall

    @property
    def side_x(self) -> float:
        """Inner side of the flank."""
        return self.half_width - self.fat - self.wall
