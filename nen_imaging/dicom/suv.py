"""From stored PET values to SUVbw: the rules as tables over a typed header.

Sources: QIBA's vendor-neutral pseudo-code, the IBSI-SUV manual (2026-02), and what MITK and MIRP document; the row
numbers in the comments are those of the decision table in the project's reference (and in the tests).

A factor turns ``stored x RescaleSlope + RescaleIntercept`` of a slice into SUVbw (g/ml). Every value that it rests on
is returned beside it with its source; what cannot be decided is refused with the tag that is missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from nen_imaging.contract import Reason, Refusal
from nen_imaging.dicom import body_size
from nen_imaging.dicom.codes import Nuclide, nuclide_of, tracer_of
from nen_imaging.dicom.pet_header import PRIVATE_TAGS, PetHeader, SliceTiming, tag_name

_MEGABECQUEREL_BELOW = 1e5  # a dose below this was written in MBq: clinical doses lie near 4e8 Bq or 4e2 MBq
_GRAMS_ABOVE = 1000.0
_CENTIMETRES_ABOVE = 3.0
_PLAUSIBLE_WEIGHT_KG = (2.0, 400.0)
_PLAUSIBLE_HEIGHT_M = (0.4, 2.6)
_PLAUSIBLE_DOSE_BQ = (1e6, 5e10)
_MOST_HALF_LIVES = 10.0  # after these 0.1 % of the dose is left: no image is made of it
_DAY = timedelta(days=1)
_ONE_START = timedelta(seconds=60)  # starts taken back from slices agree: 60 s are 1 % of a decay of 68Ga
_DICOM_UNITS = frozenset(
    ["PROPCNTS", "PROPCPS", "CPS", "1CM", "1/CM", "CM2", "PCNT", "NONE", "MGMINML", "UMOLMINML", "MLMING", "MLG", "UMOLML", "STDDEV"]
)
_DICOM_CORRECTIONS = frozenset(["DECY", "ATTN", "SCAT", "DTIM", "MOTN", "PMOT", "CLN", "RAN", "RADL", "DCAL", "NORM", "SLSENS", "RANSNG", "UNIF"])


@dataclass(frozen=True)
class UsedValue:
    """A value that a factor rests on: times as time of day, with the day relative to the scan's where it differs."""

    name: str
    value: float | str
    unit: str
    tag: str
    source: str


@dataclass(frozen=True)
class SuvFactor:
    """The factors of a series, one per slice in the header's order, and all they rest on."""

    per_slice: tuple[float, ...]
    rule: str
    used: tuple[UsedValue, ...]
    reasons: tuple[Reason, ...]
    missing_private: tuple[str, ...]
    nuclide: str | None
    tracer: str | None


@dataclass
class _Ledger:
    """Collects, while a rule is applied, which values it took and what has to be said about them."""

    header: PetHeader
    used: list[UsedValue] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)

    def use(self, keyword: str, value: float | str, unit: str = "", *, how: str = "") -> None:
        source = "corrections.csv" if keyword in self.header.corrected else "header"
        entry = UsedValue(keyword, value, unit, tag_name(keyword), f"{source}, {how}" if how else source)
        if entry not in self.used:
            self.used.append(entry)

    def warn(self, code: str, text: str) -> None:
        reason = Reason(code, text)
        if reason not in self.reasons:
            self.reasons.append(reason)


def suv_factor(header: PetHeader) -> SuvFactor:
    """The factor to SUVbw of every slice of a PET series.

    Raises
    ------
    Refusal
        A value is missing or implausible, or the series cannot be converted (``pet.*``); the text names the tag.
    """
    rule = _UNIT_RULES.get(header.units)
    if rule is None:  # row 12
        raise Refusal(
            "pet.units",
            f"{tag_name('Units')} is {_known(header.units, _DICOM_UNITS)}; {', '.join(_UNIT_RULES)} can be converted.",
        )
    ledger = _Ledger(header)
    ledger.use("Units", header.units)
    _require_corrections(header, ledger)
    factors, name = rule(header, ledger)
    if header.corrected:
        names = ", ".join(tag_name(keyword) for keyword in sorted(header.corrected))
        ledger.warn("pet.corrected", f"corrections.csv supplied {names}.")
    nuclide = _nuclide(header)
    return SuvFactor(
        per_slice=tuple(factors),
        rule=name,
        used=tuple(ledger.used),
        reasons=tuple(ledger.reasons),
        missing_private=_missing_private(header),
        nuclide=nuclide.name if nuclide else None,
        tracer=tracer_of(header.tracer_text),
    )


