"""Corrections of SUV that the scanner stored: made with what the header says, so only ratios to that correct them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nen_imaging.contract import Refusal
from nen_imaging.dicom import body_size
from nen_imaging.dicom.pet_header import PetHeader, tag_name
from nen_imaging.dicom.pet_values import Ledger, body_size_of, dose_bq_of, weight_kg_of

_DECAY_IN_SUV = {
    "RadionuclideHalfLife": "half_life_s",
    "RadiopharmaceuticalStartDateTime": "administration",
    "RadiopharmaceuticalStartTime": "administration_time",
}
IN_STORED_SUV = {"PatientWeight", "RadionuclideTotalDose", *_DECAY_IN_SUV}
_OF_THE_BODY = {"PatientWeight": "weight_kg", "PatientSize": "height_m", "PatientSex": "sex"}


def weight_ratio(header: PetHeader, ledger: Ledger) -> float:
    """The corrected weight over the written one."""
    return _corrected_over_written("PatientWeight", weight_kg_of, header, ledger)


def dose_ratio(header: PetHeader, ledger: Ledger) -> float:
    """The written dose over the corrected one; refuses corrections of its decay, which no ratio can follow."""
    for keyword, name in _DECAY_IN_SUV.items():
        if keyword in header.corrected and getattr(header, name) != getattr(header.as_written, name, None):
            raise _not_correctable(keyword, "with another value")
    return 1 / _corrected_over_written("RadionuclideTotalDose", dose_bq_of, header, ledger)


def _corrected_over_written(
    keyword: str, take: Callable[[PetHeader, Ledger], float], header: PetHeader, ledger: Ledger
) -> float:
    if keyword not in header.corrected:
        return 1.0
    written = header.as_written or PetHeader()
    try:
        written_value = take(written, Ledger(written))
    except Refusal as refusal:
        raise _not_correctable(keyword, "with a value that the header does not tell") from refusal
    return take(header, ledger) / written_value


def _not_correctable(keyword: str, how: str) -> Refusal:
    text = f"corrections.csv supplies {tag_name(keyword)}, but the pixels hold SUV that was computed {how}."
    return Refusal("pet.not_correctable", text)


def size_in_suv(size: body_size.BodySize, header: PetHeader, ledger: Ledger) -> float:
    """The size of the body that a stored SUV was made with: the header's; a correction fills only what it lacks."""
    written = header.as_written
    if written is None:
        return body_size_of(size, header, ledger)
    filled = {keyword: name for keyword, name in _OF_THE_BODY.items() if not getattr(written, name)}
    values = {name: getattr(header, name) for name in filled.values()}
    made_with = replace(written, **values, corrected=header.corrected.intersection(filled))
    return body_size_of(size, made_with, Ledger(made_with, ledger.used, ledger.reasons))
