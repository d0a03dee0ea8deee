"""The sentence of a staging: response, load, SSR status, and what a reader found outside the liver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nen_imaging.contract import Reason
from nen_imaging.report.response import is_borderline, is_by_reader
from nen_imaging.report.staging import StagingResult

RESPONSE_WORDS = {
    "CR": "complete remission",
    "PR": "partial remission",
    "SD": "stable disease",
    "PD": "progressive disease",
}
_BASELINE = "baseline"
_PERCENT_WITHOUT_DECIMALS = 10.0
_ENDING, _SHORTEST_STEM = 2, 4  # letters: peritone-um, peritone-al; a shorter stem would find "head" for the heart


def staging_sentence(
    staging: StagingResult, response: Mapping[str, str] | None, findings: Sequence[Mapping[str, str]]
) -> str:
    """What a radiologist would write of one staging.

    Parameters
    ----------
    staging
        The numbers; without a load the sentence says why, and what to do, and a reader's response alone.
    response
        The row of response.csv that the table shows; None where none was judged.
    findings
        A reader's findings of that time.
    """
    parts = [f"Not evaluable (NE): {_because(staging.refusals)}"] if staging.load is None else []
    if staging.load is not None or is_by_reader(response):
        parts += [_response_part(response), load_part(staging)]
    parts += [ssr_part(staging), *map(region_part, staging.regions), *map(finding_part, findings)]
    return " ".join(part for part in parts if part)


def load_part(staging: StagingResult) -> str:
    """The load with its interval, e.g. ``Hepatic tumour load 40 % (36-44).``"""
    if staging.load is None:
        return ""
    load, low, high = (staging.load.get(f"load_percent{end}") for end in ("", "_low", "_high"))
    if load is None:
        return ""
    source = ", by a reader's mask" if staging.load.get("source") == "reader" else ""
    cut = ", liver cut by the edge of the image" if staging.load.get("truncated") else ""
    interval = f" ({percent(low, load)}-{percent(high, load)})" if low is not None and high is not None else ""
    return f"Hepatic tumour load {percent(load, load)} %{interval}{source}{cut}."


def ssr_part(staging: StagingResult) -> str:
    """The SSR status of the liver metastases, where a PET was done."""
    if not staging.has_pet or (staging.organs is None and staging.load is None and not staging.pet_refusals):
        return ""
    if staging.organs is None:
        return f"SSR status not evaluable (NE): {_because(staging.pet_refusals)}"
    totals = staging.organs.get("totals", {})
    status = totals.get("ssr_status", "not evaluable")
    if status == "not evaluable":
        has_none = (staging.load or {}).get("lesions") == 0
        return "" if has_none else "SSR status of liver metastases not evaluable."
    share = totals.get("ssr_negative_share_percent")
    detail = f" ({share:.0f} % of the load SSR-negative)" if status == "mixed" and share is not None else ""
    if status == "iso":
        return "Liver metastases take up about as much as the liver (SSR-iso)."
    return f"Liver metastases SSR-{status}{detail}."


def region_part(region: Mapping[str, str]) -> str:
    """A reader's volume outside the liver, e.g. ``Ileal primary SSR-positive (SUVmax 24.1, modified Krenning 4).``"""
    name, status = capitalised(region["voi"].strip()), region["status"]
    numbers = [f"SUVmax {float(region['suv_max']):.1f}"] if region["suv_max"] else []
    if status == "not evaluable":
        return f"{name}: SSR status not evaluable ({'; '.join([region['status_reason'], *numbers])})."
    numbers += [f"modified Krenning {region['krenning_modified']}"]
    return f"{name} SSR-{status} ({', '.join(numbers)})."


def finding_part(finding: Mapping[str, str]) -> str:
    """A reader's finding, e.g. ``Metastases (bone) new.`` or ``Peritoneal carcinomatosis stable.``"""
    name, organ, status = (finding.get(column, "").strip() for column in ("finding", "organ", "status"))
    place = "" if _tells_organ(name, organ) else f" ({organ})"
    if status.lower() == "excluded":
        return f"Exclusion of {name}{place}."
    return f"{capitalised(name)}{place} {status}".strip() + "."


def _tells_organ(name: str, organ: str) -> bool:
    """Whether a finding needs no organ beside it: it names it, also as an adjective (peritoneal), or is a syndrome."""
    words, stem = f" {name.lower()} ", organ.lower()[: max(_SHORTEST_STEM, len(organ) - _ENDING)]
    return f" {stem}" in words or "syndrome" in words


def capitalised(text: str) -> str:
    """The text with a capital first letter, the rest as it is."""
    return text[:1].upper() + text[1:]


def percent(value: float, like: float) -> str:
    """A share in percent: whole above 10 % (of the value ``like``), one decimal below."""
    return f"{value:.0f}" if like >= _PERCENT_WITHOUT_DECIMALS else f"{value:.1f}"


def _response_part(response: Mapping[str, str] | None) -> str:
    code = (response or {}).get("response", "")
    if code in RESPONSE_WORDS:
        borderline = " (borderline)" if is_borderline(response or {}) else ""
        by_reader = response if response and is_by_reader(response) else None
        reader = f" (by a reader; computed {by_reader['computed'] or 'none'})" if by_reader else ""
        return f"Hepatic {RESPONSE_WORDS[code]}{borderline}{reader}."
    if code == _BASELINE:
        return "Baseline."
    if code == "NE":
        return f"Hepatic response not evaluable (NE): {(response or {}).get('reason', '').rstrip('.')}."
    return ""


def _because(reasons: Sequence[Reason]) -> str:
    if not reasons:
        return "not measured yet; run again."
    return " ".join(dict.fromkeys(f"{reason.text.rstrip('.')}. {reason.remedy}" for reason in reasons))
