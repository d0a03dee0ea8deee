"""The index: what lies in a study, what would be measured of it, and what is left out and why.

Written before the workflow is planned, by rename and only where something changed, so that an unchanged study
reruns nothing. The same study gives the same bytes, wherever it lies and in whatever order its files are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nen_imaging.contract import (
    QUARANTINE_COLUMNS,
    SERIES_COLUMNS,
    STAGINGS_COLUMNS,
    STUDIES_COLUMNS,
    Results,
)
from nen_imaging.dates import moved
from nen_imaging.dicom.database import FilesDatabase
from nen_imaging.dicom.glance import Glances
from nen_imaging.dicom.group import Series, group_series
from nen_imaging.dicom.index_rows import (
    REASON_OF_KIND,
    Row,
    nothing_readable,
    quarantine_rows,
    series_rows,
    staging_rows,
    study_rows,
)
from nen_imaging.dicom.privacy import Pseudonymiser, hold_to_key, pseudonyms
from nen_imaging.dicom.scan import Progress, scan_study
from nen_imaging.dicom.select import Pins
from nen_imaging.dicom.selection import select_series, write_selections
from nen_imaging.dicom.stagings import undated_name
from nen_imaging.stage import exclusive_lock
from nen_imaging.tables import read_stagings, write_table

LOCK_WAIT_S = 3600.0


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
    series: frozenset[str]
    """The keys of all series."""
    patients: Mapping[str, Mapping[str, str]]
    """For each patient with an active staging: every name and date by which a staging may be called -> its name."""
    moved_days: Mapping[str, int] = field(repr=False)
    """By how many days the dates of each patient were moved."""
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
        ``window_days``, ``date_shift_days``, ``preferred_phase``, ``preferred_thickness_mm``.
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
        See `index_rows.nothing_readable`.
    SeveralPinnedError
        ``pins`` choose two series of one kind for one staging.
    PrivacyError
        The results were made with another key, or two patients share a pseudonym.
    StageError
        Another index of these results takes longer than an hour.
    """
    pseudonymiser = Pseudonymiser(key, options["date_shift_days"])
    with exclusive_lock(results.index / ".lock", wait_s=LOCK_WAIT_S):
        hold_to_key(results, pseudonymiser)
        with FilesDatabase(results.files_database) as database:
            headers_read = scan_study(study, database, pseudonymiser, leave_out=results.root, progress=progress)
            people = pseudonyms(pseudonymiser, database.issuers())
            moved_days = {patient: pseudonymiser.moved_days(identity) for (identity, _), patient in people.items()}
            series = [
                _dated(one, dates or {}, moved_days[one.patient])
                for one in group_series(database, pseudonymiser, people)
            ]
            not_used = list(database.quarantined())
        quarantine = quarantine_rows(not_used, pseudonymiser)
        write_table(results.quarantine_table, QUARANTINE_COLUMNS, quarantine, only_if_changed=True)
        if not series:
            raise nothing_readable("No file of the study is DICOM", not_used)
        series.sort(key=lambda one: (one.patient, one.date, one.study, one.key))
        with FilesDatabase(results.files_database) as database:  # the scan is kept, whatever becomes of the choice
            look = Glances(study, database)
            selection = select_series(series, results, options, pins or {}, look, reselect=reselect)
        stagings = staging_rows(selection, read_stagings(results))
        write_table(
            results.series_table, SERIES_COLUMNS, series_rows(series, selection, pins or {}), only_if_changed=True
        )
        write_table(
            results.studies_table, STUDIES_COLUMNS, study_rows(series, selection.staging_of), only_if_changed=True
        )
        write_selections(selection, results)
        write_table(results.stagings_table, STAGINGS_COLUMNS, stagings, only_if_changed=True)  # the workflow reads it
    return IndexSummary(
        headers_read,
        tuple(stagings),
        Counter(row["code"] for row in quarantine),
        Counter(str(one.kind) for one in series if one.kind in REASON_OF_KIND),
        frozenset(one.key for one in series),
        selection.names_of_stagings(),
        moved_days,
        pseudonymiser,
        people,
    )


def _dated(series: Series, dates: Mapping[str, str], moved_days: int) -> Series:
    """An undated series with the date that `corrections.csv` gives its staging."""
    given = dates.get(undated_name(series.study)) if not series.date else None
    if not given:
        return series
    codes = tuple(code for code in series.codes if code != "date.missing")
    return replace(series, date=moved(given, moved_days), codes=codes)
