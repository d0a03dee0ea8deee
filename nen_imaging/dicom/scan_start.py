"""When a PET scan began: the moment to which its values are corrected for decay (rows 3 to 5 of the decision table)."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta

from nen_imaging.contract import Refusal
from nen_imaging.dicom.pet_header import PetHeader, SliceTiming, tag_name
from nen_imaging.dicom.pet_values import Ledger, time_of_day

_DAY = timedelta(days=1)
_ONE_START = timedelta(seconds=60)  # starts taken back from slices agree: 60 s are 1 % of a decay of 68Ga


_Starts = tuple[list[datetime], str] | None


def scan_starts(header: PetHeader, half_life_s: float, ledger: Ledger) -> tuple[list[datetime], str]:
    """Rows 3 to 5: the moment to which decay was corrected, per slice; the first rule that applies."""
    for rule in _START_RULES:
        found = rule(header, half_life_s, ledger)
        if found is not None:
            return found
    raise Refusal(
        "pet.time_missing",
        f"{tag_name('SeriesTime')} and {tag_name('AcquisitionTime')} are missing (with their dates): "
        "the start of the scan is unknown.",
    )


def _start_of_series(header: PetHeader, half_life_s: float, ledger: Ledger) -> _Starts:  # noqa: ARG001
    start, earliest = header.series_start, header.earliest_acquisition
    if start is None or (earliest is not None and start > earliest):
        return None
    ledger.use("SeriesTime", time_of_day(start, start), how="not later than any acquisition")
    return [start] * len(header.slices), "series time"


def _start_by_vendor(header: PetHeader, half_life_s: float, ledger: Ledger) -> _Starts:  # noqa: ARG001
    """A private scan date-time; de-identification may have moved it to another date: then it is of no use."""
    candidates = {"GEScanDateTime": header.ge_scan_start, "SiemensScanDateTime": header.siemens_scan_start}
    earliest = header.earliest_acquisition
    for keyword, start in candidates.items():
        if start is None or (earliest is not None and not timedelta(0) <= earliest - start < _DAY):
            continue
        ledger.use(keyword, time_of_day(start, start), how="private; the series time is later than the acquisition")
        return [start] * len(header.slices), "vendor's private scan time"
    return None


def _start_by_frame_reference(header: PetHeader, half_life_s: float, ledger: Ledger) -> _Starts:
    """Acquisition minus reference time plus average count time, where every slice leads to one start (row 5)."""
    is_ge = header.manufacturer.upper().startswith("GE")
    starts = [_start_of_slice(timing, half_life_s, is_ge=is_ge) for timing in header.slices]
    known = [start for start in starts if start is not None]
    if not known or len(known) < len(starts) or max(known) - min(known) > _ONE_START:
        return None
    first = header.slices[0]
    ledger.use(
        "AcquisitionTime", time_of_day(min(known), min(known)), how="of each slice, taken back to the scan's start"
    )
    ledger.use("FrameReferenceTime", first.frame_reference_ms or 0.0, "ms", how="of each slice; the first is shown")
    ledger.use("ActualFrameDuration", first.frame_duration_ms or 0.0, "ms", how="of each slice; the first is shown")
    return known, "acquisition less frame reference time"


def _start_of_slice(timing: SliceTiming, half_life_s: float, *, is_ge: bool) -> datetime | None:
    if timing.acquisition is None or not timing.frame_reference_ms or timing.frame_reference_ms < 0:
        return None
    before = timing.acquisition - timedelta(milliseconds=timing.frame_reference_ms)
    if is_ge:  # GE writes the start of the bed, not the average count time
        return before
    if not timing.frame_duration_ms or timing.frame_duration_ms < 0:
        return None
    return before + timedelta(seconds=average_count_time_s(timing.frame_duration_ms / 1000.0, half_life_s))


def _start_of_first_acquisition(header: PetHeader, half_life_s: float, ledger: Ledger) -> _Starts:  # noqa: ARG001
    start = header.earliest_acquisition
    if start is None:
        return None
    ledger.use("AcquisitionTime", time_of_day(start, start), how="the earliest of the series")
    ledger.warn(
        "pet.scan_start_uncertain",
        "The series time is later than the acquisition or missing, and no other time tells the scan's start: "
        "the earliest acquisition was taken.",
    )
    return [start] * len(header.slices), "earliest acquisition"


_StartRule = Callable[[PetHeader, float, Ledger], _Starts]
_START_RULES: tuple[_StartRule, ...] = (
    _start_of_series,
    _start_by_vendor,
    _start_by_frame_reference,
    _start_of_first_acquisition,
)


def average_count_time_s(frame_duration_s: float, half_life_s: float) -> float:
    """The time into a frame at which the activity equals its average over the frame (row 4)."""
    decays = math.log(2) / half_life_s * frame_duration_s
    return math.log(decays / -math.expm1(-decays)) * half_life_s / math.log(2)
