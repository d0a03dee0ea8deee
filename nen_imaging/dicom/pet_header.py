"""The header of a PET series, typed: what stands there, and whence; nothing is judged here (that is `suv`).

Values that a person supplied (`corrections.csv`) are laid over the header and keep that source.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pydicom import Dataset
from pydicom.datadict import keyword_for_tag, tag_for_keyword

from nen_imaging.contract import Refusal

_SERIES = (
    "Units", "SUVType", "DecayCorrection", "CorrectedImage", "PatientWeight", "PatientSize", "PatientSex",
    "SeriesDate", "SeriesTime", "Manufacturer", "TimezoneOffsetFromUTC",
)  # fmt: skip
_SLICE = ("AcquisitionDate", "AcquisitionTime", "FrameReferenceTime", "ActualFrameDuration")
_RADIOPHARMACEUTICAL = (
    "RadionuclideTotalDose", "RadionuclideHalfLife", "RadiopharmaceuticalStartDateTime",
    "RadiopharmaceuticalStartTime", "Radiopharmaceutical",
)  # fmt: skip
_CODES = {"RadionuclideCodeSequence": "Radionuclide", "RadiopharmaceuticalCodeSequence": "RadiopharmaceuticalCode"}
# What several items of RadiopharmaceuticalInformationSequence must agree in, and the correction that settles it.
_OF_ONE_INJECTION = {
    "RadionuclideTotalDose": "RadionuclideTotalDose",
    "RadionuclideHalfLife": "RadionuclideHalfLife",
    "RadionuclideValue": "RadionuclideHalfLife",
    "RadiopharmaceuticalStartDateTime": "RadiopharmaceuticalStartDateTime",
    "RadiopharmaceuticalStartTime": "RadiopharmaceuticalStartDateTime",
}
_DIFFERING = "DifferingInjections"
# Private elements by the name used here: group, creator, element within the creator's block.
PRIVATE_TAGS = {
    "GEScanDateTime": (0x0009, "GEMS_PETD_01", 0x0D),
    "SiemensScanDateTime": (0x0071, "SIEMENS MED PT", 0x22),
    "PhilipsSUVScaleFactor": (0x7053, "Philips PET Private Group", 0x00),
    "PhilipsActivityConcentrationScaleFactor": (0x7053, "Philips PET Private Group", 0x09),
}
# Slices of one series must agree in these (REFERENCE section 2, row 19).
_MUST_AGREE = (
    "Units", "SUVType", "DecayCorrection", "CorrectedImage", "PatientWeight", "PatientSize", "PatientSex",
    "SeriesDate", "SeriesTime", "RadionuclideTotalDose", "RadionuclideHalfLife", "RadiopharmaceuticalStartDateTime",
    "RadiopharmaceuticalStartTime", "PhilipsSUVScaleFactor", "PhilipsActivityConcentrationScaleFactor",
)  # fmt: skip

_DATE_TIME = re.compile(r"(\d{8})[ T]?(\d{4,6}(?:\.\d+)?)([+-]\d{4})?")
_QUARTER_HOUR, _ONE_MINUTE = timedelta(minutes=15), timedelta(minutes=1)
_WESTERNMOST = timedelta(hours=-10, minutes=-1)  # local times from Hawaii's to +1345; a minute for seconds cut off

RawHeader = Mapping[str, str]


@dataclass(frozen=True)
class SliceTiming:
    """When one slice was measured: start of its acquisition, reference time after the scan's start, duration."""

    acquisition: datetime | None
    frame_reference_ms: float | None
    frame_duration_ms: float | None


