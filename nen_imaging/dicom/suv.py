"""From stored PET values to SUVbw: the rules as tables over a typed header.

Sources: QIBA's vendor-neutral pseudo-code, the IBSI-SUV manual (2026-02), and what MITK and MIRP document; the row
numbers in the comments are those of the decision table in the project's reference (and in the tests).

A factor turns ``stored x RescaleSlope + RescaleIntercept`` of a slice into SUVbw (g/ml). Every value that it rests on
is returned beside it with its source; what cannot be decided is refused with the tag that is missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from nen_imaging.contract import Reason, Refusal
from nen_imaging.dicom import body_size
from nen_imaging.dicom.codes import tracer_of
from nen_imaging.dicom.pet_header import PRIVATE_TAGS, PetHeader, tag_name
from nen_imaging.dicom.pet_values import (
    Ledger,
    UsedValue,
    administration_of,
    body_size_of,
    dose_bq_of,
    half_life_s_of,
    known_word,
    nuclide_of_header,
    require_plausible_decay,
    time_of_day,
    weight_kg_of,
)
from nen_imaging.dicom.scan_start import scan_starts
from nen_imaging.dicom.stored_suv import IN_STORED_SUV, dose_ratio, size_in_suv, weight_ratio
from nen_imaging.dicom.vocabulary import CORRECTIONS

_DICOM_UNITS = ("PROPCNTS", "PROPCPS", "CPS", "1CM", "1/CM", "PCNT", "NONE", "MGMINML", "MLMING", "UMOLML", "STDDEV")


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
            f"{tag_name('Units')} is {known_word(header.units, _DICOM_UNITS)}, need one of {', '.join(_UNIT_RULES)}.",
        )
    ledger = Ledger(header)
    ledger.use("Units", header.units)
    _require_corrections(header, ledger)
    factors, name = rule(header, ledger)
    if entered := ledger.corrections_used():
        ledger.warn("pet.corrected", f"corrections.csv supplied {', '.join(map(tag_name, entered))}.")
    nuclide = nuclide_of_header(header)
    return SuvFactor(
        per_slice=tuple(factors),
        rule=name,
        used=tuple(ledger.used),
        reasons=tuple(ledger.reasons),
        missing_private=_missing_private(header),
        nuclide=nuclide.name if nuclide else None,
        tracer=tracer_of(header.tracer_text),
    )


def _require_corrections(header: PetHeader, ledger: Ledger) -> None:
    """Row 13: attenuation always, decay unless it says that nothing was done about it (row 7)."""
    done = header.corrections_done
    ledger.use("CorrectedImage", " ".join(sorted(done & CORRECTIONS)) or "missing")
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


def _from_activity(header: PetHeader, ledger: Ledger) -> tuple[list[float], str]:
    """Rows 1, 6, 7: Bq/ml, by how decay was corrected."""
    rule = _DECAY_RULES.get(header.decay_correction)
    if rule is None:
        raise Refusal(
            "pet.uncorrected",
            f"{tag_name('DecayCorrection')} is {known_word(header.decay_correction, ())}; known are "
            f"{', '.join(_DECAY_RULES)}.",
        )
    if header.differing:
        names = ", ".join(map(tag_name, sorted(header.differing)))
        raise Refusal(
            "pet.several_injections",
            f"{tag_name('RadiopharmaceuticalInformationSequence')} holds several items, which do not agree in {names}.",
        )
    ledger.use("DecayCorrection", header.decay_correction)
    weight_kg, dose_bq = weight_kg_of(header, ledger), dose_bq_of(header, ledger)
    remaining, name = rule(header, ledger)
    return [1000.0 * weight_kg / (dose_bq * share) for share in remaining], f"Bq/ml; {name}"


def _from_counts(header: PetHeader, ledger: Ledger) -> tuple[list[float], str]:
    """Row 9: Philips' counts; the SUV factor was made with the weight, dose and times of the header."""
    outdated = bool(header.philips_activity_factor) and not header.corrected.isdisjoint(IN_STORED_SUV)
    if header.philips_suv_factor and not outdated:  # 0 says "not convertible by this one"
        ledger.use("PhilipsSUVScaleFactor", header.philips_suv_factor, "g/ml per count")
        factor = header.philips_suv_factor * weight_ratio(header, ledger) * dose_ratio(header, ledger)
        return [factor] * len(header.slices), "counts x Philips' SUV scale factor"
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


