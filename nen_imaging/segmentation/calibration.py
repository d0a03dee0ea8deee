"""From the network's logits to probabilities that mean what they say: six numbers of the bundle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Floats = NDArray[np.float32]

EXPECTED_SHARES = (0.3, 0.999)  # to expect less would take the small lesions of a low load away


class Calibration(BaseModel):
    """Fitted on patients that the weights have not seen (`training/calibrate.py`).

    A network was trained at one mix of loads and sees each patient with that expectation: low loads come out high,
    high ones low. So the lesion logit is shifted with the patient's own expected load, as a classifier is adjusted to
    new prior probabilities (Saerens et al., Neural Computation 2002;14:21); how strongly is fitted too. Loads below
    30 % count as that: without this limit the weight that high loads need made half of the small lesions vanish.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    liver_shift: float = 0.0
    lesion_shift: float = 0.0
    load_weight: float = Field(0.0, ge=0, description="of the logit of the patient's expected load in the shift")
    lesion_scale: float = Field(1.0, gt=0)
    lesion_peak: float = Field(
        0.5, ge=0.5, lt=1, description="probability that a lesion has somewhere; at 0.5 every one does"
    )
    interval_logit: float = Field(
        1.1, gt=0, description="the true load lies, with 90 % probability, between those at this threshold up and down"
    )

    def lesion_logit(self, logit: Floats, liver: NDArray[np.bool_]) -> Floats:
        """The calibrated lesion logit; the expected load is the mean probability in ``liver`` (not empty)."""
        shift = self.lesion_shift + self.load_weight * logit_of(expected_share(logit[liver]))
        return np.asarray((logit + np.float32(shift)) * np.float32(self.lesion_scale), np.float32)

    @property
    def thresholds(self) -> tuple[float, float]:
        """Of the calibrated probability, for the highest and the lowest load of the interval."""
        low, high = sigmoid(np.array([-self.interval_logit, self.interval_logit], np.float32))
        return float(low), float(high)


def sigmoid(logit: Floats) -> Floats:
    """Probability of a logit."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logit, -30, 30))), np.float32)


def expected_share(logit: Floats) -> float:
    """The mean probability, within `EXPECTED_SHARES`."""
    return float(np.clip(sigmoid(logit).mean(dtype=float), *EXPECTED_SHARES))


def logit_of(share: float) -> float:
    """The logit of a probability between 0 and 1."""
    return float(np.log(share / (1 - share)))
