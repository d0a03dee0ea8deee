"""What every kind of bundle ends in: a `Segmentation` on the CT's own grid."""

from __future__ import annotations

from dataclasses import dataclass

import nibabel
import numpy as np

from nen_imaging.contract import Reason
from nen_imaging.segmentation.two_stage import SMALLEST_LIVER_ML
from nen_imaging.volume import Volume

TRUNCATED = Reason("liver.truncated", "The liver reaches the edge of the image.")


@dataclass(frozen=True)
class Segmentation:
    """What was found, on the CT's grid.

    ``labels``: uint8, 1 liver, 2 lesion. ``probability``: uint8, lesion probability x 255 (0 or 255 from a segmenter
    that gives labels alone). ``member_loads_percent``: the load, then what its interval is judged by (see
    `uncertainty.load_spread`). ``reasons``: codes of the contract; with `liver.absent` (a refusal, for the caller to
    raise) both volumes are empty.
    """

    labels: Volume
    probability: Volume
    member_loads_percent: tuple[float, ...]
    reasons: tuple[Reason, ...]
    device_used: str
    device_note: str = ""

    @property
    def flags(self) -> tuple[str, ...]:
        """The codes of the reasons."""
        return tuple(reason.code for reason in self.reasons)


def no_liver(ct: Volume, device_used: str, device_note: str) -> Segmentation:
    """The refusal: both volumes are empty."""
    empty = ct.with_array(np.zeros(ct.shape, np.uint8))
    reason = Reason("liver.absent", f"Less than {SMALLEST_LIVER_ML:.0f} ml look like liver in this CT.")
    return Segmentation(empty, empty, (), (reason,), device_used, device_note)


def on_grid_of(ct: Volume, turned: Volume) -> Volume:
    """A volume on the CT's grid with its axes turned or flipped, as it lies on the CT's own."""
    codes = "".join(nibabel.aff2axcodes(ct.affine))
    return ct.with_array(turned.oriented(codes).array)


def fragmented(parts: int) -> tuple[Reason, ...]:
    """What is to be said of a liver of that many separate parts."""
    return (Reason("liver.fragmented", f"The liver has {parts} separate parts."),) if parts > 1 else ()


def percent(share: float) -> float:
    """A share as a load in percent, rounded as it stands in files."""
    return round(100.0 * share, 3)
