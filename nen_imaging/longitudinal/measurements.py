"""What a response is judged on: the measurements of one staging, and how they compare with another's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nen_imaging.dates import PartialDate

_YES = "yes"
_THICKNESS_FACTOR = 2.0


@dataclass(frozen=True)
class LesionMeasurement:
    """One lesion of a staging; ``tracks`` are the identities it carries (several where lesions have merged)."""

    lesion: int
    longest_diameter_mm: float
    eligible: bool
    """Measurable and reproducible: neither confluent, nor cut by the border, nor a probable cyst."""
    tracks: frozenset[str] = frozenset()
    measurable: bool = True
    """At least 10 mm, or twice the spacing of thick slices, and no probable cyst."""


@dataclass(frozen=True)
class StagingMeasurement:
    """The figures of one staging; where ``load_percent`` is None, ``not_measured`` says why."""

    staging: str
    load_percent: float | None = None
    load_percent_low: float | None = None
    load_percent_high: float | None = None
    liver_volume_ml: float = 0.0
    lesion_volume_ml: float = 0.0
    lesions: tuple[LesionMeasurement, ...] = ()
    slice_spacing_mm: float | None = None
    phase: str = "unknown"
    scanner: str = ""
    kernel: str = ""
    source: str = "network"
    truncated: bool = False
    not_measured: str = ""
    plane: str = ""

    @property
    def date(self) -> PartialDate | None:
        """The staging's date, which is its name; None for an undated one."""
        return PartialDate.parse(self.staging)


def staging_measurement(
    staging: str,
    load: Mapping[str, Any] | None,
    lesions: Iterable[Mapping[str, str]],
    tracks: Iterable[Mapping[str, str]],
    ct_facts: Mapping[str, Any],
    *,
    not_measured: str = "",
) -> StagingMeasurement:
    """Put together what the contract's files say of a staging.

    Parameters
    ----------
    staging
        Its name.
    load
        Content of load.json, None where there is none.
    lesions, tracks
        Rows of its lesions.csv, and of the patient's tracks.csv.
    ct_facts
        The facts in the record of its `ct/`.
    not_measured
        Why there is no load.
    """
    if load is None:
        return StagingMeasurement(staging, not_measured=not_measured or "not measured")
    track_of: dict[str, set[str]] = {}
    for row in tracks:
        if row["staging"] == staging:
            track_of.setdefault(row["lesion"], set()).add(row["track"])
    left_out = {str(number) for number in load.get("left_out_lesions", ())}
    spacing = ct_facts.get("slice_spacing_mm")
    return StagingMeasurement(
        staging=staging,
        load_percent=load["load_percent"],
        load_percent_low=load.get("load_percent_low"),
        load_percent_high=load.get("load_percent_high"),
        liver_volume_ml=load["liver_volume_ml"],
        lesion_volume_ml=load["lesion_volume_ml"],
        lesions=tuple(_lesion(row, track_of) for row in lesions if row["lesion"] not in left_out),
        slice_spacing_mm=None if spacing is None else float(spacing),
        plane=str(ct_facts.get("plane") or ""),
        phase=(load.get("phase") or {}).get("measured", "unknown"),
        scanner=str(ct_facts.get("scanner") or ""),
        kernel=str(ct_facts.get("kernel") or ""),
        source=load.get("source", "network"),
        truncated=bool(load.get("truncated")),
    )


def _lesion(row: Mapping[str, str], track_of: Mapping[str, set[str]]) -> LesionMeasurement:
    doubts = (row["confluent"], row["cut_by_border"], row["probable_cyst"])
    return LesionMeasurement(
        lesion=int(row["lesion"]),
        longest_diameter_mm=float(row["longest_diameter_mm"]),
        eligible=row["measurable"] == _YES and _YES not in doubts,
        tracks=frozenset(track_of.get(row["lesion"], ())),
        measurable=row["measurable"] == _YES and row["probable_cyst"] != _YES,
    )


def differences(baseline: StagingMeasurement, now: StagingMeasurement) -> list[str]:
    """What makes two stagings hard to compare, in words; empty where nothing does."""
    found = []
    if baseline.phase != now.phase and "unknown" not in (baseline.phase, now.phase):
        found.append(f"contrast phase {now.phase}, at baseline {baseline.phase}")
    if baseline.slice_spacing_mm and now.slice_spacing_mm:
        thin, thick = sorted((baseline.slice_spacing_mm, now.slice_spacing_mm))
        if thick > _THICKNESS_FACTOR * thin:
            found.append(f"slices of {now.slice_spacing_mm:g} mm, at baseline {baseline.slice_spacing_mm:g} mm")
    if baseline.plane and now.plane and baseline.plane != now.plane:
        found.append(f"{now.plane} slices, at baseline {baseline.plane} ones")
    for name, first, second in (
        ("scanner", baseline.scanner, now.scanner),
        ("kernel", baseline.kernel, now.kernel),
    ):
        if first and second and first != second:
            found.append(f"{name} {second}, at baseline {first}")
    if baseline.source != now.source:
        found.append(f"contours by a {now.source}, at baseline by a {baseline.source}")
    if baseline.truncated != now.truncated:
        found.append("liver cut by the image at only one of them")
    return found
