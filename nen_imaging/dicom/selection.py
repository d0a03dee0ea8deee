"""The stagings of a whole study and the series chosen for each, in the light of what was listed and chosen before."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nen_imaging.contract import CT_SELECTION, LOW_DOSE_CT_SELECTION, NO_FRAME, PET_SELECTION, Reason, Results
from nen_imaging.dicom.group import Series
from nen_imaging.dicom.near_ties import Look, break_near_ties
from nen_imaging.dicom.select import (
    Choice,
    Pins,
    Score,
    SelectionRules,
    choose,
    low_dose_candidates,
    score_ct,
    score_low_dose_ct,
    score_pet,
)
from nen_imaging.dicom.stagings import UNDATED, Staging, make_stagings
from nen_imaging.stage import write_json
from nen_imaging.tables import read_stagings

_TEXT_OF_CODE = {
    "identity.weak": "The series carries no PatientID; its patient is known by PatientName or study alone.",
    "date.missing": "The series carries no date.",
}


@dataclass(frozen=True)
class Selected:
    """A staging with the choice of its CT, of its PET, and of the CT that tells where another frame's PET lies."""

    staging: Staging
    ct: Choice
    pet: Choice
    low_dose_ct: Choice


@dataclass(frozen=True)
class Selection:
    """What is measured of a study, in order of patient and staging."""

    selected: tuple[Selected, ...]
    staging_of: Mapping[str, str]
    """Series -> the staging that it joined, chosen or not."""
    scores: Mapping[str, Score]
    """Series -> the points of every candidate."""

    def names_of_stagings(self) -> dict[str, dict[str, str]]:
        """Patient -> every name by which a staging may be called (its own, a day of its images) -> its name."""
        names: dict[str, dict[str, str]] = defaultdict(dict)
        stagings = [one.staging for one in self.selected]
        for staging in stagings:
            for day in (one.date for one in staging.ct + staging.pet if one.date):
                names[staging.patient].setdefault(day, staging.name)
        for staging in stagings:  # a staging's own name comes before a day in another's window
            names[staging.patient][staging.name] = staging.name
        return dict(names)


def select_series(
    series: Sequence[Series], results: Results, options: Mapping[str, Any], pins: Pins, look: Look, *, reselect: bool
) -> Selection:
    """Make the stagings and choose their series; anchors and choices found in the results stay unless ``reselect``.

    ``look`` is asked for the pixels of candidates that nearly tie.
    """
    rules = SelectionRules.of(options)
    known = {} if reselect else _known_anchors(results)
    stagings, staging_of = make_stagings(series, known, options["window_days"])
    peers: dict[str, list[Staging]] = defaultdict(list)
    for staging in stagings:
        peers[staging.patient].append(staging)
    scores: dict[str, Score] = {}
    for staging in stagings:
        of_ct = {one.key: score_ct(one, rules, peers[staging.patient]) for one in staging.ct}
        of_pet = {one.key: score_pet(one, staging.date) for one in staging.pet}
        for candidates, points in ((staging.ct, of_ct), (staging.pet, of_pet)):
            scores |= break_near_ties(candidates, points, pins, rules, look)

    def chosen(staging: Staging, candidates: Sequence[Series], name: str) -> Choice:
        return choose(candidates, scores, pins, None if reselect else _previous(results, staging, name))

    def selected(staging: Staging) -> Selected:
        ct = chosen(staging, staging.ct, CT_SELECTION)
        pet = chosen(staging, staging.pet, PET_SELECTION)
        return Selected(staging, ct, pet, low_dose_ct(staging, ct, pet))

    def low_dose_ct(staging: Staging, ct: Choice, pet: Choice) -> Choice:
        candidates = low_dose_candidates(staging, ct.series, pet.series)
        points = {one.key: score_low_dose_ct(one) for one in candidates}
        bans = {key: pin for key, pin in pins.items() if not pin}
        previous = None if reselect else _previous(results, staging, LOW_DOSE_CT_SELECTION)
        choice = choose(candidates, points, bans, previous)
        return (
            replace(choice, better=None, reason=f"tells where the PET lies ({choice.reason})")
            if choice.series
            else choice
        )

    return Selection(tuple(map(selected, stagings)), staging_of, scores)


def _known_anchors(results: Results) -> dict[str, list[str]]:
    known: dict[str, list[str]] = defaultdict(list)
    for row in read_stagings(results):
        if not row["staging"].startswith(UNDATED):
            known[row["patient"]].append(row["staging"])
    return known


def _previous(results: Results, staging: Staging, name: str) -> str | None:
    path = results.staging(staging.patient, staging.name) / name
    try:
        return json.loads(path.read_text("utf-8"))["series"]
    except (OSError, ValueError, KeyError):  # none yet, not ours, or half a file: choose afresh
        return None


def write_selections(selection: Selection, results: Results) -> None:
    """Write `ct_selection.json`, `pet_selection.json` and `low_dose_ct_selection.json` of every staging."""
    for one in selection.selected:
        folder = results.staging(one.staging.patient, one.staging.name)
        write_json(folder / CT_SELECTION, _content(one.ct, "ct.none", "CT"), only_if_changed=True)
        write_json(folder / PET_SELECTION, _content(one.pet, "pet.none", "PET"), only_if_changed=True)
        low_dose_ct = _content(one.low_dose_ct, "ct.none", "CT in the frame of reference of a PET that lies in another")
        write_json(folder / LOW_DOSE_CT_SELECTION, low_dose_ct, only_if_changed=True)


def _content(choice: Choice, code_of_none: str, kind: str) -> dict[str, Any]:
    """The content of a selection: only what the series is, never how it was ranked, so that ranks rerun nothing."""
    series = choice.series
    if series is None:
        nothing = {"series": None, "date": "", "files": 0, "bytes": 0, "digest": "", "phase_header": "unknown"}
        nothing["frame_of_reference"] = NO_FRAME
        return nothing | {"reasons": [_reason(code_of_none, f"This staging has no {kind}: {choice.reason}.")]}
    return {
        "series": series.key,
        "date": series.date,
        "files": series.files,
        "bytes": series.bytes,
        "digest": series.digest,
        "phase_header": series.phase,
        "frame_of_reference": series.frame_of_reference,
        "reasons": [_reason(code, _TEXT_OF_CODE[code]) for code in series.codes if code in _TEXT_OF_CODE],
    }


def _reason(code: str, text: str) -> dict[str, str]:
    reason = Reason(code, text)
    return {"code": reason.code, "text": reason.text}
