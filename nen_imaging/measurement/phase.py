"""The contrast phase as the image shows it: from the HU of liver, aorta and spleen, not from the header.

The limits are typical of 120 kV and of the usual dose of contrast medium; they part phases that differ by much, and
leave the rest to the reader, who sees the three values.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nen_imaging.contract import Reason
from nen_imaging.measurement.organs import UNENHANCED_AORTA_HU, coarse_abdomen, find_landmarks
from nen_imaging.volume import Volume

_ARTERIAL_AORTA_HU = 200.0
_ARTERIAL_LIVER_SHARE = 0.5
_DELAYED_AORTA_HU = 110.0
_DELAYED_DIFFERENCE_HU = 10.0
_ALIKE = {"portal venous", "delayed"}


@dataclass(frozen=True)
class ContrastPhase:
    """Measured phase (native, arterial, portal venous, delayed or unknown) and the medians (HU) that it rests on."""

    measured: str
    liver_hu: float | None
    aorta_hu: float | None
    spleen_hu: float | None
    reason: str

    def as_dict(self) -> dict[str, Any]:
        return {name: round(value, 1) if isinstance(value, float) else value for name, value in asdict(self).items()}


def measure_phase(ct: Volume, labels: Volume) -> ContrastPhase:
    """Measure the phase of a CT (HU) with its label map (1 liver, 2 lesion) on the same grid."""
    if not labels.array.any():
        return ContrastPhase("unknown", None, None, None, "the label map holds no liver")
    liver_hu = healthy_liver_hu(ct, labels)
    abdomen = coarse_abdomen(ct, labels.array != 0)
    found = find_landmarks(abdomen, liver_hu)
    aorta_hu, spleen_hu = abdomen.median_hu(found.aorta), abdomen.median_hu(found.spleen)
    measured, reason = classify_phase(liver_hu, aorta_hu)
    organs = (("aorta", found.aorta), ("spleen", found.spleen))
    missing = [f"{name}: {organ.reason}" for name, organ in organs if organ.reason]
    return ContrastPhase(measured, liver_hu, aorta_hu, spleen_hu, "; ".join([reason, *missing]))


def unlike_header(phase: ContrastPhase, named: str) -> list[Reason]:
    """The reason to look at a CT whose header names another phase than it shows.

    Portal venous and delayed pass into each other, and limits in HU do not part them surely.
    """
    if "unknown" in (named, phase.measured) or named == phase.measured or {named, phase.measured} == _ALIKE:
        return []
    return [Reason("phase.unlike_header", f"The header names the phase {named}, not {phase.measured}: {phase.reason}.")]


def healthy_liver_hu(ct: Volume, labels: Volume) -> float | None:
    """The median HU of the liver without its lesions; None where nothing of it is left."""
    healthy = labels.array == 1
    return float(np.median(ct.array[healthy].astype(float))) if healthy.any() else None


def classify_phase(liver_hu: float | None, aorta_hu: float | None) -> tuple[str, str]:
    """The phase that two medians stand for, and the sentence that says why."""
    if liver_hu is None or aorta_hu is None:
        return "unknown", "liver or aorta could not be measured"
    if aorta_hu < UNENHANCED_AORTA_HU:
        return "native", f"aorta {aorta_hu:.0f} HU: no contrast medium"
    if aorta_hu >= _ARTERIAL_AORTA_HU and liver_hu < _ARTERIAL_LIVER_SHARE * aorta_hu:
        return "arterial", f"aorta {aorta_hu:.0f} HU, more than twice the liver's {liver_hu:.0f} HU"
    if aorta_hu <= _DELAYED_AORTA_HU and aorta_hu - liver_hu < _DELAYED_DIFFERENCE_HU:
        return "delayed", f"aorta {aorta_hu:.0f} HU has come down to the liver's {liver_hu:.0f} HU"
    return "portal venous", f"aorta {aorta_hu:.0f} HU, liver {liver_hu:.0f} HU"
