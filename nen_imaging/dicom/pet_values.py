"""Single values of a PET header, judged: converted where their unit is plainly another, refused where implausible.

Row numbers are those of the decision table, see `suv`. Whatever is taken goes into a `Ledger`, with its source.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from nen_imaging.contract import Reason, Refusal
from nen_imaging.dicom import body_size
from nen_imaging.dicom.codes import Nuclide, nuclide_of
from nen_imaging.dicom.pet_header import PetHeader, tag_name

_MOST_HALF_LIVES = 10.0  # after these 0.1 % of the dose is left: no image is made of it
_DAY = timedelta(days=1)
_DATES = ("AcquisitionDate", "SeriesDate")
_TIMES_OF_SCAN = {"AcquisitionTime", "SeriesTime"}


@dataclass(frozen=True)
class UsedValue:
    """A value that a factor rests on: times as time of day, with the day relative to the scan's where it differs."""

    name: str
    value: float | str
    unit: str
    tag: str
    source: str


@dataclass
class Ledger:
    """Collects, while a rule is applied, which values it took and what has to be said about them."""

    header: PetHeader
    used: list[UsedValue] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)

    def use(self, keyword: str, value: float | str, unit: str = "", *, how: str = "") -> None:
        source = "corrections.csv" if keyword in self.header.corrected else "header"
        entry = UsedValue(keyword, value, unit, tag_name(keyword), f"{source}, {how}" if how else source)
        if entry not in self.used:
            self.used.append(entry)

    def corrections_used(self) -> list[str]:
        """The keywords of `corrections.csv` that came into use; a date does with a time that it belongs to."""
        names = {entry.name for entry in self.used}
        supplied = {entry.name for entry in self.used if entry.source.startswith("corrections.csv")}
        dates = {date for date in _DATES if date in self.header.corrected and names & _TIMES_OF_SCAN}
        return sorted(supplied | dates)

    def warn(self, code: str, text: str) -> None:
        reason = Reason(code, text)
        if reason not in self.reasons:
            self.reasons.append(reason)


@dataclass(frozen=True)
class _Quantity:
    """A positive number of the header: its unit, its two reason codes, and the other unit that some write it in."""

    keyword: str
    unit: str
    plausible: tuple[float, float]
    missing: str
    implausible: str
    other_unit: str
    is_other: Callable[[float], bool]
    from_other: Callable[[float], float]

    def take(self, value: float | None, ledger: Ledger) -> float:
        """The value in its unit, put into the ledger; converted from the other unit if only that makes sense of it."""
        tag = tag_name(self.keyword)
        if value is None or value <= 0:
            raise Refusal(self.missing, f"{tag} is {_shown(value)}, need {self.unit} above 0.")
        how = ""
        if self.is_other(value):
            how = f"written as {value:g}, taken as {self.other_unit}"
            value = self.from_other(value)
            ledger.warn("pet.value_converted", f"{tag} was {how}.")
        if not self.plausible[0] <= value <= self.plausible[1]:
            raise Refusal(self.implausible, f"{tag} is {value:g} {self.unit}.")
        ledger.use(self.keyword, value, self.unit, how=how)
        return value


_WEIGHT = _Quantity(
    "PatientWeight", "kg", plausible=(2.0, 400.0),
    missing="pet.weight_missing", implausible="pet.weight_implausible",
    other_unit="grams", is_other=lambda kg: kg > 1000, from_other=lambda grams: grams / 1000,
)  # fmt: skip
_DOSE = _Quantity(  # clinical doses lie near 4e8 Bq or 4e2 MBq
    "RadionuclideTotalDose", "Bq", plausible=(1e6, 5e10),
    missing="pet.dose_missing", implausible="pet.dose_implausible",
    other_unit="MBq", is_other=lambda bq: bq < 1e5, from_other=lambda megabecquerel: megabecquerel * 1e6,
)  # fmt: skip
_HEIGHT = _Quantity(
    "PatientSize", "m", plausible=(0.4, 2.6),
    missing="pet.height_missing", implausible="pet.height_missing",
    other_unit="centimetres", is_other=lambda m: m > 3, from_other=lambda centimetres: centimetres / 100,
)  # fmt: skip


