"""SSR uptake of a staging: every lesion on the PET's grid, reference organs, shift and totals."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import ndimage

from nen_imaging.contract import FOCI_COLUMNS, UPTAKE_COLUMNS, VOI_COLUMNS, Reason
from nen_imaging.measurement.alignment import Alignment, align_pet
from nen_imaging.measurement.body_edge import held_against_body
from nen_imaging.measurement.foci import Surroundings, find_foci
from nen_imaging.measurement.lesion_uptake import COVERED, References, lesion_uptake
from nen_imaging.measurement.organs import coarse_abdomen, find_landmarks
from nen_imaging.measurement.partial_volume import METHOD as CORRECTION_METHOD
from nen_imaging.measurement.partial_volume import Corrected, correct_partial_volume
from nen_imaging.measurement.pet_grid import Shares, around, covered_share, share_inside
from nen_imaging.measurement.phase import healthy_liver_hu
from nen_imaging.measurement.reference import healthy_liver, spleen_and_blood_pool
from nen_imaging.measurement.shift import Shift, measure_shift
from nen_imaging.measurement.ssr_status import above_liver, totals
from nen_imaging.volume import GridMismatchError, Volume, require_same_grid

SHIFTED_FROM_MM = 10.0
_MARGIN_FWHM = 4.0


@dataclass(frozen=True)
class MeasuredUptake:
    """The content of organs.json, uptake.csv, voi.csv and foci.csv."""

    organs: dict[str, Any]
    lesions: list[dict[str, Any]]
    reasons: list[Reason]
    regions: list[dict[str, Any]]
    foci: list[dict[str, Any]]


def measure_uptake(
    *,
    ct: Volume,
    suv: Volume,
    labels: Volume,
    instances: Volume,
    options: Mapping[str, Any],
    benign: Collection[int] = (),
    regions: Sequence[tuple[str, str, Volume]] = (),
    same_frame: bool = True,
    low_dose_ct: Volume | None = None,
) -> MeasuredUptake:
    """Measure the SUVbw of every lesion and of the reference organs.

    ``labels`` (1 liver, 2 lesion) and ``instances`` lie on the CT's grid; ``suv`` keeps its own. ``options`` are those
    of the config's section `uptake`; ``benign`` lesions have a row but do not count in the totals.
    ``regions`` (name, organ, mask on a grid of its own) are a reader's volumes outside the liver: measured as lesions
    are, in a table of their own, in no total. In the ``same_frame`` of reference the PET is measured where it lies, and
    its shift is told. Otherwise it is first brought onto the CT, through its own ``low_dose_ct`` where there is one, or
    no SUV is given: then every lesion is not evaluable. A region on the PET's own grid stays there, any other lies on
    the CT.
    """
    require_same_grid(labels, ct)
    require_same_grid(instances, ct)
    drawn_on = suv = suv.oriented("RAS")  # so that no figure depends on how the array is laid out
    fwhm_mm = float(options["pet_fwhm_mm"])
    aligned: Alignment | None = None
    if not same_frame:
        aligned = align_pet(
            ct=ct, labels=labels, instances=instances, suv=suv, low_dose_ct=low_dose_ct, fwhm_mm=fwhm_mm,
            limit_mm=float(options["alignment_limit_mm"]),
        )  # fmt: skip
        if aligned.refused:
            return _not_aligned(aligned, instances, regions, benign)
        suv = aligned.placed(suv)
    whole = labels.with_array(labels.array != 0)
    liver = share_inside(whole, suv)
    lesion = share_inside(labels.with_array(instances.array != 0), suv)
    healthy = healthy_liver(suv, liver, lesion, fwhm_mm=fwhm_mm, minimum_ml=float(options["minimum_reference_ml"]))
    abdomen = coarse_abdomen(ct, labels.array != 0)
    landmarks = find_landmarks(abdomen, healthy_liver_hu(ct, labels))
    spleen, blood_pool = spleen_and_blood_pool(abdomen, landmarks, suv, healthy)
    if aligned:
        shift = aligned.as_shift()
    else:
        found = measure_shift(suv, liver, lesion, fwhm_mm=fwhm_mm)
        shift = held_against_body(found, suv, abdomen, fwhm_mm=fwhm_mm)
    references = References(healthy, spleen, blood_pool, shift)
    masks = dict(_masks(instances))
    corrected = _corrected(suv, whole, masks, references.shift, fwhm_mm)
    rows = {
        number: lesion_uptake(mask, suv, references, options, corrected.get(number)) for number, mask in masks.items()
    }
    counted = [
        ({"lesion": number} | row, float(masks[number].array.sum()) * instances.voxel_volume_ml)
        for number, row in rows.items()
        if number not in benign
    ]
    foci = _foci(suv, liver, references, Surroundings(ct, abdomen, landmarks), options)
    organs = {
        "liver": references.liver.as_dict(),
        "spleen": spleen.as_dict(),
        "blood_pool": blood_pool.as_dict(),
        "shift": references.shift.as_dict(),
        "correction": _correction(references.shift, fwhm_mm),
        "foci": foci.as_dict(),
        "totals": totals(counted),
    }
    return MeasuredUptake(
        organs,
        [_written({"lesion": number} | row, UPTAKE_COLUMNS) for number, row in rows.items()],
        _reasons(references, covered_share(whole, suv)),
        [_region(*region, *_pet_of(region[2], drawn_on, suv, references), options) for region in regions],
        [_written({"focus": number} | row, FOCI_COLUMNS) for number, row in enumerate(foci.rows, start=1)],
    )


def _not_aligned(
    aligned: Alignment,
    instances: Volume,
    regions: Sequence[tuple[str, str, Volume]],
    benign: Collection[int],
) -> MeasuredUptake:
    """Everything is there, and nothing has an SUV."""
    why = f"the PET lies in another frame of reference and could not be brought onto the CT: {aligned.refused}"
    empty = {"status": "not evaluable", "status_reason": why}
    voxels = np.bincount(instances.array.ravel())
    volumes = {number: float(voxels[number]) * instances.voxel_volume_ml for number in range(1, len(voxels))}
    lesions = {number: volume_ml for number, volume_ml in volumes.items() if volume_ml}
    counted = [({"lesion": number} | empty, volume) for number, volume in lesions.items() if number not in benign]
    refused = {"refused": why}
    organs = dict.fromkeys(("liver", "spleen", "blood_pool", "correction", "foci"), refused)
    return MeasuredUptake(
        organs | {"shift": aligned.as_shift().as_dict(), "totals": totals(counted)},
        [_written({"lesion": number} | empty, UPTAKE_COLUMNS) for number in lesions],
        [Reason("pet.not_aligned", why[0].upper() + why[1:] + ".")],
        [_written({"voi": name, "organ": organ, "volume_ml": _volume_ml(mask)} | empty, VOI_COLUMNS)
         for name, organ, mask in regions],
        [],
    )  # fmt: skip


def _volume_ml(mask: Volume) -> float:
    return float(mask.array.sum()) * mask.voxel_volume_ml


def _pet_of(mask: Volume, drawn_on: Volume, placed: Volume, references: References) -> tuple[Volume, References]:
    """The PET as it was given, without a shift, for a mask that has its grid; else as it lies on the CT."""
    try:
        require_same_grid(mask.oriented("RAS"), drawn_on)
    except GridMismatchError:
        return placed, references
    return drawn_on, replace(references, shift=Shift(0.0, 0.0, 0.0, 0.0, 0.0, method="drawn on the PET"))


def _masks(instances: Volume) -> Iterator[tuple[int, Volume]]:
    """The number of each lesion, and its mask in the box around it."""
    for number, box in enumerate(ndimage.find_objects(instances.array), start=1):
        if box is not None:
            start, stop = (np.array([getattr(part, end) for part in box]) for end in ("start", "stop"))
            one = instances.cropped(start, stop)
            yield number, one.with_array(one.array == number)


def _corrected(
    suv: Volume, liver: Volume, masks: Mapping[int, Volume], shift: Shift, fwhm_mm: float
) -> dict[int, Corrected]:
    """The corrected SUV of every lesion; none where the masks do not lie where the PET shows the lesions."""
    if not masks or not _lies_on(shift, fwhm_mm):
        return {}
    return correct_partial_volume(around(liver, suv, _MARGIN_FWHM * fwhm_mm), liver, masks.items(), fwhm_mm=fwhm_mm)


def _lies_on(shift: Shift, fwhm_mm: float) -> bool:
    return shift.left_mm is not None and shift.left_mm <= fwhm_mm


def _correction(shift: Shift, fwhm_mm: float) -> dict[str, Any]:
    if not _lies_on(shift, fwhm_mm):
        return {"refused": f"the shift is unknown or exceeds the PET's resolution of {fwhm_mm:g} mm"}
    return {"method": CORRECTION_METHOD, "fwhm_mm": fwhm_mm}


@dataclass(frozen=True)
class _Foci:
    """Candidates above a threshold, or why none were looked for."""

    rows: list[dict[str, Any]]
    threshold_suv: float | None = None
    refused: str = ""

    def as_dict(self) -> dict[str, Any]:
        if self.threshold_suv is None:
            return {"refused": self.refused}
        return {"candidates": len(self.rows), "threshold_suv": round(self.threshold_suv, 3)}


def _foci(
    suv: Volume, liver: Shares, references: References, surroundings: Surroundings, options: Mapping[str, Any]
) -> _Foci:
    organ, shift_mm = references.liver, references.shift.left_mm
    if organ.suv_mean is None or shift_mm is None:
        missing = "no reference in the liver" if organ.suv_mean is None else "the PET's place on the CT is unknown"
        return _Foci([], refused=missing)
    threshold = above_liver(organ.suv_mean, organ.suv_sd or 0.0, float(options["iso_percent"]))
    fwhm_mm = float(options["pet_fwhm_mm"])
    rows = find_foci(suv, liver, surroundings, threshold=threshold, fwhm_mm=fwhm_mm, shift_mm=shift_mm)
    return _Foci([row | {"tumour_to_liver_max": row["suv_max"] / organ.suv_mean} for row in rows], threshold)


def _region(
    name: str, organ: str, mask: Volume, suv: Volume, references: References, options: Mapping[str, Any]
) -> dict[str, Any]:
    numbers = lesion_uptake(mask, suv, references, options)
    return _written({"voi": name, "organ": organ, "volume_ml": _volume_ml(mask)} | numbers, VOI_COLUMNS)


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
    shift, length_mm = references.shift, references.shift.length_mm
    if length_mm is not None and shift.frame == "another":
        text = (
            f"The PET lies in another frame of reference; it was brought onto the CT, to {shift.uncertainty_mm:.0f} mm."
        )
        reasons.append(Reason("pet.aligned", text))
    elif length_mm is None:
        text = f"The shift of the PET was {shift.method}."
        if shift.body_x_mm is not None and shift.body_y_mm is not None:
            text += f" The body's edge lies {np.hypot(shift.body_x_mm, shift.body_y_mm):.0f} mm off, across the body."
        reasons.append(Reason("pet.shift_unknown", text))
    elif length_mm > SHIFTED_FROM_MM:
        reasons.append(Reason("pet.shifted", f"PET and CT lie {length_mm:.0f} mm apart at the liver."))
    if shift.apart_mm is not None and shift.apart_mm > SHIFTED_FROM_MM:
        text = f"The liver's edge and the body's edge tell shifts that lie {shift.apart_mm:.0f} mm apart."
        reasons.append(Reason("pet.shift_unknown", text))
    return reasons
