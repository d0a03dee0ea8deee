"""What a PET scanner would store for a known SUV: dose, decay and units, forwards.

The rules are those of DICOM PS3.3 C.8.9.1 (Units, Decay Correction); the mean over a frame is the usual
integral of the exponential.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nen_imaging.volume import FloatArray


@dataclass(frozen=True)
class Injection:
    """What was injected, how much, and how long before the scan; 68Ga-DOTATOC by default."""

    dose_bq: float = 150e6
    half_life_s: float = 4062.6
    uptake_s: float = 3600.0
    radiopharmaceutical: str = "Ga-68 DOTATOC"
    nuclide_code: tuple[str, str, str] = ("C-131A3", "SRT", "^68^Gallium")
    positron_fraction: float = 0.891
    philips_activity_factor: float = 7.5
    """Bq/ml per count, for the units CNTS."""

    @property
    def decay_per_s(self) -> float:
        return float(np.log(2)) / self.half_life_s

    def remaining(self, seconds: float | FloatArray) -> FloatArray:
        """Share of the activity that is left after a time."""
        return np.exp(-self.decay_per_s * np.asarray(seconds, float))

    def frame_mean(self, duration_s: float) -> float:
        """Mean activity over a frame relative to that at its start."""
        decay = self.decay_per_s * duration_s
        return float((1 - np.exp(-decay)) / decay)

    def mean_activity_time_s(self, duration_s: float) -> float:
        """When, after a frame's start, the activity equals its mean over the frame."""
        return -float(np.log(self.frame_mean(duration_s))) / self.decay_per_s

    def philips_suv_factor(self, weight_kg: float) -> float:
        """SUVbw per count."""
        return self.philips_activity_factor * weight_kg * 1000 / (self.dose_bq * float(self.remaining(self.uptake_s)))


GA68_DOTATOC = Injection()


def stored_activity(
    suv: FloatArray,
    bed_start_s: FloatArray,
    injection: Injection,
    weight_kg: float,
    units: str,
    decay_correction: str,
    frame_duration_s: float,
) -> FloatArray:
    """Values in `units` for SUVbw ``(i, j, k)``; `bed_start_s` is each slice's delay after the scan's start."""
    if units == "GML":
        return suv
    at_injection = suv * injection.dose_bq / (weight_kg * 1000)  # Bq/ml
    if decay_correction == "ADMIN":
        activity = at_injection
    elif decay_correction == "START":
        activity = at_injection * injection.remaining(injection.uptake_s)
    else:
        activity = at_injection * injection.remaining(injection.uptake_s + bed_start_s)
        activity = activity * injection.frame_mean(frame_duration_s)
    return activity / injection.philips_activity_factor if units == "CNTS" else activity
