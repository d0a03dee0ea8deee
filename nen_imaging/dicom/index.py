"""The index: what lies in a study, what would be measured of it, and what is left out and why.

Written before the workflow is planned, by rename and only where something changed, so that an unchanged study
reruns nothing. The same study gives the same bytes, wherever it lies and in whatever order its files are read.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nen_imaging.contract import (
    CT_SELECTION,
    PET_SELECTION,
    QUARANTINE_COLUMNS,
    REASONS,
    SERIES_COLUMNS,
    STAGINGS_COLUMNS,
    STUDIES_COLUMNS,
    Reason,
    Refusal,
    Results,
    StagingState,
)
from nen_imaging.dicom.database import FilesDatabase
from nen_imaging.dicom.group import Series, SeriesKind, group_series
from nen_imaging.dicom.privacy import Pseudonymiser, file_label, hold_to_key, pseudonyms
from nen_imaging.dicom.scan import Progress, scan_study
from nen_imaging.dicom.select import Choice, Pins, Score, SelectionRules, choose, score_ct, score_pet
from nen_imaging.dicom.stagings import UNDATED, Staging, make_stagings, undated_name
from nen_imaging.stage import exclusive_lock, write_json

LOCK_WAIT_S = 3600.0
Row = dict[str, str]

_TEXT_OF_CODE = {
    "identity.weak": "The series carries no PatientID; its patient is known by PatientName or study alone.",
    "date.missing": "The series carries no date.",
}
_REASON_OF_KIND = {
    SeriesKind.LOCALIZER: "skipped: a scout",
    SeriesKind.NOT_HU: "skipped: a mask, a capture or a projection, no Hounsfield units",
    SeriesKind.OTHER: "skipped: neither CT nor PET",
}


@dataclass(frozen=True)
class IndexSummary:
    """What the index found."""

    headers_read: int
    stagings: tuple[Row, ...]
    """The rows of `stagings.csv`."""
    quarantined: Mapping[str, int]
    """Files per reason code."""
    skipped: Mapping[str, int]
    """Series per kind that is not measured."""
    patients: Mapping[str, Mapping[str, str]]
    """For each patient with an active staging: every name and date by which a staging may be called -> its name."""
    _pseudonymiser: Pseudonymiser = field(repr=False)
    _pseudonyms: Mapping[tuple[str, str], str] = field(repr=False)

    def patients_named(self, text: str) -> set[str]:
        """The patients that a PatientID means; also a pseudonym itself, or the name of one that has no PatientID."""
        if text in self.patients:
            return {text}
        identities = {self._pseudonymiser.identity("id", text), self._pseudonymiser.identity("name", text.casefold())}
        named = {pseudonym for (identity, _), pseudonym in self._pseudonyms.items() if identity in identities}
        return named & set(self.patients)


def index_study(
    study: Path,
    results: Results,
    *,
    options: Mapping[str, Any],
    key: bytes,
    pins: Pins | None = None,
    dates: Mapping[str, str] | None = None,
    reselect: bool = False,
    progress: Progress | None = None,
) -> IndexSummary:
    """Index a study folder (or archive) and select the series of every staging.

    Parameters
    ----------
    study, results
        What to scan, and where `index/` and the selections of the stagings are written.
    options
        ``window_days``, ``preferred_phase``, ``preferred_thickness_mm``.
    key
        The key of the pseudonyms (`privacy.load_key`).
    pins
        Series key -> True for chosen, False for banned.
    dates
        Name of an undated staging -> the date it is given.
    reselect
        Forget earlier anchors and selections.
    progress
        Called with the number of files seen so far.

    Raises
    ------
    Refusal
        ``study.empty``: no file is DICOM.
    PrivacyError
        The results were made with another key, or two patients share a pseudonym.
    StageError
        Another index of these results takes longer than an hour.
    """
    pseudonymiser = Pseudonymiser(key)
    with exclusive_lock(results.index / ".lock", wait_s=LOCK_WAIT_S):
        hold_to_key(results, pseudonymiser)
        with FilesDatabase(results.files_database) as database:
            headers_read = scan_study(study, database, pseudonymiser, progress=progress)
            people = pseudonyms(pseudonymiser, database.issuers())
            series = [_dated(one, dates or {}) for one in group_series(database, pseudonymiser, people)]
            quarantine = [
                _quarantine_row(file_label(pseudonymiser, row.entry.path, row.entry.size), row.code, row.text)
                for row in database.quarantined()
            ]
        if not series:
            raise Refusal("study.empty", f"No file of {study.name!r} is DICOM; {len(quarantine)} files were looked at.")
        series.sort(key=lambda one: (one.patient, one.date, one.study, one.key))
        selection = _Selection(results, options, pins or {}, reselect=reselect)
        selection.make(series)
        _write_table(results.series_table, SERIES_COLUMNS, selection.series_rows(series))
        _write_table(results.studies_table, STUDIES_COLUMNS, _study_rows(series, selection.staging_of))
        _write_table(results.quarantine_table, QUARANTINE_COLUMNS, quarantine)
        selection.write()
    return IndexSummary(
        headers_read,
        tuple(selection.rows),
        Counter(row["code"] for row in quarantine),
        Counter(str(one.kind) for one in series if one.kind in _REASON_OF_KIND),
        _names_of_stagings(selection),
        pseudonymiser,
        people,
    )


def _dated(series: Series, dates: Mapping[str, str]) -> Series:
    """An undated series with the date that `corrections.csv` gives its staging."""
    given = dates.get(undated_name(series.study)) if not series.date else None
    return replace(series, date=given, codes=tuple(c for c in series.codes if c != "date.missing")) if given else series


class _Selection:
    """The stagings of a study and the series chosen for each; knows what was listed and chosen before."""

    def __init__(self, results: Results, options: Mapping[str, Any], pins: Pins, *, reselect: bool) -> None:
        self._results, self._options, self._pins, self._reselect = results, options, pins, reselect
        self._rules = SelectionRules.of(options)
        self._before = _read_table(results.stagings_table)
        self._scores: dict[str, Score] = {}
        self._choices: dict[tuple[str, str], tuple[Choice, Choice]] = {}
        self.stagings: list[Staging] = []
        self.staging_of: dict[str, str] = {}
        self.rows: list[Row] = []

    def make(self, series: list[Series]) -> None:
        known: dict[str, list[str]] = defaultdict(list)
        for row in [] if self._reselect else self._before:
            if not row["staging"].startswith(UNDATED):
                known[row["patient"]].append(row["staging"])
        self.stagings, self.staging_of = make_stagings(series, known, self._options["window_days"])
        peers: dict[str, list[Staging]] = defaultdict(list)
        for staging in self.stagings:
            peers[staging.patient].append(staging)
        for staging in self.stagings:
            self._scores |= {one.key: score_ct(one, self._rules, peers[staging.patient]) for one in staging.ct}
            self._scores |= {one.key: score_pet(one, staging.date) for one in staging.pet}
            self._choices[staging.patient, staging.name] = (
                choose(staging.ct, self._scores, self._pins, self._previous(staging, CT_SELECTION)),
                choose(staging.pet, self._scores, self._pins, self._previous(staging, PET_SELECTION)),
            )
        self.rows = [self._staging_row(staging) for staging in self.stagings] + self._gone_rows()
        self.rows.sort(key=lambda row: (row["patient"], row["staging"]))

    def _previous(self, staging: Staging, name: str) -> str | None:
        path = self._results.staging(staging.patient, staging.name) / name
        if self._reselect or not path.is_file():
            return None
        try:
            return json.loads(path.read_text("utf-8"))["series"]
        except (ValueError, KeyError):  # not ours, or half a file: choose afresh
            return None

    def _staging_row(self, staging: Staging) -> Row:
        ct, pet = self._choices[staging.patient, staging.name]
        notes = [
            f"another {kind} ({choice.better.key}) would now be chosen"
            for kind, choice in (("CT", ct), ("PET", pet))
            if choice.better is not None
        ]
        return {
            "patient": staging.patient,
            "staging": staging.name,
            "date": staging.date,
            "state": StagingState.ACTIVE,
            "has_ct": _yes(ct.series is not None),
            "has_pet": _yes(pet.series is not None),
            "ct_series": ct.series.key if ct.series else "",
            "pet_series": pet.series.key if pet.series else "",
            "notes": "; ".join(notes),
        }

    def _gone_rows(self) -> list[Row]:
        active = {(staging.patient, staging.name) for staging in self.stagings}
        gone = [row for row in self._before if (row["patient"], row["staging"]) not in active]
        return [{**row, "state": StagingState.GONE, "notes": ""} for row in gone]

    def series_rows(self, series: Iterable[Series]) -> list[Row]:
        """The rows of `series.csv`."""
        chosen = {
            choice.series.key: choice.reason
            for choices in self._choices.values()
            for choice in choices
            if choice.series is not None
        }
        return [self._series_row(one, chosen) for one in series]

    def _series_row(self, series: Series, chosen: Mapping[str, str]) -> Row:
        score = self._scores.get(series.key)
        reason = _REASON_OF_KIND.get(series.kind) or "no CT within the window of days"
        if score is not None:
            banned = "banned in pins.csv" if self._pins.get(series.key) is False else ""
            verdict = chosen.get(series.key) or banned or "another series has more points"
            reason = f"{verdict}: {score.reason}"
        return {
            "patient": series.patient,
            "study": series.study,
            "series": series.key,
            "date": series.date,
            "modality": series.modality,
            "files": str(series.files),
            "image_type": " ".join(series.image_type),
            "description_phase": series.phase,
            "slice_thickness_mm": _number(series.slice_thickness_mm),
            "spacing_mm": _number(series.spacing_mm),
            "extent_mm": _number(series.extent_mm),
            "kernel": series.kernel,
            "score": "" if score is None else f"{score.points:g}",
            "chosen_for": self.staging_of[series.key] if series.key in chosen else "",
            "reason": reason,
            "codes": " ".join(series.codes),
        }

    def write(self) -> None:
        """Write the selections of every staging, then `stagings.csv`, on which the workflow rests."""
        for staging in self.stagings:
            folder = self._results.staging(staging.patient, staging.name)
            ct, pet = self._choices[staging.patient, staging.name]
            write_json(folder / CT_SELECTION, _selection(ct, "ct.none", "CT"), only_if_changed=True)
            write_json(folder / PET_SELECTION, _selection(pet, "pet.none", "PET"), only_if_changed=True)
        _write_table(self._results.stagings_table, STAGINGS_COLUMNS, self.rows)


def _selection(choice: Choice, code_of_none: str, kind: str) -> dict[str, Any]:
    """The content of a selection: only what the series is, never how it was ranked, so that ranks rerun nothing."""
    series = choice.series
    if series is None:
        text = f"This staging has no {kind}: {choice.reason}."
        nothing = {"series": None, "date": "", "files": 0, "bytes": 0, "digest": "", "phase_header": "unknown"}
        return nothing | {"reasons": [_reason(code_of_none, text)]}
    return {
        "series": series.key,
        "date": series.date,
        "files": series.files,
        "bytes": series.bytes,
        "digest": series.digest,
        "phase_header": series.phase,
        "reasons": [_reason(code, _TEXT_OF_CODE[code]) for code in series.codes if code in _TEXT_OF_CODE],
    }


def _reason(code: str, text: str) -> dict[str, str]:
    reason = Reason(code, text)
    return {"code": reason.code, "text": reason.text}


def _study_rows(series: Iterable[Series], staging_of: Mapping[str, str]) -> list[Row]:
    studies: dict[tuple[str, str], list[Series]] = defaultdict(list)
    for one in series:
        studies[one.patient, one.study].append(one)
    rows = []
    for (patient, study), members in studies.items():
        stagings = sorted({staging_of[one.key] for one in members if one.key in staging_of})
        rows.append(
            {
                "patient": patient,
                "study": study,
                "date": min((one.date for one in members if one.date), default=""),
                "series": str(len(members)),
                "files": str(sum(one.files for one in members)),
                "modalities": " ".join(sorted({one.modality for one in members})),
                "staging": " ".join(stagings),
                "reason": "" if stagings else _why_no_staging(members),
            }
        )
    return sorted(rows, key=lambda row: (row["patient"], row["date"], row["study"]))


def _why_no_staging(members: Iterable[Series]) -> str:
    kinds = {one.kind for one in members}
    if kinds & {SeriesKind.PET, SeriesKind.PET_UNCORRECTED}:
        return "PET only: no CT of this patient lies within the window of days"
    return "; ".join(sorted(_REASON_OF_KIND[kind].removeprefix("skipped: ") for kind in kinds)) + ": no CT to measure"


def _names_of_stagings(selection: _Selection) -> dict[str, dict[str, str]]:
    names: dict[str, dict[str, str]] = defaultdict(dict)
    for staging in selection.stagings:
        for one in staging.ct + staging.pet:
            if one.date:
                names[staging.patient].setdefault(one.date, staging.name)
    for staging in selection.stagings:  # a staging's own name comes before a date in another's window
        names[staging.patient][staging.name] = staging.name
    return dict(names)


def _quarantine_row(label: str, code: str, text: str) -> Row:
    return {"file": label, "code": code, "text": text, "remedy": REASONS[code].remedy}


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _read_table(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write_table(path: Path, columns: tuple[str, ...], rows: Iterable[Row]) -> None:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    text = buffer.getvalue()
    if path.is_file() and path.read_text("utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)