def _require_corrections(header: PetHeader, ledger: _Ledger) -> None:
    """Row 13: attenuation always, decay unless it says that nothing was done about it (row 7)."""
    done = header.corrections_done
    ledger.use("CorrectedImage", " ".join(sorted(done & _DICOM_CORRECTIONS)) or "missing")
    if "ATTN" not in done:
        raise Refusal(
            "pet.uncorrected", f"{tag_name('CorrectedImage')} does not name ATTN: attenuation is uncorrected."
        )
    is_activity = header.units in ("BQML", "CNTS")
    if is_activity and header.decay_correction in ("START", "ADMIN") and "DECY" not in done:
        raise Refusal(
            "pet.uncorrected",
            f"{tag_name('DecayCorrection')} is {header.decay_correction}, but {tag_name('CorrectedImage')} names "
            "no DECY.",
        )


# --- units ---------------------------------------------------------------------------------------------------------


def _from_activity(header: PetHeader, ledger: _Ledger) -> tuple[list[float], str]:
    """Rows 1, 6, 7: Bq/ml, by how decay was corrected."""
    rule = _DECAY_RULES.get(header.decay_correction)
    if rule is None:
        raise Refusal(
            "pet.uncorrected",
            f"{tag_name('DecayCorrection')} is {_known(header.decay_correction, ())}; known are "
            f"{', '.join(_DECAY_RULES)}.",
        )
    ledger.use("DecayCorrection", header.decay_correction)
    weight_kg, dose_bq = _weight_kg(header, ledger), _dose_bq(header, ledger)
    remaining, name = rule(header, ledger)
    return [1000.0 * weight_kg / (dose_bq * share) for share in remaining], f"Bq/ml; {name}"


def _from_counts(header: PetHeader, ledger: _Ledger) -> tuple[list[float], str]:
    """Row 9: Philips' counts."""
    if header.philips_suv_factor:  # 0 says "not convertible by this one"
        ledger.use("PhilipsSUVScaleFactor", header.philips_suv_factor, "g/ml per count")
        return [header.philips_suv_factor] * len(header.slices), "counts x Philips' SUV scale factor"
    if header.philips_activity_factor:
        ledger.use("PhilipsActivityConcentrationScaleFactor", header.philips_activity_factor, "Bq/ml per count")
        factors, name = _from_activity(header, ledger)
        return [header.philips_activity_factor * factor for factor in factors], f"counts x Philips' factor to {name}"
    raise Refusal(
        "pet.factor_missing",
        f"Units are CNTS, and neither {tag_name('PhilipsSUVScaleFactor')} nor "
        f"{tag_name('PhilipsActivityConcentrationScaleFactor')} holds a factor. "
        "De-identification often removes such private tags.",
    )


def _from_suv(header: PetHeader, ledger: _Ledger) -> tuple[list[float], str]:
    """Row 10: already SUV; another normalisation is turned back to body weight."""
    kind = header.suv_type or "BW"
    if kind == "BW":
        ledger.use("SUVType", kind, how="" if header.suv_type else "empty means body weight")
        return [1.0] * len(header.slices), "SUVbw already"
    size = _SUV_TYPES.get(kind)
    if size is None:
        raise Refusal("pet.units", f"Units are GML, and {tag_name('SUVType')} is none of DICOM's kinds.")
    ledger.use("SUVType", kind)
    weight_kg, size_kg = _weight_kg(header, ledger), _body_size(size, header, ledger)
    return [weight_kg / size_kg] * len(header.slices), f"SUV ({kind}) x weight / body size"


