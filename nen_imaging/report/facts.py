"""What a page says of a staging beside its tables: names and values, with their units, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nen_imaging.report.response import is_borderline
from nen_imaging.report.sentence import percent
from nen_imaging.report.staging import StagingResult


def load_facts(staging: StagingResult) -> list[tuple[str, str]]:
    """What the load rests on, as name and value; what is not there is left out."""
    load = staging.load or {}
    value, low, high = (load.get(f"load_percent{end}") for end in ("", "_low", "_high"))
    interval = "" if low is None or high is None else f" ({percent(low, value or 0)}–{percent(high, value or 0)})"
    at_least = "at least " if load.get("truncated") else ""
    facts = [("hepatic tumour load", "" if value is None else f"{percent(value, value)} %{interval}")]
    facts += [("band [%]", " or ".join(load.get("bands", ())))]
    facts += [("liver", _with_unit(load.get("liver_volume_ml"), "ml", at_least))]
    facts += [("lesions", _with_unit(load.get("lesion_volume_ml"), "ml", at_least))]
    facts += [("number of lesions", str(load.get("lesions", "")))]
    facts += [("largest lesion", _with_unit(load.get("largest_lesion_mm"), "mm"))]
    facts += [("contours by", {"reader": "a reader", "network": "the network"}.get(load.get("source", ""), ""))]
    network = load.get("network") or {}
    if network.get("load_percent") is not None:
        facts += [("load by the network", f"{percent(network['load_percent'], network['load_percent'])} %")]
    facts += [("contrast phase, measured", (load.get("phase") or {}).get("measured", ""))]
    ct = staging.records["ct"].facts if "ct" in staging.records else {}
    facts += [("contrast phase, header", str(ct.get("phase_header") or ""))]
    facts += [("slice spacing", _with_unit(ct.get("slice_spacing_mm"), "mm"))]
    return [(name, text) for name, text in facts if text]


def pet_facts(staging: StagingResult) -> list[tuple[str, str]]:
    """What the uptake rests on: tracer, rule, reference organs, shift and totals, as name and value."""
    organs, pet = staging.organs or {}, staging.pet or {}
    facts = [(name, str(pet[name])) for name in ("tracer", "rule") if pet.get(name)]
    for name in ("liver", "spleen", "blood_pool"):
        organ = organs.get(name) or {}
        if "suv_mean" in organ:
            facts.append((f"{name.replace('_', ' ')} SUVmean", rounded(organ["suv_mean"])))
        elif "refused" in organ:
            facts.append((name.replace("_", " "), str(organ["refused"])))
    shift = organs.get("shift") or {}
    if shift.get("corrected_within_mm") is not None:
        facts.append(("PET of another frame of reference, on the CT to", f"{rounded(shift['corrected_within_mm'])} mm"))
    elif shift.get("length_mm") is not None:
        uncertain = f" ± {rounded(shift['uncertainty_mm'])}" if shift.get("uncertainty_mm") is not None else ""
        facts.append(("PET to CT shift", f"{rounded(shift['length_mm'])}{uncertain} mm"))
    correction = organs.get("correction") or {}
    if "fwhm_mm" in correction:
        facts.append(("corrected SUV for a resolution of", f"{rounded(correction['fwhm_mm'])} mm"))
    elif "refused" in correction:
        facts.append(("no corrected SUV", str(correction["refused"])))
    totals = organs.get("totals") or {}
    names = {"ssr_tv_ml": "SSR-TV [ml]", "tl_ssr_ml": "TL-SSR [ml]", "ssr_negative_share_percent": "SSR-negative [%]"}
    facts += [(title, rounded(totals[key])) for key, title in names.items() if totals.get(key) is not None]
    return facts


def _with_unit(value: float | None, unit: str, before: str = "") -> str:
    return "" if value is None else f"{before}{rounded(value)} {unit}"


def software_versions(stagings: Sequence[StagingResult]) -> list[tuple[str, str]]:
    """Every version that took part, by program; the network's bundle with the start of its checksum."""
    found: dict[str, set[str]] = {}
    for staging in stagings:
        for record in staging.records.values():
            for name, version in record.software.items():
                found.setdefault(name, set()).add(version)
            if record.options.get("model_sha256"):
                model = f"{record.options.get('model')} ({record.options['model_sha256'][:12]})"
                found.setdefault("network", set()).add(model)
    return [(name, ", ".join(sorted(versions))) for name, versions in sorted(found.items())]


def response_cells(row: Mapping[str, str]) -> dict[str, Any]:
    """A row of response.csv where values, their units and stagings share a cell."""
    unit = row.get("unit", "")
    borderline = " (borderline)" if is_borderline(row) else ""

    def measured(value: str, staging: str = "") -> str:
        text = f"{rounded(value)} {unit}".strip() if value else ""
        return f"{text} ({staging})" if text and staging else text

    return {
        **row,
        "response": f"{row.get('response', '')}{borderline}",
        "value": measured(row.get("value", "")),
        "baseline": measured(row.get("baseline_value", ""), row.get("baseline_staging", "")),
        "nadir": measured(row.get("nadir_value", ""), row.get("nadir_staging", "")),
    }


def rounded(value: object) -> str:
    """A number with three significant digits (whole above 100); anything else as it is."""
    try:
        number = float(str(value))
    except ValueError:
        return str(value)
    return f"{number:.0f}" if abs(number) >= 100 or number.is_integer() else f"{number:.3g}"
