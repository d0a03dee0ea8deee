"""Where headers give the best candidates nearly the same points, what their pixels show decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from nen_imaging.dicom.glance import Glance
from nen_imaging.dicom.group import Series, SeriesKind
from nen_imaging.dicom.select import Pins, Score, SelectionRules

NEAR = 2.0
"""Points. No more than pixels can give: what stagings have in common outweighs a little noise."""
_FAULT_POINTS = -30.0
_CT_NOISE_HU = (5.0, 45.0)  # all of a point, none of it
_PET_NOISE = (0.05, 0.5)  # of the mean
_ENHANCED_SHARE = (0.45, 0.15)  # with contrast medium and without

Look = Callable[[Series], Glance]


def break_near_ties(
    candidates: Sequence[Series], scores: Mapping[str, Score], pins: Pins, rules: SelectionRules, look: Look
) -> dict[str, Score]:
    """The points of one staging's candidates for one role, with those for pixels where some of them nearly tie.

    Nothing is looked at where a pin decides, or where one candidate leads by more than `NEAR`. Who comes into reach
    because another one's pixels are at fault is looked at as well.
    """
    found = {one.key: scores[one.key] for one in candidates}
    allowed = [one for one in candidates if pins.get(one.key) is not False]
    if any(pins.get(one.key) for one in allowed):
        return found
    looked: set[str] = set()
    while allowed:
        best = max(found[one.key].points for one in allowed)
        near = [one for one in allowed if found[one.key].points >= best - NEAR]
        unseen = [one for one in near if one.key not in looked]
        if not unseen or (len(near) == 1 and not looked):
            break
        for one in unseen:
            found[one.key] = _sum(found[one.key], score_glance(look(one), one.kind, rules))
        looked |= {one.key for one in unseen}
    return found


def score_glance(glance: Glance, kind: SeriesKind, rules: SelectionRules) -> Score:
    """Points for what the slices show: at most `NEAR`, far below 0 for what cannot be measured."""
    if glance.fault:
        return Score(_FAULT_POINTS, f"slices {glance.fault} {_FAULT_POINTS:+.0f}")
    is_ct = kind == SeriesKind.CT
    grounds: list[tuple[float, str]] = []
    if glance.noise is not None:
        shown = f"{glance.noise:.0f} HU" if is_ct else f"{100 * glance.noise:.0f} %"
        grounds.append((_share(glance.noise, _CT_NOISE_HU if is_ct else _PET_NOISE), f"noise {shown}"))
    if is_ct and rules.preferred_phase != "native":
        shown = f"{100 * glance.enhanced:.0f} % of soft tissue enhanced"
        grounds.append((_share(glance.enhanced, _ENHANCED_SHARE), shown))
    text = "; ".join(f"{name} {points:+.1f}" for points, name in grounds) or "slices show no soft tissue +0"
    return Score(round(sum(points for points, _ in grounds), 1), text)


def _share(value: float, ends: tuple[float, float]) -> float:
    """1 at the first of two ends and beyond it, 0 at the second."""
    best, worst = ends
    return min(1.0, max(0.0, (value - worst) / (best - worst)))


def _sum(one: Score, other: Score) -> Score:
    return Score(round(one.points + other.points, 1), f"{one.reason}; {other.reason}")
