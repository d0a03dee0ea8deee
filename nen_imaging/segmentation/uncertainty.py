"""How sure the networks are: loads that spread, and signs that an image is unlike the training data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

TRUSTED_DICE = 0.80  # overlap of the two networks' livers below which an image is unlike training data
TRUSTED_PARENCHYMA_HU = (0.0, 200.0)
TRUSTED_UNDECIDED_SHARE = 0.25  # see `undecided_share`


def load_spread(liver: NDArray[np.bool_], lesion: Floats, thresholds: tuple[float, ...]) -> tuple[float, ...]:
    """Loads in percent by which the interval of the load is judged.

    Parameters
    ----------
    liver
        The final liver with its lesions.
    lesion
        Calibrated lesion probability that the labels come from, on the same grid.
    thresholds
        Of it, beside the one at one half.

    Returns
    -------
    tuple of float
        The load first, then its expectation (sum of probabilities) and the loads at other thresholds. Empty without
        a liver.
    """
    volume = int(liver.sum())
    if volume == 0:
        return ()
    inside = lesion[liver]
    loads = [
        float((inside >= 0.5).mean()),
        float(inside.mean()),
        *(float((inside >= threshold).mean()) for threshold in thresholds),
    ]
    return tuple(round(100.0 * load, 3) for load in loads)


def unlike_training(coarse_liver: Floats, fine_liver: Floats, parenchyma_hu: float) -> str:
    """What makes an image unlike the training data, as a sentence; empty if nothing does.

    ``coarse_liver`` and ``fine_liver`` are the two networks' liver probabilities on one grid.
    """
    low, high = TRUSTED_PARENCHYMA_HU
    if not low <= parenchyma_hu <= high:
        return f"The liver's parenchyma has {parenchyma_hu:.0f} HU; known are {low:.0f} to {high:.0f}."
    dice = overlap(coarse_liver >= 0.5, fine_liver >= 0.5)
    if dice < TRUSTED_DICE:
        return f"The two networks disagree on the liver (Dice {dice:.2f}, trusted from {TRUSTED_DICE})."
    undecided = undecided_share(fine_liver)
    if undecided > TRUSTED_UNDECIDED_SHARE:
        return f"The network is undecided on {100 * undecided:.0f} % of the liver."
    return ""


def undecided_share(liver: Floats) -> float:
    """How many voxels have a probability of 0.2 to 0.8, relative to those of the liver."""
    return float(((liver > 0.2) & (liver < 0.8)).sum() / max(1, int((liver >= 0.5).sum())))


def overlap(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Dice of two masks; 1 if both are empty."""
    total = int(first.sum()) + int(second.sum())
    return 2.0 * float(np.logical_and(first, second).sum()) / total if total else 1.0
