"""SSR uptake of a staging: every lesion on the PET's grid, reference organs, shift and totals."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nen_imaging.contract import UPTAKE_COLUMNS, VOI_COLUMNS, Reason
from nen_imaging.measurement.diameters import sphere_diameter_mm
from nen_imaging.measurement.peak import suv_peaks
from nen_imaging.measurement.pet_grid import Shares, covered_share, share_inside
from nen_imaging.measurement.reference import Uptake, healthy_liver, spleen_and_blood_pool
from nen_imaging.measurement.shift import Shift, measure_shift
from nen_imaging.measurement.ssr_status import krenning_modified, status_of, totals
from nen_imaging.volume import Volume, require_same_grid

COVERED = 0.99
MOSTLY_INSIDE = 0.5
PARTIAL_VOLUME_FWHM = 2.0
SHIFTED_FROM_MM = 10.0


@dataclass(frozen=True)
class MeasuredUptake:
    """The content of organs.json, uptake.csv and voi.csv."""

    organs: dict[str, Any]
    lesions: list[dict[str, Any]]
    reasons: list[Reason]
    regions: list[dict[str, Any]]


@dataclass(frozen=True)
class References:
    """What lesions are compared with."""

    liver: Uptake
    spleen: Uptake
    blood_pool: Uptake
    shift: Shift


def measure_uptake(
    *,
    ct: Volume,
    suv: Volume,
    labels: Volume,
    instances: Volume,
    options: Mapping[str, Any],
    benign: Collection[int] = (),
    regions: Sequence[tuple[str, str, Volume]] = (),
) -> MeasuredUptake:
    """Measure the SUVbw of every lesion and of the reference organs.

    ``labels`` (1 liver, 2 lesion) and ``instances`` lie on the CT's grid; ``suv`` keeps its own. ``options`` are those
    of the config's section `uptake`; ``benign`` lesions have a row but do not count in the totals.
    ``regions`` (name, organ, mask on a grid of its own) are a reader's volumes outside the liver: measured as lesions
    are, in a table of their own, in no total.
    """
    require_same_grid(labels, ct)
    require_same_grid(instances, ct)
    suv = suv.oriented("RAS")  # so that no figure depends on how the array is laid out
    fwhm_mm = float(options["pet_fwhm_mm"])
    liver = share_inside(labels.with_array(labels.array != 0), suv)
    lesion = share_inside(labels.with_array(instances.array != 0), suv)
    healthy = healthy_liver(suv, liver, lesion, fwhm_mm=fwhm_mm, minimum_ml=float(options["minimum_reference_ml"]))
    spleen, blood_pool = spleen_and_blood_pool(ct, labels, suv, healthy)
    references = References(healthy, spleen, blood_pool, measure_shift(suv, liver, fwhm_mm=fwhm_mm))
    covered = covered_share(labels.with_array(labels.array != 0), suv)
    rows, volumes_ml = [], []
    for number, box in enumerate(ndimage.find_objects(instances.array), start=1):
        if box is not None:
            start, stop = (np.array([getattr(part, end) for part in box]) for end in ("start", "stop"))
            one = instances.cropped(start, stop)
            one = one.with_array(one.array == number)
            volumes_ml.append(float(one.array.sum()) * one.voxel_volume_ml)
            rows.append({"lesion": number} | _lesion(one, suv, volumes_ml[-1], references, options))
    counted = [(row, volume) for row, volume in zip(rows, volumes_ml, strict=True) if row["lesion"] not in benign]
    organs = {
        "liver": references.liver.as_dict(),
        "spleen": spleen.as_dict(),
        "blood_pool": blood_pool.as_dict(),
        "shift": references.shift.as_dict(),
        "totals": totals(counted),
    }
    return MeasuredUptake(
        organs,
        [_written(row, UPTAKE_COLUMNS) for row in rows],
        _reasons(references, covered),
        [_region(*region, suv, references, options) for region in regions],
    )


def _region(
    name: str, organ: str, mask: Volume, suv: Volume, references: References, options: Mapping[str, Any]
) -> dict[str, Any]:
    volume_ml = float(mask.array.sum()) * mask.voxel_volume_ml
    numbers = _lesion(mask, suv, volume_ml, references, options)
    return _written({"voi": name, "organ": organ, "volume_ml": volume_ml} | numbers, VOI_COLUMNS)


def _lesion(
    one: Volume, suv: Volume, volume_ml: float, references: References, options: Mapping[str, Any]
) -> dict[str, Any]:
    diameter_mm = sphere_diameter_mm(volume_ml)
    partial = diameter_mm < PARTIAL_VOLUME_FWHM * float(options["pet_fwhm_mm"])
    share = share_inside(one, suv)
    numbers = suv_statistics(suv, share) | {"partial_volume": "yes" if partial else "no"}
    outside = covered_share(one, suv) < COVERED
    if outside or numbers["suv_max"] is None:
        reason = "the PET does not cover it" if outside else "it fills no voxel of the PET"
        return numbers | {"status": "not evaluable", "status_reason": reason}
    numbers |= tumour_volume(suv, share, numbers["suv_max"], references.liver, options)
    numbers |= _ratios(numbers, references)
    score = krenning_modified(
        numbers["suv_max"],
        numbers["suv_mean"],
        liver=references.liver.suv_mean,
        spleen=references.spleen.suv_mean,
        blood_pool=references.blood_pool.suv_mean,
        iso_percent=float(options["iso_percent"]),
    )
    status, reason = status_of(
        score, partial_volume=partial, diameter_mm=diameter_mm, shift_mm=references.shift.length_mm
    )
    return numbers | {"krenning_modified": score, "status": status, "status_reason": reason}


def suv_statistics(suv: Volume, share: Shares) -> dict[str, Any]:
    """SUVmax and peaks of the voxels that lie mostly inside; mean and volume weighted by each voxel's share."""
    weight = float(share.sum(dtype=float))
    inside = share >= MOSTLY_INSIDE
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


def _written(row: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    values = {name: row.get(name) for name in columns}
    return {
        name: "" if value is None else round(value, 3) if isinstance(value, float) else value
        for name, value in values.items()
    }


def _reasons(references: References, covered: float) -> list[Reason]:
    reasons = []
    if covered < COVERED:
        reasons.append(Reason("pet.not_covering", f"The PET covers {100 * covered:.0f} % of the liver."))
    if references.liver.refused:
        reasons.append(Reason("uptake.no_reference", f"No reference in the liver: {references.liver.refused}."))
    length_mm = references.shift.length_mm
    if length_mm is None:
        reasons.append(Reason("pet.shift_unknown", f"The shift of the PET was {references.shift.method}."))
    elif length_mm > SHIFTED_FROM_MM:
        reasons.append(Reason("pet.shifted", f"PET and CT lie {length_mm:.0f} mm apart at the liver."))
    return reasons
