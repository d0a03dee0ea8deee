"""The convention of CHAOS (Kavur et al., Med Image Anal 2021): four figures of the liver and their scores.

Source: github.com/emrekavur/CHAOS-evaluation (1db9484). Its text says 27 neighbours; its code, and the figures it
publishes, use the 6 of faces, and a slice at the end of the scan is no surface.
"""

from __future__ import annotations

import numpy as np

from nen_imaging.validation.metrics import Overlap
from nen_imaging.validation.surface import Mask, Spacing, Surface, surface_distances

_LIMITS = {"dice": 0.8, "ravd_percent": 5.0, "assd_mm": 15.0, "mssd_mm": 60.0}


def chaos_figures(truth: Mask, prediction: Mask, spacing_mm: Spacing) -> dict[str, float]:
    """Dice, absolute relative volume difference in percent, average and maximum symmetric surface distance.

    An empty mask scores 0, 100, and for both distances the length of the image's diagonal in voxels. The slice step
    must come from the slices' positions, not from SliceThickness (the sample's is 2.0 mm, its header says 3.2).
    """
    overlap = Overlap.of(truth, prediction)
    if not (overlap.truth and overlap.prediction):
        diagonal = float(np.linalg.norm(truth.shape))
        return {"dice": 0.0, "ravd_percent": 100.0, "assd_mm": diagonal, "mssd_mm": diagonal}
    distances = surface_distances(truth, prediction, spacing_mm, Surface.FACES_OPEN)
    return {
        "dice": overlap.dice,
        "ravd_percent": 100 * abs(overlap.rvd),
        "assd_mm": distances.assd_mm,
        "mssd_mm": distances.msd_mm,
    }


def chaos_score(figures: dict[str, float]) -> float:
    """The mean of the four figures' scores, 0 to 100; a figure beyond its limit scores 0."""
    scores = [100 * figures["dice"] if figures["dice"] >= _LIMITS["dice"] else 0.0]
    scores += [max(0.0, 100 * (1 - figures[name] / limit)) for name, limit in _LIMITS.items() if name != "dice"]
    return float(np.mean(scores))