def _from_surface(header: PetHeader, ledger: _Ledger) -> tuple[list[float], str]:
    """Row 11: SUV by body surface, cm2/ml."""
    weight_kg = _weight_kg(header, ledger)
    surface_cm2 = 1e4 * _body_size(body_size.body_surface_m2, header, ledger)
    return [1000.0 * weight_kg / surface_cm2] * len(header.slices), "SUVbsa x weight / body surface"


_UnitRule = Callable[[PetHeader, _Ledger], tuple[list[float], str]]
_UNIT_RULES: dict[str, _UnitRule] = {
    "BQML": _from_activity,
    "CNTS": _from_counts,
    "GML": _from_suv,
    "CM2ML": _from_surface,
}
_SUV_TYPES: dict[str, body_size.BodySize] = {
    "LBM": body_size.lean_body_mass_120_kg,
    "LBMJAMES128": body_size.lean_body_mass_james_kg,
    "LBMJANMA": body_size.lean_body_mass_janmahasatian_kg,
    "IBW": body_size.ideal_body_weight_kg,
}


# --- decay: which share of the administered dose an image's values refer to, per slice -------------------------------


def _at_start(header: PetHeader, ledger: _Ledger) -> tuple[list[float], str]:
    """Rows 1, 3, 4: values refer to the start of the scan."""
    half_life_s = _half_life_s(header, ledger)
    starts, name = _scan_starts(header, half_life_s, ledger)
    administration = _administration(header, min(starts), ledger)
    elapsed_s = [(start - administration).total_seconds() for start in starts]
    _require_plausible_decay(max(elapsed_s), half_life_s)
    return [2.0 ** (-seconds / half_life_s) for seconds in elapsed_s], f"dose decayed to the scan's start ({name})"


def _at_administration(header: PetHeader, ledger: _Ledger) -> tuple[list[float], str]:  # noqa: ARG001
    """Row 6: values refer to the administration; the dose counts as written."""
    return [1.0] * len(header.slices), "decay corrected to administration; dose as written"


def _not_at_all(header: PetHeader, ledger: _Ledger) -> tuple[list[float], str]:
    """Row 7: each slice decayed until its own time, and during its frame."""
    if "DECY" in header.corrections_done:
        raise Refusal(
            "pet.decay_contradiction",
            f"{tag_name('DecayCorrection')} is NONE, but {tag_name('CorrectedImage')} names DECY: one is wrong.",
        )
    half_life_s = _half_life_s(header, ledger)
    earliest = header.earliest_acquisition
    if earliest is None or any(timing.acquisition is None for timing in header.slices):
        raise Refusal("pet.time_missing", f"Decay is uncorrected, and {tag_name('AcquisitionTime')} is missing.")
    administration = _administration(header, earliest, ledger)
    ledger.use("AcquisitionTime", _clock(earliest, earliest), how="of each slice; the earliest is shown")
    shares = []
    for timing in header.slices:
        if not timing.frame_duration_ms or timing.frame_duration_ms < 0:
            raise Refusal(
                "pet.frame_duration_missing", f"Decay is uncorrected, and {tag_name('ActualFrameDuration')} is missing."
            )
        ledger.use("ActualFrameDuration", timing.frame_duration_ms, "ms")
        assert timing.acquisition is not None
        elapsed_s = (timing.acquisition - administration).total_seconds()
        _require_plausible_decay(elapsed_s, half_life_s)
        decays_in_frame = math.log(2) / half_life_s * timing.frame_duration_ms / 1000.0
        shares.append(2.0 ** (-elapsed_s / half_life_s) * -math.expm1(-decays_in_frame) / decays_in_frame)
    return shares, "decay uncorrected: each slice by its own time and frame"


_DecayRule = Callable[[PetHeader, _Ledger], tuple[list[float], str]]
_DECAY_RULES: dict[str, _DecayRule] = {"START": _at_start, "ADMIN": _at_administration, "NONE": _not_at_all}


# --- start of the scan -----------------------------------------------------------------------------------------------


def _scan_starts(header: PetHeader, half_life_s: float, ledger: _Ledger) -> tuple[list[datetime], str]:
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


_Starts = tuple[list[datetime], str] | None