@dataclass(frozen=True)
class PetHeader:
    """The header of one PET series. None: the tag is missing, empty or no number; units are DICOM's, unchecked."""

    units: str = ""
    suv_type: str = ""
    decay_correction: str = ""
    corrections_done: frozenset[str] = frozenset()
    manufacturer: str = ""
    weight_kg: float | None = None
    height_m: float | None = None
    sex: str | None = None
    dose_bq: float | None = None
    half_life_s: float | None = None
    series_start: datetime | None = None
    administration: datetime | None = None
    administration_time: timedelta | None = None  # since midnight, of an unknown day
    zone_unknown: bool = False  # the administration is told by an offset from UTC, and nothing tells the scan's own
    ge_scan_start: datetime | None = None
    siemens_scan_start: datetime | None = None
    philips_suv_factor: float | None = None
    philips_activity_factor: float | None = None
    nuclide_code: str | None = None
    nuclide_text: str | None = None
    tracer_text: str | None = None
    differing: frozenset[str] = frozenset()
    """Keywords that several injections of one header give different values; a correction settles them."""
    slices: tuple[SliceTiming, ...] = ()
    corrected: frozenset[str] = field(default_factory=frozenset)
    """Keywords whose value was supplied by `corrections.csv`."""
    as_written: PetHeader | None = None
    """The header without them, where there are any: what a scanner stored as SUV rests on it."""

    @property
    def earliest_acquisition(self) -> datetime | None:
        return min((timing.acquisition for timing in self.slices if timing.acquisition), default=None)


def raw_header(dataset: Dataset) -> dict[str, str]:
    """The elements of one slice that SUV rests on, as stripped text by keyword; missing and empty ones are left out."""
    values = {keyword: _text(dataset.get(keyword)) for keyword in _SERIES + _SLICE}
    values |= _injected([_injection(item) for item in dataset.get("RadiopharmaceuticalInformationSequence") or []])
    values |= {name: _private(dataset, *place) for name, place in PRIVATE_TAGS.items()}
    return {keyword: text for keyword, text in values.items() if text}


def _injection(item: Dataset) -> dict[str, str]:
    values = {keyword: _text(item.get(keyword)) for keyword in _RADIOPHARMACEUTICAL}
    for keyword, name in _CODES.items():
        code = (item.get(keyword) or [Dataset()])[0]
        values |= {f"{name}Value": _text(code.get("CodeValue")), f"{name}Meaning": _text(code.get("CodeMeaning"))}
    return values


def _injected(items: Sequence[RawHeader]) -> dict[str, str]:
    """What all items of RadiopharmaceuticalInformationSequence say; where they differ, only that they do."""
    found = {
        keyword: {_number(item[keyword]) or item[keyword]: item[keyword] for item in items if item[keyword]}
        for keyword in (items[0] if items else ())
    }
    shared = {keyword: next(iter(texts.values())) for keyword, texts in found.items() if len(texts) == 1}
    differing = [keyword for keyword, texts in found.items() if len(texts) > 1 and keyword in _OF_ONE_INJECTION]
    return shared | {_DIFFERING: "\\".join(differing)}


def pet_header(slices: Sequence[RawHeader], corrections: Mapping[str, str] | None = None) -> PetHeader:
    """The header of a series from those of its slices, in their order.

    Parameters
    ----------
    slices
        `raw_header` of each slice.
    corrections
        Values of `corrections.csv` by keyword (see `correction_keyword`); they replace the header's.

    Raises
    ------
    Refusal
        ``pet.inconsistent``: slices disagree in a value that one series must share.
    """
    if not corrections:
        _require_agreement(slices)
        return _typed(slices)
    laid_over = [_laid_over(raw, corrections) for raw in slices]
    _require_agreement(laid_over)
    header, corrected = _typed(laid_over), frozenset(corrections)
    return replace(header, differing=header.differing - corrected, corrected=corrected, as_written=_typed(slices))


def _laid_over(raw: RawHeader, corrections: Mapping[str, str]) -> RawHeader:
    """The header with a person's values, and without those that they replace by another keyword."""
    outdated = "RadiopharmaceuticalStartTime" if "RadiopharmaceuticalStartDateTime" in corrections else ""
    day = {} if raw.get("SeriesDate") else {"SeriesDate": corrections.get("AcquisitionDate", "")}
    return {keyword: text for keyword, text in raw.items() if keyword != outdated} | day | dict(corrections)


