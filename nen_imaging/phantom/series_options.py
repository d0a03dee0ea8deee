"""What a written series may be told: who the patient is, when it was, what is odd about it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from pydicom.uid import ExplicitVRLittleEndian

SliceOrder = Literal["ascending", "descending", "shuffled"]


@dataclass(frozen=True)
class PatientTags:
    """Who the patient is, as the Patient and Patient Study modules say it."""

    patient_id: str = "PHANTOM-1"
    name: str = "Phantom^Digital"
    birth_date: str = "19600101"
    sex: str = "F"
    issuer: str | None = None
    size_m: float | None = 1.70
    weight_kg: float | None = 70.0


class SeriesOptions(TypedDict, total=False):
    """What both writers take as keywords; `DEFAULTS` holds the values of those left out."""

    patient: PatientTags
    date: dt.date
    time: dt.time
    series_description: str
    series_number: int
    study_description: str
    slice_order: SliceOrder
    """How InstanceNumber and the file names run along the slice axis of the volume."""
    skip_slices: Collection[int]
    """Slice indices that are not written: a gap."""
    tags: Mapping[str, Any]
    """Keyword -> value; None deletes the attribute, "" empties it, a function is called with the slice index.
    ``"RadiopharmaceuticalInformationSequence.RadionuclideTotalDose"`` reaches into the first item of a sequence."""
    private: Mapping[tuple[int, str], Mapping[int, tuple[str, Any]]]
    """(group, private creator) -> {element: (VR, value)}"""
    transfer_syntax: str
    """Any native one, and those that pydicom can encode here: RLE and JPEG-LS."""
    extension: str
    """Ending of the file names, with its dot; "" for none, as on a CD."""
    seed: int
    """Another seed gives other UIDs."""


DEFAULTS: SeriesOptions = {
    "patient": PatientTags(),
    "date": dt.date(2020, 1, 15),
    "time": dt.time(10, 15),
    "series_description": "Abdomen portal venous",
    "series_number": 2,
    "study_description": "CT abdomen",
    "slice_order": "ascending",
    "skip_slices": (),
    "tags": {},
    "private": {},
    "transfer_syntax": ExplicitVRLittleEndian,
    "extension": "",
    "seed": 0,
}
PET_DEFAULTS: SeriesOptions = DEFAULTS | {"series_description": "PET 68Ga-DOTATOC", "series_number": 3}