def _start_of_series(header: PetHeader, half_life_s: float, ledger: _Ledger) -> _Starts:  # noqa: ARG001
    start, earliest = header.series_start, header.earliest_acquisition
    if start is None or (earliest is not None and start > earliest):
        return None
    ledger.use("SeriesTime", _clock(start, start), how="not later than any acquisition")
    return [start] * len(header.slices), "series time"


def _start_by_vendor(header: PetHeader, half_life_s: float, ledger: _Ledger) -> _Starts:  # noqa: ARG001
    """A private scan date-time; de-identification may have moved it to another date: then it is of no use."""
    candidates = {"GEScanDateTime": header.ge_scan_start, "SiemensScanDateTime": header.siemens_scan_start}
    earliest = header.earliest_acquisition
    for keyword, start in candidates.items():
        if start is None or (earliest is not None and not timedelta(0) <= earliest - start < _DAY):
            continue
        ledger.use(keyword, _clock(start, start), how="private; the series time is later than the acquisition")
        return [start] * len(header.slices), "vendor's private scan time"
    return None


def _start_by_frame_reference(header: PetHeader, half_life_s: float, ledger: _Ledger) -> _Starts:
    """Acquisition minus reference time plus the average count time, where every slice leads to the same start (row 5)."""
    is_ge = header.manufacturer.upper().startswith("GE")
    starts = [_start_of_slice(timing, half_life_s, is_ge=is_ge) for timing in header.slices]
    known = [start for start in starts if start is not None]
    if not known or len(known) < len(starts) or max(known) - min(known) > _ONE_START:
        return None
    first = header.slices[0]
    ledger.use("AcquisitionTime", _clock(min(known), min(known)), how="of each slice, taken back to the scan's start")
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


def _start_of_first_acquisition(header: PetHeader, half_life_s: float, ledger: _Ledger) -> _Starts:  # noqa: ARG001
    start = header.earliest_acquisition
    if start is None:
        return None
    ledger.use("AcquisitionTime", _clock(start, start), how="the earliest of the series")
    ledger.warn(
        "pet.scan_start_uncertain",
        "The series time is later than the acquisition or missing, and no other time tells the scan's start: "
        "the earliest acquisition was taken.",
    )
    return [start] * len(header.slices), "earliest acquisition"


_StartRule = Callable[[PetHeader, float, _Ledger], _Starts]
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


# --- single values ---------------------------------------------------------------------------------------------------


def _administration(header: PetHeader, scan_start: datetime, ledger: _Ledger) -> datetime:
    """Row 8: the administration; a time without a date belongs to the scan's day, or to the day before."""
    if header.administration is not None:
        ledger.use("RadiopharmaceuticalStartDateTime", _clock(header.administration, scan_start))
        if header.administration > scan_start:
            raise Refusal(
                "pet.time_implausible",
                f"{tag_name('RadiopharmaceuticalStartDateTime')} is later than the scan's start.",
            )
        return header.administration
    if header.administration_time is None:
        raise Refusal(
            "pet.time_missing",
            f"Neither {tag_name('RadiopharmaceuticalStartDateTime')} nor {tag_name('RadiopharmaceuticalStartTime')} "
            "tells the administration.",
        )
    administration = scan_start.replace(hour=0, minute=0, second=0, microsecond=0) + header.administration_time
    if administration > scan_start:
        administration -= _DAY
        if scan_start - administration > _DAY / 2:
            raise Refusal(
                "pet.time_implausible",
                f"{tag_name('RadiopharmaceuticalStartTime')} is later than the scan by "
                f"{(administration + _DAY - scan_start).total_seconds() / 60:.0f} min: too little for the day before.",
            )
        ledger.warn("pet.day_before", "The time of administration is later than the scan: the day before was taken.")
    ledger.use("RadiopharmaceuticalStartTime", _clock(administration, scan_start), how="without a date")
    return administration


def _require_plausible_decay(elapsed_s: float, half_life_s: float) -> None:
    if not 0 <= elapsed_s <= _MOST_HALF_LIVES * half_life_s:
        raise Refusal(
            "pet.time_implausible",
            f"The scan lies {elapsed_s / 3600:.1f} h after {tag_name('RadiopharmaceuticalStartDateTime')}, "
            f"{elapsed_s / half_life_s:.0f} half lives of the nuclide.",
        )