def _typed(slices: Sequence[RawHeader]) -> PetHeader:
    first = slices[0]
    offset = first.get("TimezoneOffsetFromUTC")
    administration, zone_unknown = _administration(first)
    return PetHeader(
        units=first.get("Units", "").upper(),
        suv_type=first.get("SUVType", "").upper(),
        decay_correction=first.get("DecayCorrection", "").upper(),
        corrections_done=frozenset(first.get("CorrectedImage", "").upper().split("\\")) - {""},
        manufacturer=first.get("Manufacturer", ""),
        weight_kg=_number(first.get("PatientWeight")),
        height_m=_number(first.get("PatientSize")),
        sex=first.get("PatientSex", "").upper() or None,
        dose_bq=_number(first.get("RadionuclideTotalDose")),
        half_life_s=_number(first.get("RadionuclideHalfLife")),
        series_start=_moment(first.get("SeriesDate"), first.get("SeriesTime")),
        administration=administration,
        zone_unknown=zone_unknown,
        administration_time=parse_time(first.get("RadiopharmaceuticalStartTime")),
        ge_scan_start=parse_datetime(first.get("GEScanDateTime"), offset),
        siemens_scan_start=parse_datetime(first.get("SiemensScanDateTime"), offset),
        philips_suv_factor=_number(first.get("PhilipsSUVScaleFactor")),
        philips_activity_factor=_number(first.get("PhilipsActivityConcentrationScaleFactor")),
        nuclide_code=first.get("RadionuclideValue"),
        nuclide_text=first.get("RadionuclideMeaning"),
        tracer_text=" ".join(
            first[key]
            for key in ("Radiopharmaceutical", "RadiopharmaceuticalCodeValue", "RadiopharmaceuticalCodeMeaning")
            if key in first
        )
        or None,
        differing=frozenset(_OF_ONE_INJECTION[name] for name in first.get(_DIFFERING, "").split("\\") if name),
        slices=tuple(_timing(raw) for raw in slices),
    )


def correction_keyword(tag: str) -> str:
    """The DICOM keyword that a row of `corrections.csv` names: itself, or by number as ``(0010,1030)``.

    Raises ValueError for a name that DICOM does not know.
    """
    number = re.fullmatch(r"\(?\s*([0-9A-Fa-f]{4})\s*,\s*([0-9A-Fa-f]{4})\s*\)?.*", tag.strip())
    keyword = keyword_for_tag(int(number[1] + number[2], 16)) if number else tag.strip()
    if not keyword or tag_for_keyword(keyword) is None:
        raise ValueError(f"corrections.csv names the tag {tag!r}, which DICOM does not know.")
    return keyword


def tag_name(keyword: str) -> str:
    """A tag as people write it: ``(0010,1030) PatientWeight``; private ones with their creator's block."""
    if keyword in PRIVATE_TAGS:
        group, creator, element = PRIVATE_TAGS[keyword]
        return f"({group:04x},10{element:02x}) {creator}"
    number = tag_for_keyword(keyword) or 0
    return f"({number >> 16:04x},{number & 0xFFFF:04x}) {keyword}"


def parse_time(text: str | None) -> timedelta | None:
    """A DICOM TM (``HHMMSS.ffffff``, also the old ``HH:MM:SS``) as the time since midnight."""
    match = re.fullmatch(r"(\d{2}):?(\d{2}):?(\d{2})?(\.\d+)?", (text or "").strip())
    if not match:
        return None
    hours, minutes, seconds = int(match[1]), int(match[2]), int(match[3] or 0)
    if hours > 23 or minutes > 59 or seconds > 60:
        return None
    return timedelta(hours=hours, minutes=minutes, seconds=seconds + float(match[4] or 0))


