"""SSR uptake of one lesion, or of another volume, on the PET's grid: SUV, tumour volume, ratios, status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nen_imaging.measurement.diameters import sphere_diameter_mm
from nen_imaging.measurement.partial_volume import Corrected
from nen_imaging.measurement.peak import suv_peaks
from nen_imaging.measurement.pet_grid import Shares, covered_share, share_inside
from nen_imaging.measurement.reference import Uptake
from nen_imaging.measurement.shift import Shift
from nen_imaging.measurement.ssr_status import krenning_modified, status_of
from nen_imaging.volume import Volume

COVERED = 0.99
_MOSTLY_INSIDE = 0.5
_PARTIAL_VOLUME_FWHM = 2.0


@dataclass(frozen=True)
class References:
    """What lesions are compared with."""

    liver: Uptake
    spleen: Uptake
    blood_pool: Uptake
    shift: Shift


def lesion_uptake(
    mask: Volume,
    suv: Volume,
    references: References,
    options: Mapping[str, Any],
    corrected: Corrected | None = None,
) -> dict[str, Any]:
    """The columns of uptake.csv for one mask on any grid, without its number; what is missing is left out.

    The status rests on the ``corrected`` SUV where they are known: as the PET shows it, a cold lesion beside a hot one
    has the hot one's spill-in for a maximum.
    """
    volume_ml = float(mask.array.sum()) * mask.voxel_volume_ml
    diameter_mm = sphere_diameter_mm(volume_ml)
    partial = diameter_mm < _PARTIAL_VOLUME_FWHM * float(options["pet_fwhm_mm"])
    share = share_inside(mask, suv)
    numbers = suv_statistics(suv, share) | {"partial_volume": "yes" if partial else "no"} | _place(references.shift)
    outside = covered_share(mask, suv) < COVERED
    if outside or numbers["suv_max"] is None:
        reason = "the PET does not cover it" if outside else "it fills no voxel of the PET"
        return numbers | {"status": "not evaluable", "status_reason": reason}
    if corrected is not None:
        numbers |= {"suv_mean_corrected": corrected.suv_mean, "suv_peak_corrected": corrected.suv_peak}
    numbers |= tumour_volume(suv, share, numbers["suv_max"], references.liver, options)
    numbers |= _ratios(numbers, references)
    score = krenning_modified(
        corrected.suv_peak if corrected else numbers["suv_max"],
        corrected.suv_mean if corrected else numbers["suv_mean"],
        liver=references.liver.suv_mean,
        liver_sd=references.liver.suv_sd or 0.0,
        spleen=references.spleen.suv_mean,
        blood_pool=references.blood_pool.suv_mean,
        iso_percent=float(options["iso_percent"]),
    )
    status, reason = status_of(
        score, partial_volume=partial, diameter_mm=diameter_mm, shift_mm=references.shift.left_mm
    )
    return numbers | {"krenning_modified": score, "status": status, "status_reason": reason}


def _place(shift: Shift) -> dict[str, Any]:
    """What stands beside each SUV of the PET's place."""
    return {"pet_shift_mm": shift.length_mm, "pet_shift_uncertainty_mm": shift.uncertainty_mm}


def suv_statistics(suv: Volume, share: Shares) -> dict[str, Any]:
    """SUVmax and peaks of the voxels that lie mostly inside; mean and volume weighted by each voxel's share."""
    weight = float(share.sum(dtype=float))
    inside = share >= _MOSTLY_INSIDE
    if weight == 0 or not inside.any():
        return {"suv_max": None, "pet_volume_ml": weight * suv.voxel_volume_ml}
    local, best = suv_peaks(suv, inside)
    return {
        "suv_max": float(suv.array[inside].max()),
        "suv_mean": _mean(suv, share),
        "suv_peak_local": local,
        "suv_peak_global": best,
        "pet_volume_ml": weight * suv.voxel_volume_ml,
    }


def _mean(suv: Volume, weight: NDArray[np.floating]) -> float:
    return float(np.average(suv.array.astype(float), weights=weight))


def tumour_volume(
    suv: Volume, share: Shares, suv_max: float, liver: Uptake, options: Mapping[str, Any]
) -> dict[str, Any]:
    """SSR-TV and TL-SSR: the part of the lesion at or above the rule's threshold, and its volume times its SUVmean."""
    name, threshold = _threshold(suv_max, liver, options)
    named = {"threshold_rule": name, "threshold_suv": threshold}
    if threshold is None:
        return named
    hot = np.where(suv.array.astype(float) >= threshold, share, 0)
    volume_ml = float(hot.sum(dtype=float)) * suv.voxel_volume_ml
    return named | {"ssr_tv_ml": volume_ml, "tl_ssr_ml": volume_ml * _mean(suv, hot) if volume_ml else 0.0}


def _threshold(suv_max: float, liver: Uptake, options: Mapping[str, Any]) -> tuple[str, float | None]:
    """The rule's name as it stands beside every value, and its SUV; None where it needs a liver that is missing."""
    if options["threshold_rule"] == "relative":
        return f"{options['relative_percent']:g} % of SUVmax", float(options["relative_percent"]) / 100 * suv_max
    if options["threshold_rule"] == "fixed":
        return f"SUV {options['fixed_suv']:g}", float(options["fixed_suv"])
    if liver.suv_mean is None or liver.suv_sd is None:
        return "liver SUVmean + 2 SD", None
    return "liver SUVmean + 2 SD", liver.suv_mean + 2 * liver.suv_sd


def _ratios(numbers: Mapping[str, Any], references: References) -> dict[str, Any]:
    return {
        f"tumour_to_{name}_{kind}": numbers[f"suv_{kind}"] / organ.suv_mean if organ.suv_mean else None
        for name, organ in (("liver", references.liver), ("spleen", references.spleen))
        for kind in ("max", "mean")
    }
