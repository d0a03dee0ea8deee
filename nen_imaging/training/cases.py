"""One labelled CT in memory, as everything in this room handles it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nen_imaging.volume import Volume

LIVER, LESION = 1, 2


@dataclass(frozen=True)
class Case:
    """One labelled CT in memory, axes LPS: HU as int16, label 0, 1 liver, 2 lesion as uint8.

    ``painted``: a digital patient, whose lesions are no real ones.
    """

    name: str
    patient: str
    image: Volume
    label: Volume
    lesions_known: bool
    weight: float = 1.0
    licence: str = "not stated"
    painted: bool = False

    @property
    def has_lesions(self) -> bool:
        return bool((self.label.array == LESION).any())


def parenchyma_hu(image: NDArray[Any], label: NDArray[Any]) -> float:
    """Median HU of the liver outside its lesions (of the whole liver where a lesion fills it; 100 without a liver)."""
    healthy = image[label == LIVER]
    liver = healthy if healthy.size else image[label > 0]
    return float(np.median(liver)) if liver.size else 100.0