def parse_date(text: str | None) -> datetime | None:
    """A DICOM DA (``YYYYMMDD``, also the old ``YYYY.MM.DD``) as that day's midnight."""
    digits = (text or "").strip().replace(".", "").replace("-", "")
    try:
        return datetime.strptime(digits, "%Y%m%d")
    except ValueError:
        return None


def parse_datetime(text: str | None, local_offset: str | None = None) -> datetime | None:
    """A DICOM DT with at least minutes, as local time.

    An offset from UTC inside the value is changed to the series' own (``TimezoneOffsetFromUTC``) where both are known.
    """
    match = _DATE_TIME.fullmatch((text or "").strip())
    if not match:
        return None
    moment = _moment(match[1], match[2])
    own, local = _offset(match[3]), _offset(local_offset)
    if moment is None or own is None or local is None:
        return moment
    return _later(moment, local - own)


def _later(moment: datetime, by: timedelta) -> datetime | None:
    try:
        return moment + by
    except OverflowError:  # a placeholder, as 00010101, has no day before
        return None


def _offset(text: str | None) -> timedelta | None:
    """An offset from UTC, ``+0130``."""
    if not re.fullmatch(r"[+-]\d{4}", text or ""):
        return None
    assert text
    minutes = int(text[1:3]) * 60 + int(text[3:])
    return timedelta(minutes=-minutes if text[0] == "-" else minutes)


def _administration(raw: RawHeader) -> tuple[datetime | None, bool]:
    """The start of the injection as local time, and whether it is lost for want of a local offset from UTC.

    RadiopharmaceuticalStartTime is local (PS3.3 C.8.9.2) and tells the offset where it differs by whole quarter hours.
    """
    text, local = raw.get("RadiopharmaceuticalStartDateTime"), raw.get("TimezoneOffsetFromUTC")
    moment, match = parse_datetime(text, local), _DATE_TIME.fullmatch(text or "")
    own = _offset(match[3]) if match else None
    if moment is None or own is None or _offset(local) is not None:
        return moment, False
    clock = parse_time(raw.get("RadiopharmaceuticalStartTime"))
    if clock is None:
        return None, True
    shift = clock - (moment - datetime.combine(moment, datetime.min.time()))
    if abs(shift - round(shift / _QUARTER_HOUR) * _QUARTER_HOUR) > _ONE_MINUTE:
        return None, True
    local_offset = (own + shift - _WESTERNMOST) % timedelta(days=1) + _WESTERNMOST
    return _later(moment, local_offset - own), False


def _moment(date: str | None, time: str | None) -> datetime | None:
    day, since_midnight = parse_date(date), parse_time(time)
    return day + since_midnight if day is not None and since_midnight is not None else None


def _timing(raw: RawHeader) -> SliceTiming:
    return SliceTiming(
        acquisition=_moment(raw.get("AcquisitionDate") or raw.get("SeriesDate"), raw.get("AcquisitionTime")),
        frame_reference_ms=_number(raw.get("FrameReferenceTime")),
        frame_duration_ms=_number(raw.get("ActualFrameDuration")),
    )


def _require_agreement(slices: Sequence[RawHeader]) -> None:
    for keyword in _MUST_AGREE:
        found = {_number(raw.get(keyword)) or raw.get(keyword) for raw in slices}
        if len(found) > 1:
            raise Refusal(
                "pet.inconsistent",
                f"{len(slices)} slices hold {len(found)} different values of {tag_name(keyword)}; need one.",
            )


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", "ignore")
    if isinstance(value, str) or not isinstance(value, Sequence):
        return "" if value is None else str(value).strip("\0 ")
    return "\\".join(str(item).strip() for item in value)


def _private(dataset: Dataset, group: int, creator: str, element: int) -> str:
    try:
        value = dataset.private_block(group, creator)[element].value
    except KeyError:
        found = dataset.get((group, 0x1000 + element))  # creators are lost more often than their elements
        value = None if found is None else found.value
    return _text(value)
