"""Agreement of a segmented mask with the true one: our own convention, one for all figures.

Surfaces are area-weighted elements (`Surface.AREA`). What an empty mask means stands in one table, `WHEN_EMPTY`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nen_imaging.validation.surface import Mask, Spacing, Surface, surface_distances

LIVER, LESION = 1, 2
TOLERANCES_MM = (1.0, 3.0)
_NAN = float("nan")


@dataclass(frozen=True)
class WhenEmpty:
    """The value of a figure when masks are empty; not-a-number is left out of means and counted beside them."""

    both: float
    truth: float
    prediction: float

    def value(self, overlap: Overlap) -> float:
        """For two masks of which one at least is empty."""
        if not overlap.truth and not overlap.prediction:
            return self.both
        return self.prediction if overlap.truth else self.truth


_PERFECT_OR_NOTHING = WhenEmpty(both=1.0, truth=0.0, prediction=0.0)
_NO_DISTANCE = WhenEmpty(both=_NAN, truth=_NAN, prediction=_NAN)
WHEN_EMPTY = {
    "dice": _PERFECT_OR_NOTHING,
    "voe": WhenEmpty(both=0.0, truth=1.0, prediction=1.0),
    "rvd": WhenEmpty(both=0.0, truth=_NAN, prediction=-1.0),
    "assd_mm": _NO_DISTANCE,
    "rmsd_mm": _NO_DISTANCE,
    "msd_mm": _NO_DISTANCE,
    "hd95_mm": _NO_DISTANCE,
    **{f"surface_dice_{tolerance:g}mm": _PERFECT_OR_NOTHING for tolerance in TOLERANCES_MM},
}
"""Figures of one mask, and what they are when it, or the true one, is empty.

A lesion that was missed altogether has no surface to measure to: its distance is no number, large or small.
"""
FIGURES = tuple(WHEN_EMPTY)


@dataclass(frozen=True)
class Overlap:
    """Voxel counts of two masks; everything that ignores where the voxels lie follows from them."""

    truth: int
    prediction: int
    both: int

    @classmethod
    def of(cls, truth: Mask, prediction: Mask) -> Overlap:
        """Count; raises ValueError where the shapes differ."""
        if truth.shape != prediction.shape:
            raise ValueError(f"The masks differ in shape: truth {truth.shape}, prediction {prediction.shape}.")
        both = int(np.count_nonzero(truth & prediction))
        return cls(int(np.count_nonzero(truth)), int(np.count_nonzero(prediction)), both)

    @property
    def dice(self) -> float:
        """2 |P and T| / (|P| + |T|); not-a-number for two empty masks."""
        total = self.truth + self.prediction
        return 2 * self.both / total if total else _NAN

    @property
    def jaccard(self) -> float:
        """|P and T| / |P or T|; not-a-number for two empty masks."""
        union = self.truth + self.prediction - self.both
        return self.both / union if union else _NAN

    @property
    def voe(self) -> float:
        """Volumetric overlap error, 1 - Jaccard."""
        return 1 - self.jaccard

    @property
    def rvd(self) -> float:
        """Relative volume difference (|P| - |T|) / |T|: positive where too much was found."""
        return (self.prediction - self.truth) / self.truth if self.truth else _NAN


def mask_figures(truth: Mask, prediction: Mask, spacing_mm: Spacing) -> dict[str, float]:
    """The `FIGURES` of a mask against the true one.

    Parameters
    ----------
    truth, prediction
        Boolean, one shape, indexed (i, j, k).
    spacing_mm
        Along i, j and k.

    Raises
    ------
    ValueError
        The shapes differ.
    """
    overlap = Overlap.of(truth, prediction)
    if not (overlap.truth and overlap.prediction):
        return {name: rule.value(overlap) for name, rule in WHEN_EMPTY.items()}
    distances = surface_distances(truth, prediction, spacing_mm, Surface.AREA)
    return {
        "dice": overlap.dice,
        "voe": overlap.voe,
        "rvd": overlap.rvd,
        "assd_mm": distances.assd_mm,
        "rmsd_mm": distances.rmsd_mm,
        "msd_mm": distances.msd_mm,
        "hd95_mm": distances.hausdorff_mm(95),
        **{f"surface_dice_{tolerance:g}mm": distances.surface_dice(tolerance) for tolerance in TOLERANCES_MM},
    }


def liver_of(labels: NDArray[Any]) -> Mask:
    """The liver of a label map, lesions included."""
    return labels >= LIVER


def lesions_of(labels: NDArray[Any]) -> Mask:
    """The lesions of a label map."""
    return labels == LESION
