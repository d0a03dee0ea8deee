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
    """Those that count."""
    slice_spacing_mm: float | None = None
    phase: str = "unknown"
    scanner: str = ""
    kernel: str = ""
    source: str = "network"
    truncated: bool = False
    not_measured: str = ""
    plane: str = ""
    left_out: tuple[LesionMeasurement, ...] = ()
    """Those that are there but do not count: read as benign, or cysts where the config leaves these out."""

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
    left_out = set(load.get("left_out_lesions", ()))
    every = [_lesion(row, track_of) for row in lesions]
    spacing = ct_facts.get("slice_spacing_mm")
    return StagingMeasurement(
        staging=staging,
        load_percent=load["load_percent"],
        load_percent_low=load.get("load_percent_low"),
        load_percent_high=load.get("load_percent_high"),
        liver_volume_ml=load["liver_volume_ml"],
        lesion_volume_ml=load["lesion_volume_ml"],
        lesions=tuple(lesion for lesion in every if lesion.lesion not in left_out),
        left_out=tuple(lesion for lesion in every if lesion.lesion in left_out),
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


def tracks_of(lesions: Iterable[LesionMeasurement]) -> frozenset[str]:
    """The identities that lesions carry."""
    return frozenset(track for lesion in lesions for track in lesion.tracks)


def differences(earlier: StagingMeasurement, now: StagingMeasurement, name: str = "baseline") -> list[str]:
    """What makes a staging hard to compare with an earlier one, the baseline or the nadir, in words."""
    found = []
    if earlier.phase != now.phase and "unknown" not in (earlier.phase, now.phase):
        found.append(f"contrast phase {now.phase}, at {name} {earlier.phase}")
    if earlier.slice_spacing_mm and now.slice_spacing_mm:
        thin, thick = sorted((earlier.slice_spacing_mm, now.slice_spacing_mm))
        if thick > _THICKNESS_FACTOR * thin:
            found.append(f"slices of {now.slice_spacing_mm:g} mm, at {name} {earlier.slice_spacing_mm:g} mm")
    if earlier.plane and now.plane and earlier.plane != now.plane:
        found.append(f"{now.plane} slices, at {name} {earlier.plane} ones")
    for what, first, second in (
        ("scanner", earlier.scanner, now.scanner),
        ("kernel", earlier.kernel, now.kernel),
    ):
        if first and second and first != second:
            found.append(f"{what} {second}, at {name} {first}")
    if earlier.source != now.source:
        found.append(f"contours by a {now.source}, at {name} by a {earlier.source}")
    if earlier.truncated != now.truncated:
        found.append("liver cut by the image " + ("now only" if now.truncated else f"at {name} only"))
    dropped = _numbers(now.left_out, tracks_of(earlier.lesions))
    taken_up = _numbers(now.lesions, tracks_of(earlier.left_out) - tracks_of(earlier.lesions))
    if dropped:
        found.append(f"{dropped} left out as benign now, not at {name}")
    if taken_up:
        found.append(f"{taken_up} left out as benign at {name}, not now")
    return found


def _numbers(lesions: Iterable[LesionMeasurement], tracks: frozenset[str]) -> str:
    numbers = [str(lesion.lesion) for lesion in lesions if lesion.tracks & tracks]
    return f"lesion{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}" if numbers else ""
