"""Which images make one staging: anchored at a CT's date, with what lies within a window of days around it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from nen_imaging.dicom.group import Series, SeriesKind

UNDATED = "undated-"
_PET_KINDS = (SeriesKind.PET, SeriesKind.PET_UNCORRECTED)


@dataclass
class Staging:
    """One staging of one patient: its name (the anchor's date or ``undated-...``) and its competing series."""

    patient: str
    name: str
    ct: list[Series] = field(default_factory=list)
    pet: list[Series] = field(default_factory=list)

    @property
    def date(self) -> str:
        """The anchor's date; empty for an undated staging."""
        return "" if self.name.startswith(UNDATED) else self.name


def undated_name(study: str) -> str:
    """The name of the staging of an undated study, from the study's keyed hash."""
    return UNDATED + study[:6]


def anchors(dates: Iterable[str], known: Iterable[str], window_days: int) -> list[str]:
    """The anchors of one patient's stagings: those known already, and the earliest date that lies near none, again
    and again. No chaining: the window is measured from the anchor alone.
    """
    found = sorted(set(known))
    for day in sorted(set(dates)):
        if nearest_anchor(day, found, window_days) is None:
            found.append(day)
    return sorted(found)


def nearest_anchor(day: str, anchors: Iterable[str], window_days: int) -> str | None:
    """The nearest anchor within the window, the earlier of two; None if there is none."""
    near = [(days_between(day, anchor), anchor) for anchor in anchors]
    distance, anchor = min(near, default=(window_days + 1, ""))
    return anchor if distance <= window_days else None


def days_between(one: str, other: str) -> int:
    """The distance of two days ``YYYY-MM-DD``."""
    return abs((date.fromisoformat(one) - date.fromisoformat(other)).days)


def make_stagings(
    series: Iterable[Series], known: Mapping[str, Iterable[str]], window_days: int
) -> tuple[list[Staging], dict[str, str]]:
    """The stagings of all patients, in order, and for every series that joined one its staging's name.

    ``known`` holds, per patient, the anchors that are listed already: they keep their names, and one without a CT
    makes no staging. Series that are neither CT nor PET are left out.
    """
    by_patient: dict[str, list[Series]] = defaultdict(list)
    for one in series:
        if one.kind == SeriesKind.CT or one.kind in _PET_KINDS:
            by_patient[one.patient].append(one)
    stagings: list[Staging] = []
    for patient in sorted(by_patient):
        stagings += _of_patient(patient, by_patient[patient], known.get(patient, ()), window_days)
    return stagings, {one.key: staging.name for staging in stagings for one in staging.ct + staging.pet}


def _of_patient(patient: str, series: list[Series], known: Iterable[str], window_days: int) -> list[Staging]:
    ct_dates = [one.date for one in series if one.kind == SeriesKind.CT and one.date]
    days = anchors(ct_dates, known, window_days)
    stagings: dict[str, Staging] = {}

    def join(members: Iterable[Series], anchored: list[str]) -> None:
        for one in sorted(members, key=lambda one: (one.date, one.key)):
            name = nearest_anchor(one.date, anchored, window_days) if one.date else undated_name(one.study)
            if name is not None:
                staging = stagings.setdefault(name, Staging(patient, name))
                (staging.ct if one.kind == SeriesKind.CT else staging.pet).append(one)

    join((one for one in series if one.kind == SeriesKind.CT), days)
    with_ct = [day for day in days if day in stagings]  # an anchor whose CT left the study keeps no PET from another
    join((one for one in series if one.kind != SeriesKind.CT), with_ct)
    return [stagings[name] for name in sorted(stagings) if stagings[name].ct]
