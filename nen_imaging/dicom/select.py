"""Which of the competing series of a staging is measured, and why.

Points are given for what headers tell, and where those nearly tie for what pixels show (`near_ties`); every candidate's
points and their reasons stand in `index/series.csv`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nen_imaging.contract import NO_FRAME
from nen_imaging.dicom.group import Series, SeriesKind
from nen_imaging.dicom.stagings import Staging, days_between
from nen_imaging.dicom.vocabulary import Phase

Ground = tuple[float, str]
"""Points, and what they are given for."""
_ENOUGH_EXTENT_MM = 200.0  # a liver's height
_TOO_FEW_SLICES = 10
_PHASE_POINTS: Mapping[Phase, int] = {"portal venous": 20, "unknown": 20, "delayed": 15, "arterial": 10, "native": 5}
_PREFERRED_PHASE_POINTS = 40
_SAME_SPACING_MM = 1.0

Pins = Mapping[str, bool]


@dataclass(frozen=True)
class SelectionRules:
    """The options of the choice."""

    preferred_phase: str = "portal venous"
    preferred_thickness_mm: float = 3.0

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> SelectionRules:
        return cls(options["preferred_phase"], options["preferred_thickness_mm"])


@dataclass(frozen=True)
class Score:
    """Points of one candidate and where they come from."""

    points: float
    reason: str


def score_ct(series: Series, rules: SelectionRules, peers: Iterable[Staging] = ()) -> Score:
    """Points of a CT.

    ``peers`` are all stagings of the patient: a phase and a spacing that most of them offer make loads comparable.
    """
    preferred = series.phase == rules.preferred_phase
    grounds = [
        (_PREFERRED_PHASE_POINTS if preferred else _PHASE_POINTS[series.phase], f"phase {series.phase}"),
        (_spacing_points(series, rules), f"spacing {_shown(series.spacing_mm)}"),
        *_of_the_body(series),
        _of_the_kernel(series),
        *_comparability(series, list(peers)),
    ]
    return _score([*grounds, *_of_slices(series)])


def score_pet(series: Series, anchor: str) -> Score:
    """Points of a PET of a staging anchored at that date."""
    corrected = series.kind == SeriesKind.PET
    distance = days_between(series.date, anchor) if series.date and anchor else 0
    grounds = [
        (50 if corrected else 0, "attenuation-corrected or not said" if corrected else "not attenuation-corrected"),
        (-float(distance), f"{distance} days from the CT"),
        *_of_the_body(series),
    ]
    return _score([*grounds, *_of_slices(series)])


def score_low_dose_ct(series: Series) -> Score:
    """Points of a CT that tells where the PET lies: what it shows of the body counts, and no contrast phase."""
    return _score([*_of_the_body(series), _of_the_kernel(series), *_of_slices(series)])


def _of_the_body(series: Series) -> list[Ground]:
    """How much of the body is shown, and how directly."""
    return [
        (20 * min(1.0, (series.extent_mm or 0) / _ENOUGH_EXTENT_MM), f"extent {_shown(series.extent_mm)}"),
        (10 if series.is_original else 0, "original" if series.is_original else "derived"),
        (10 if series.is_axial else 0, "axial" if series.is_axial else "not axial"),
    ]


def _of_the_kernel(series: Series) -> Ground:
    return 0 if series.is_sharp else 5, "sharp kernel" if series.is_sharp else "soft or unknown kernel"


def _of_slices(series: Series) -> list[Ground]:
    return [(-50, f"only {series.slices} slices")] if series.slices < _TOO_FEW_SLICES else []


def low_dose_candidates(staging: Staging, ct: Series | None, pet: Series | None) -> list[Series]:
    """The CT of a staging that lie in the PET's frame of reference, where the one that is measured does not."""
    if ct is None or pet is None or pet.frame_of_reference in (NO_FRAME, ct.frame_of_reference):
        return []
    return [one for one in staging.ct if one.frame_of_reference == pet.frame_of_reference]


def _score(grounds: Iterable[Ground]) -> Score:
    grounds = list(grounds)
    text = "; ".join(f"{name} {points:+.0f}" for points, name in grounds)
    return Score(round(sum(points for points, _ in grounds), 1), text)


def _spacing_points(series: Series, rules: SelectionRules) -> float:
    """20 at the preferred spacing, 10 at twice or half of it, none at four times or a quarter."""
    spacing = series.spacing_mm or series.slice_thickness_mm
    if not spacing or spacing <= 0:
        return 0.0
    return 20 * max(0.0, 1 - abs(math.log2(spacing / rules.preferred_thickness_mm)) / 2)


def _comparability(series: Series, peers: list[Staging]) -> list[tuple[float, str]]:
    others = [peer for peer in peers if all(one.key != series.key for one in peer.ct)]
    if not others:
        return []
    same_phase = sum(any(one.phase == series.phase for one in peer.ct) for peer in others)
    same_spacing = sum(any(_same_spacing(one, series) for one in peer.ct) for peer in others)
    return [
        (15 * same_phase / len(others), f"phase at {same_phase} of {len(others)} other stagings"),
        (5 * same_spacing / len(others), f"spacing at {same_spacing} of {len(others)} other stagings"),
    ]


def _same_spacing(one: Series, other: Series) -> bool:
    if one.spacing_mm is None or other.spacing_mm is None:
        return False
    return abs(one.spacing_mm - other.spacing_mm) <= _SAME_SPACING_MM


def _shown(value_mm: float | None) -> str:
    return "unknown" if value_mm is None else f"{value_mm:g} mm"


@dataclass(frozen=True)
class Choice:
    """The chosen series of one kind (None: there is none) and why; ``better`` names one that would win afresh."""

    series: Series | None
    reason: str
    better: Series | None = None


class SeveralPinnedError(ValueError):
    """Pins choose several series where one can be measured."""

    def __init__(self, series: Collection[str]) -> None:
        super().__init__(f"The series {', '.join(series)} are pinned for one staging; one alone can be measured.")
        self.series = series


def choose(candidates: Sequence[Series], scores: Mapping[str, Score], pins: Pins, previous: str | None) -> Choice:
    """Choose one of the candidates: a pinned one, else the one chosen before, else the one with most points.

    ``pins`` maps series keys to True for chosen, False for banned, as `pins.csv` says. ``previous`` is the series
    chosen last time: a selection is sticky. Raises SeveralPinnedError where pins choose more than one candidate.
    """
    allowed = [one for one in candidates if pins.get(one.key) is not False]
    if not allowed:
        return Choice(None, "every candidate is banned" if candidates else "there is no candidate")
    ranked = sorted(allowed, key=lambda one: (-scores[one.key].points, -one.slices, one.key))
    first_reason = "most points" if len(ranked) > 1 else "the only one"
    pinned = [one for one in ranked if pins.get(one.key)]
    if len(pinned) > 1:
        raise SeveralPinnedError([one.key for one in pinned])
    if pinned:
        return Choice(pinned[0], "pinned in pins.csv")
    kept = next((one for one in ranked if one.key == previous), None)
    if kept is not None:
        better = ranked[0] if scores[ranked[0].key].points > scores[kept.key].points else None
        return Choice(kept, "chosen before" if better else first_reason, better)
    return Choice(ranked[0], first_reason)