def _weight_kg(header: PetHeader, ledger: _Ledger) -> float:
    weight_kg = header.weight_kg
    if weight_kg is None or weight_kg <= 0:  # row 14
        raise Refusal("pet.weight_missing", f"{tag_name('PatientWeight')} is {_shown(weight_kg)}, need kg above 0.")
    how = ""
    if weight_kg > _GRAMS_ABOVE:
        how = f"written as {weight_kg:g}, taken as grams"
        weight_kg /= 1000.0
        ledger.warn("pet.value_converted", f"{tag_name('PatientWeight')} was {how}.")
    if not _PLAUSIBLE_WEIGHT_KG[0] <= weight_kg <= _PLAUSIBLE_WEIGHT_KG[1]:
        raise Refusal("pet.weight_implausible", f"{tag_name('PatientWeight')} is {weight_kg:g} kg.")
    ledger.use("PatientWeight", weight_kg, "kg", how=how)
    return weight_kg


def _dose_bq(header: PetHeader, ledger: _Ledger) -> float:
    dose_bq = header.dose_bq
    if dose_bq is None or dose_bq <= 0:  # row 16
        raise Refusal("pet.dose_missing", f"{tag_name('RadionuclideTotalDose')} is {_shown(dose_bq)}, need Bq above 0.")
    how = ""
    if dose_bq < _MEGABECQUEREL_BELOW:
        how = f"written as {dose_bq:g}, taken as MBq"
        dose_bq *= 1e6
        ledger.warn("pet.value_converted", f"{tag_name('RadionuclideTotalDose')} was {how}.")
    if not _PLAUSIBLE_DOSE_BQ[0] <= dose_bq <= _PLAUSIBLE_DOSE_BQ[1]:
        raise Refusal("pet.dose_implausible", f"{tag_name('RadionuclideTotalDose')} is {dose_bq:g} Bq.")
    ledger.use("RadionuclideTotalDose", dose_bq, "Bq", how=how)
    return dose_bq


def _half_life_s(header: PetHeader, ledger: _Ledger) -> float:
    half_life_s = header.half_life_s
    if half_life_s is None or half_life_s <= 0:  # row 17
        raise Refusal(
            "pet.half_life_missing",
            f"{tag_name('RadionuclideHalfLife')} is {_shown(half_life_s)}, need seconds above 0.",
        )
    ledger.use("RadionuclideHalfLife", half_life_s, "s")
    nuclide = _nuclide(header)
    if nuclide and abs(half_life_s / nuclide.half_life_s - 1) > 0.01:
        ledger.warn(
            "pet.half_life_unusual",
            f"{tag_name('RadionuclideHalfLife')} is {half_life_s:g} s, that of {nuclide.name} is "
            f"{nuclide.half_life_s:g} s; the header's was used.",
        )
    return half_life_s


def _body_size(size: body_size.BodySize, header: PetHeader, ledger: _Ledger) -> float:
    """Rows 15 and 18: a size of the body from weight, height and sex, in the unit of the formula."""
    height_m = header.height_m
    if height_m is None or height_m <= 0:
        raise Refusal("pet.height_missing", f"{tag_name('PatientSize')} is {_shown(height_m)}, need m above 0.")
    how = ""
    if height_m > _CENTIMETRES_ABOVE:
        how = f"written as {height_m:g}, taken as centimetres"
        height_m /= 100.0
        ledger.warn("pet.value_converted", f"{tag_name('PatientSize')} was {how}.")
    if not _PLAUSIBLE_HEIGHT_M[0] <= height_m <= _PLAUSIBLE_HEIGHT_M[1]:
        raise Refusal("pet.height_missing", f"{tag_name('PatientSize')} is {height_m:g} m, which nobody measures.")
    ledger.use("PatientSize", height_m, "m", how=how)
    weight_kg = _weight_kg(header, ledger)
    if size is not body_size.body_surface_m2:
        known = header.sex in ("M", "F")
        sex = _known(header.sex, ("M", "F", "O"))
        ledger.use("PatientSex", sex, how="" if known else "mean of both sexes' formulas")
        if not known:
            ledger.warn("pet.sex_averaged", f"{tag_name('PatientSex')} is {sex}.")
    value = body_size.for_sex(size, weight_kg, height_m, header.sex)
    if value <= 0:
        raise Refusal("pet.height_missing", f"Weight {weight_kg:g} kg and height {height_m:g} m give no body size.")
    return value