def _from_suv(header: PetHeader, ledger: Ledger) -> tuple[list[float], str]:
    """Row 10: already SUV; another normalisation is turned back to body weight."""
    kind = header.suv_type or "BW"
    if kind == "BW":
        ledger.use("SUVType", kind, how="" if header.suv_type else "empty means body weight")
        factor = weight_ratio(header, ledger) * dose_ratio(header, ledger)
        return [factor] * len(header.slices), "SUVbw already"
    size = _SUV_TYPES.get(kind)
    if size is None:
        raise Refusal("pet.units", f"Units are GML, and {tag_name('SUVType')} is none of DICOM's kinds.")
    ledger.use("SUVType", kind)
    factor = weight_kg_of(header, ledger) / size_in_suv(size, header, ledger) * dose_ratio(header, ledger)
    return [factor] * len(header.slices), f"SUV ({kind}) x weight / body size"


def _from_surface(header: PetHeader, ledger: Ledger) -> tuple[list[float], str]:
    """Row 11: SUV by body surface, cm2/ml."""
    weight_kg = weight_kg_of(header, ledger)
    surface_cm2 = 1e4 * size_in_suv(body_size.body_surface_m2, header, ledger)
    factor = 1000.0 * weight_kg / surface_cm2 * dose_ratio(header, ledger)
    return [factor] * len(header.slices), "SUVbsa x weight / body surface"


_UnitRule = Callable[[PetHeader, Ledger], tuple[list[float], str]]
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


def _at_start(header: PetHeader, ledger: Ledger) -> tuple[list[float], str]:
    """Rows 1, 3, 4: values refer to the start of the scan."""
    half_life_s = half_life_s_of(header, ledger)
    starts, name = scan_starts(header, half_life_s, ledger)
    administration = administration_of(header, min(starts), ledger)
    elapsed_s = [(start - administration).total_seconds() for start in starts]
    require_plausible_decay(max(elapsed_s), half_life_s)
    return [2.0 ** (-seconds / half_life_s) for seconds in elapsed_s], f"dose decayed to the scan's start ({name})"


def _at_administration(header: PetHeader, ledger: Ledger) -> tuple[list[float], str]:  # noqa: ARG001
    """Row 6: values refer to the administration; the dose counts as written."""
    return [1.0] * len(header.slices), "decay corrected to administration; dose as written"


def _not_at_all(header: PetHeader, ledger: Ledger) -> tuple[list[float], str]:
    """Row 7: each slice decayed until its own time, and during its frame."""
    if "DECY" in header.corrections_done:
        raise Refusal(
            "pet.decay_contradiction",
            f"{tag_name('DecayCorrection')} is NONE, but {tag_name('CorrectedImage')} names DECY: one is wrong.",
        )
    half_life_s = half_life_s_of(header, ledger)
    earliest = header.earliest_acquisition
    if earliest is None or any(timing.acquisition is None for timing in header.slices):
        raise Refusal("pet.time_missing", f"Decay is uncorrected, and {tag_name('AcquisitionTime')} is missing.")
    administration = administration_of(header, earliest, ledger)
    ledger.use("AcquisitionTime", time_of_day(earliest, earliest), how="of each slice; the earliest is shown")
    shares = []
    for timing in header.slices:
        if not timing.frame_duration_ms or timing.frame_duration_ms < 0:
            raise Refusal(
                "pet.frame_duration_missing", f"Decay is uncorrected, and {tag_name('ActualFrameDuration')} is missing."
            )
        ledger.use("ActualFrameDuration", timing.frame_duration_ms, "ms")
        assert timing.acquisition is not None
        elapsed_s = (timing.acquisition - administration).total_seconds()
        require_plausible_decay(elapsed_s, half_life_s)
        decays_in_frame = math.log(2) / half_life_s * timing.frame_duration_ms / 1000.0
        shares.append(2.0 ** (-elapsed_s / half_life_s) * -math.expm1(-decays_in_frame) / decays_in_frame)
    return shares, "decay uncorrected: each slice by its own time and frame"


_DecayRule = Callable[[PetHeader, Ledger], tuple[list[float], str]]
_DECAY_RULES: dict[str, _DecayRule] = {"START": _at_start, "ADMIN": _at_administration, "NONE": _not_at_all}


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
    ledger = Ledger(header)
    value = body_size_of(size, header, ledger)
    return (10.0 if unit == "cm2/ml" else 1.0) * value / weight_kg_of(header, ledger)


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
