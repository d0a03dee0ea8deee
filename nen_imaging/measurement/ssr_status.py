"""What an uptake means: the modified Krenning score, the status of a lesion, the totals of a staging."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MOSTLY = 0.95  # of the evaluable lesion volume: a status that holds for as much is the staging's
Row = Mapping[str, Any]


def krenning_modified(
    hottest: float,
    mean: float,
    *,
    liver: float | None,
    liver_sd: float,
    spleen: float | None,
    blood_pool: float | None,
    iso_percent: float,
) -> int | None:
    """The modified Krenning score of a lesion against the organs' SUVmean; None without a liver.

    0 not above the blood pool, 1 below the liver, 2 about the liver, 3 above it, 4 above liver and spleen. The planar
    score has no SUV limits (Kwekkeboom and Krenning 2002): this rule is a choice of implementation. Without a spleen
    4 is never given, without a blood pool 0 is not.

    The hottest part of the lesion decides between 2, 3 and 4, its SUVmean between 0, 1 and 2: a cold lesion is
    hottest at its edge. What is hottest was picked among noise, so that it counts as above the liver only by more
    than the liver's own SD beyond ``iso_percent``.
    """
    if liver is None:
        return None
    if hottest > above_liver(liver, liver_sd, iso_percent):
        return 4 if spleen is not None and hottest > spleen else 3
    if mean >= (1 - iso_percent / 100) * liver:
        return 2
    return 0 if blood_pool is not None and mean <= blood_pool else 1


def above_liver(liver: float, liver_sd: float, iso_percent: float) -> float:
    """The SUV from which a maximum or peak is above the liver (SUVmean and SD), and not about it."""
    return (1 + iso_percent / 100) * liver + liver_sd


def status_of(
    score: int | None, *, partial_volume: bool, diameter_mm: float, shift_mm: float | None
) -> tuple[str, str]:
    """Positive, iso, negative or not evaluable, and why not.

    A lesion too small for the PET seems colder than it is: it may be positive, but never iso or negative.
    """
    if score is None:
        return "not evaluable", "no reference in the liver"
    if shift_mm is not None and shift_mm > diameter_mm:
        return "not evaluable", f"PET and CT may lie {shift_mm:.0f} mm apart, the lesion measures {diameter_mm:.0f} mm"
    if score >= 3:
        return "positive", ""
    if partial_volume:
        return "not evaluable", "partial volume: too small for the PET's resolution"
    return ("iso" if score == 2 else "negative"), ""


def totals(lesions: Sequence[tuple[Row, float]]) -> dict[str, Any]:
    """Sums over lesions, given as rows with their CT volume in ml.

    SSR-negative lesions count in no SSR-TV or TL-SSR: a relative threshold finds a hottest part even in a cold one.
    Hottest by SUVmax, coldest by SUVmean, both among evaluable lesions, whose volume is also what the negative share
    and the status rest on. Where there are lesions but none is evaluable, the sums are missing and not 0.
    """
    evaluable = [(row, volume) for row, volume in lesions if row["status"] != "not evaluable"]
    with_receptors = [(row, volume) for row, volume in evaluable if row["status"] != "negative"]
    volume_ml = sum(volume for _, volume in evaluable)
    share = {
        status: sum(volume for row, volume in evaluable if row["status"] == status) / volume_ml if volume_ml else None
        for status in ("positive", "iso", "negative")
    }
    return {
        **{
            name: _sum(with_receptors, name) if evaluable or not lesions else None
            for name in ("ssr_tv_ml", "tl_ssr_ml")
        },
        "hottest_lesion": max(evaluable, key=lambda pair: pair[0]["suv_max"])[0]["lesion"] if evaluable else None,
        "coldest_lesion": min(evaluable, key=lambda pair: pair[0]["suv_mean"])[0]["lesion"] if evaluable else None,
        "ssr_negative_share_percent": None if share["negative"] is None else round(100 * share["negative"], 3),
        "ssr_status": _overall(share),
    }


def _sum(lesions: Sequence[tuple[Row, float]], name: str) -> float:
    return round(sum((row.get(name) or 0.0 for row, _ in lesions), 0.0), 3)


def _overall(share: Mapping[str, float | None]) -> str:
    """The status of (almost) all the evaluable volume, or mixed."""
    known = {status: value for status, value in share.items() if value is not None}
    if not known:
        return "not evaluable"
    return next((status for status, value in known.items() if value >= MOSTLY), "mixed")