def weight_kg_of(header: PetHeader, ledger: Ledger) -> float:
    """Row 14: the weight; above 1000 it was written in grams."""
    return _WEIGHT.take(header.weight_kg, ledger)


def dose_bq_of(header: PetHeader, ledger: Ledger) -> float:
    """Row 16: the dose; below 1e5 it was written in MBq. A residual is already subtracted from it."""
    return _DOSE.take(header.dose_bq, ledger)


def half_life_s_of(header: PetHeader, ledger: Ledger) -> float:
    """Row 17: the half life; the header's counts, the nuclide's own only checks it."""
    half_life_s = header.half_life_s
    if half_life_s is None or half_life_s <= 0:
        raise Refusal(
            "pet.half_life_missing",
            f"{tag_name('RadionuclideHalfLife')} is {_shown(half_life_s)}, need seconds above 0.",
        )
    ledger.use("RadionuclideHalfLife", half_life_s, "s")
    nuclide = nuclide_of_header(header)
    if nuclide and abs(half_life_s / nuclide.half_life_s - 1) > 0.01:
        ledger.warn(
            "pet.half_life_unusual",
            f"{tag_name('RadionuclideHalfLife')} is {half_life_s:g} s, that of {nuclide.name} is "
            f"{nuclide.half_life_s:g} s; the header's was used.",
        )
    return half_life_s


def administration_of(header: PetHeader, scan_start: datetime, ledger: Ledger) -> datetime:
    """Row 8: the administration; a time without a date belongs to the scan's day, or to the day before."""
    if header.zone_unknown:
        raise Refusal(
            "pet.time_implausible",
            f"{tag_name('RadiopharmaceuticalStartDateTime')} has an offset from UTC, but neither "
            f"{tag_name('TimezoneOffsetFromUTC')} nor {tag_name('RadiopharmaceuticalStartTime')} tells the local time.",
        )
    if header.administration is not None:
        ledger.use("RadiopharmaceuticalStartDateTime", time_of_day(header.administration, scan_start))
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
    ledger.use("RadiopharmaceuticalStartTime", time_of_day(administration, scan_start), how="without a date")
    return administration


def require_plausible_decay(elapsed_s: float, half_life_s: float) -> None:
    """Refuse a scan before the administration, or so late that nothing is left to be seen."""
    if not 0 <= elapsed_s <= _MOST_HALF_LIVES * half_life_s:
        raise Refusal(
            "pet.time_implausible",
            f"The scan lies {elapsed_s / 3600:.1f} h after {tag_name('RadiopharmaceuticalStartDateTime')}, "
            f"{elapsed_s / half_life_s:.0f} half lives of the nuclide.",
        )


def body_size_of(size: body_size.BodySize, header: PetHeader, ledger: Ledger) -> float:
    """Rows 15 and 18: a size of the body from weight, height and sex, in the unit of the formula."""
    height_m = _HEIGHT.take(header.height_m, ledger)
    weight_kg = weight_kg_of(header, ledger)
    if size is not body_size.body_surface_m2:
        known = header.sex in ("M", "F")
        sex = known_word(header.sex, ("M", "F", "O"))
        ledger.use("PatientSex", sex, how="" if known else "mean of both sexes' formulas")
        if not known:
            ledger.warn("pet.sex_averaged", f"{tag_name('PatientSex')} is {sex}.")
    value = body_size.for_sex(size, weight_kg, height_m, header.sex)
    if value <= 0:
        raise Refusal("pet.height_missing", f"Weight {weight_kg:g} kg and height {height_m:g} m give no body size.")
    return value


def nuclide_of_header(header: PetHeader) -> Nuclide | None:
    """The nuclide that code or texts name."""
    text = " ".join(filter(None, (header.nuclide_text, header.tracer_text)))
    return nuclide_of(header.nuclide_code, text)


def time_of_day(moment: datetime, scan_start: datetime) -> str:
    """Time of day, and the day relative to the scan's: dates stand in no result."""
    days = (moment.date() - scan_start.date()).days
    return f"{moment.time().isoformat()}" + (f" (day {days:+d})" if days else "")


def known_word(value: str | None, words: Collection[str]) -> str:
    """A word to show: free text may name a patient, so only a known one is."""
    return "missing" if not value else value if value in words else "another word"


def _shown(value: float | None) -> str:
    return "missing" if value is None else f"{value:g}"