NORMALISATIONS: dict[str, tuple[body_size.BodySize, str]] = {
    "sul_janmahasatian": (body_size.lean_body_mass_janmahasatian_kg, "g/ml"),
    "sul_james": (body_size.lean_body_mass_james_kg, "g/ml"),
    "sul_lbm120": (body_size.lean_body_mass_120_kg, "g/ml"),
    "suv_ibw": (body_size.ideal_body_weight_kg, "g/ml"),
    "suv_bsa": (body_size.body_surface_m2, "cm2/ml"),
}


def normalisation(name: str, header: PetHeader) -> float:
    """What to multiply SUVbw by for another normalisation of `NORMALISATIONS`.

    Raises
    ------
    Refusal
        Height or weight is missing: that figure alone is refused (row 15).
    """
    size, unit = NORMALISATIONS[name]
    ledger = _Ledger(header)
    value = _body_size(size, header, ledger)
    return (10.0 if unit == "cm2/ml" else 1.0) * value / _weight_kg(header, ledger)


def _nuclide(header: PetHeader) -> Nuclide | None:
    text = " ".join(filter(None, (header.nuclide_text, header.tracer_text)))
    return nuclide_of(header.nuclide_code, text)


def _missing_private(header: PetHeader) -> tuple[str, ...]:
    """Private tags of the header's vendor that are missing: de-identification removes them first."""
    vendor = header.manufacturer.upper()
    of_vendor = {
        "GEScanDateTime": vendor.startswith("GE") and header.ge_scan_start is None,
        "SiemensScanDateTime": vendor.startswith(("SIEMENS", "CPS")) and header.siemens_scan_start is None,
        "PhilipsSUVScaleFactor": vendor.startswith("PHILIPS") and not header.philips_suv_factor,
        "PhilipsActivityConcentrationScaleFactor": vendor.startswith("PHILIPS") and not header.philips_activity_factor,
    }
    return tuple(tag_name(keyword) for keyword in PRIVATE_TAGS if of_vendor[keyword])


def _clock(moment: datetime, scan_start: datetime) -> str:
    """Time of day, and the day relative to the scan's: dates stand in no result."""
    days = (moment.date() - scan_start.date()).days
    return f"{moment.time().isoformat()}" + (f" (day {days:+d})" if days else "")


def _known(value: str | None, words: Collection[str]) -> str:
    """A word to show: free text may name a patient, so only a known one is."""
    return "missing" if not value else value if value in words else "another word"


def _shown(value: float | None) -> str:
    return "missing" if value is None else f"{value:g}"


def describe(header: PetHeader, factor: SuvFactor) -> dict[str, Any]:
    """The content of `pet.json`: kind, rule, factors, every value used, other normalisations, what was missing."""
    per_slice = factor.per_slice
    constant = max(per_slice) - min(per_slice) <= 1e-12 * max(per_slice)
    return {
        "kind": "SUVbw",
        "unit": "g/ml",
        "rule": factor.rule,
        "factor": {"minimum": min(per_slice), "maximum": max(per_slice), "slices": len(per_slice)}
        | ({} if constant else {"per_slice_in_file_order": list(per_slice)}),
        "values": [asdict(used) for used in factor.used],
        "nuclide": factor.nuclide,
        "tracer": factor.tracer,
        "per_suvbw": {name: _normalisation_or_refusal(name, header) for name in NORMALISATIONS},
        "missing_private_tags": list(factor.missing_private),
        "notes": [reason.text for reason in factor.reasons],
    }


def _normalisation_or_refusal(name: str, header: PetHeader) -> dict[str, Any]:
    try:
        return {"factor": normalisation(name, header), "unit": NORMALISATIONS[name][1]}
    except Refusal as refusal:
        return {"refused": refusal.reason.text, "code": refusal.reason.code}
