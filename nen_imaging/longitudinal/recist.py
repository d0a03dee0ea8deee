"""Hepatic RECIST 1.1: targets chosen at the baseline, and the sum of their diameters ever after."""

from __future__ import annotations

from collections.abc import Iterable

from nen_imaging.longitudinal.criteria import Measured
from nen_imaging.longitudinal.measurements import LesionMeasurement, StagingMeasurement, tracks_of

TOO_SMALL_MM = 5.0
"""What RECIST 1.1 gives a target that is present but too small to measure."""


def choose_targets(baseline: StagingMeasurement, maximum: int) -> tuple[LesionMeasurement, ...]:
    """The largest lesions that can be measured reproducibly, the largest first; ties by number of the lesion."""
    eligible = [lesion for lesion in baseline.lesions if lesion.eligible and lesion.tracks]
    return tuple(sorted(eligible, key=lambda lesion: (-lesion.longest_diameter_mm, lesion.lesion))[:maximum])


def sum_of_diameters(
    targets: Iterable[LesionMeasurement], staging: StagingMeasurement, resolved: frozenset[str]
) -> Measured:
    """The sum of the targets' longest diameters (mm) at a staging.

    Fragments of a target are added; targets that have merged count once, by the longest diameter of their union.
    A target that is gone counts 0, one that is present but smaller than 5 mm counts 5 mm.

    Parameters
    ----------
    targets
        As chosen at the baseline.
    staging
        Where the sum is formed.
    resolved
        Tracks that are known to be gone at this staging: not seen although their place was imaged.
    """
    if staging.load_percent is None:
        return Measured(staging.staging, None, missing=staging.not_measured)
    wanted = list(targets)
    if not wanted:
        return Measured(staging.staging, None, missing="no lesion at baseline could be measured and followed")
    seen: dict[int, float] = {}
    missing = []
    left_out = tracks_of(staging.left_out)
    for target in wanted:
        found = [lesion for lesion in staging.lesions if lesion.tracks & target.tracks]
        seen |= {lesion.lesion: max(lesion.longest_diameter_mm, TOO_SMALL_MM) for lesion in found}
        if not found and not target.tracks <= resolved:
            why = "is left out as benign" if target.tracks & left_out else "could not be found again"
            missing.append(f"target {', '.join(sorted(target.tracks))} {why}")
    total = sum(seen.values())
    if missing:
        return Measured(staging.staging, None, partial=total, missing="; ".join(missing))
    return Measured(staging.staging, total, disease_free=not staging.lesions)
