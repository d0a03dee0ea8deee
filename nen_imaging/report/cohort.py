"""The tables over all patients, built from what lies on disk after every run; no stage, so none can hold them up."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nen_imaging.contract import (
    COHORT_COLUMNS,
    FAILURES_COLUMNS,
    FOLDER_OF_STAGE,
    PATIENT_STAGES,
    REVIEW_COLUMNS,
    STAGING_STAGES,
    TIMELINE,
    Reason,
    Results,
    StagingState,
    State,
)
from nen_imaging.report.response import is_by_reader, shown_responses, with_reader
from nen_imaging.report.staging import StagingResult, read_staging
from nen_imaging.stage import StageError, StageRecord, read_record, reasons_of
from nen_imaging.tables import read_stagings, read_table, write_table, write_text

FAILED = "failed"
_PET_STAGES = ("import_pet", "uptake")
_LOOK_AT = {
    "liver": "segment/qc.png", "image": "segment/qc.png", "slices": "segment/qc.png", "hu": "segment/qc.png",
    "pixels": "segment/qc.png", "reader": "segment/qc.png", "pet": "pet/pet.json", "uptake": "uptake/organs.json",
}  # fmt: skip

Row = dict[str, Any]
_Errors = Mapping[tuple[str, str, str], Row]


@dataclass(frozen=True)
class CohortSummary:
    """How many stagings have a load, and how many have none: refused by the data, or because a stage failed.

    ``without_uptake`` are those with a load whose PET was refused or failed, ``unreported`` patients whose own stages
    failed.
    """

    measured: int
    refused: int
    failed: int
    without_uptake: int = 0
    unreported: int = 0

    @property
    def text(self) -> str:
        """The counts as a sentence without its full stop."""
        stagings = "staging" if self.measured == 1 else "stagings"
        text = f"{self.measured} {stagings} measured, {self.refused} refused, {self.failed} failed"
        if self.without_uptake:
            text += f"; measured without SSR uptake, the PET refused or failed: {self.without_uptake}"
        return f"{text}; patients whose report failed: {self.unreported}" if self.unreported else text


@dataclass(frozen=True)
class Cohort:
    """The rows of the cohort's tables."""

    stagings: list[Row]
    review: list[Row]
    failures: list[Row]

    @property
    def summary(self) -> CohortSummary:
        measured = [row for row in self.stagings if row["load_percent"] != ""]
        failed = sum(row["load_percent"] == "" and row["state"] == FAILED for row in self.stagings)
        return CohortSummary(
            len(measured),
            len(self.stagings) - len(measured) - failed,
            failed,
            sum(row["ssr_status"] == "NE" for row in measured),
            len({row["patient"] for row in self.failures if not row["staging"] and row["state"] == FAILED}),
        )


def build_cohort(results: Results) -> CohortSummary:
    """Write cohort.csv, cohort.html, review.csv and failures.csv, each by rename; `gone` stagings are left out."""
    from nen_imaging.report.pages import render_cohort

    cohort = read_cohort(results)
    write_table(results.cohort / "cohort.csv", COHORT_COLUMNS, [_only(row, COHORT_COLUMNS) for row in cohort.stagings])
    write_table(results.cohort / "review.csv", REVIEW_COLUMNS, cohort.review)
    write_table(results.cohort / "failures.csv", FAILURES_COLUMNS, cohort.failures)
    page = render_cohort(
        rows=cohort.stagings, review=cohort.review, failures=cohort.failures, summary=cohort.summary
    )  # fmt: skip
    write_text(results.cohort / "cohort.html", page)
    return cohort.summary


def failed_patients(results: Results) -> set[str]:
    """The patients with a stage that failed, as `build_cohort` told last; one that was killed left no error record."""
    return {row["patient"] for row in read_table(results.cohort / "failures.csv") if row.get("state") == FAILED}


def read_cohort(results: Results) -> Cohort:
    """Read every active staging and patient of the index, and the records of what failed."""
    cohort, errors = Cohort([], [], []), _errors(results)
    for patient, rows in active_stagings(results).items():
        of_patient = _read_patient(results, patient, rows, errors)
        cohort.stagings.extend(of_patient.stagings)
        cohort.review.extend(of_patient.review)
        cohort.failures.extend(of_patient.failures)
    return cohort


def active_stagings(results: Results) -> dict[str, list[dict[str, str]]]:
    """The rows of index/stagings.csv whose images still lie in the study, by patient."""
    found: dict[str, list[dict[str, str]]] = {}
    for row in read_stagings(results):
        if row["state"] == StagingState.ACTIVE:
            found.setdefault(row["patient"], []).append(row)
    return found


def _read_patient(results: Results, patient: str, rows: Sequence[Mapping[str, str]], errors: _Errors) -> Cohort:
    cohort = Cohort([], [], [])
    responses = _responses(results, patient)
    for row in rows:
        name = row["staging"]
        folders = {FOLDER_OF_STAGE[stage]: results.stage_folder(stage, patient, name) for stage in STAGING_STAGES}
        for stage in STAGING_STAGES:
            if _has_work(stage, row):
                _add_stage(cohort, results, errors, stage, patient, name)
        staging = read_staging(name, folders)
        cohort.stagings.append(_cohort_row(results, row, staging, responses.get(name, {})))
    for stage in PATIENT_STAGES:
        _add_stage(cohort, results, errors, stage, patient, None)
    return cohort


def _has_work(stage: str, row: Mapping[str, str]) -> bool:
    """Whether a staging (a row of stagings.csv) has something for a stage to do."""
    if stage == "import_low_dose_ct":
        return bool(row.get("low_dose_ct_series"))
    return row["has_pet"] == "yes" or stage not in _PET_STAGES


def _cohort_row(
    results: Results, of_index: Mapping[str, str], staging: StagingResult, response: Mapping[str, str]
) -> Row:
    patient, load = of_index["patient"], staging.load or {}
    measure = staging.records.get("measure")
    numbers = (
        "load_percent",
        "load_percent_low",
        "load_percent_high",
        "liver_volume_ml",
        "lesion_volume_ml",
        "lesions",
    )
    totals = (staging.organs or {}).get("totals", {})
    report = results.stage_folder("report", patient) / "report.html"
    return {
        "patient": patient,
        "staging": staging.name,
        "date": staging.date.text if staging.date else "",
        "state": str(measure.state) if measure else FAILED,
        **{name: "" if load.get(name) is None else round(load[name], 2) for name in numbers},
        "ssr_status": totals.get("ssr_status", "NE" if of_index["has_pet"] == "yes" else ""),
        "response": response.get("response", "") if staging.load or is_by_reader(response) else "NE",
        "response_basis": response.get("criterion", ""),
        "flags": " ".join(reason.code for reason in staging.refusals + staging.pet_refusals + staging.warnings),
        "report": f"../{_relative(results, report)}" if report.is_file() else "",
    }


def _add_stage(
    cohort: Cohort,
    results: Results,
    errors: _Errors,
    stage: str,
    patient: str,
    staging: str | None,
) -> None:
    """Add a stage's reasons to a patient's review or failures, each reason once per staging: where it arose."""
    folder = results.stage_folder(stage, patient, staging)
    where = {"patient": patient, "staging": staging or ""}
    error = errors.get((patient, staging or "", stage))
    if error is not None:
        cohort.failures.append({**where, "stage": stage, "state": FAILED, "code": "", **error})
        return
    record = _record(folder)
    if record is None:
        failed = [row["staging"] for row in cohort.failures if row["state"] == FAILED]
        if not (staging in failed if staging else failed):  # else it is what did not run after a failure
            text, remedy = f"There is no result of {stage}: it was not run, or was stopped.", "Run again."
            cohort.failures.append(
                {**where, "stage": stage, "state": FAILED, "code": "", "text": text, "remedy": remedy}
            )
        return
    for reason in reasons_of(record):
        row = {**where, "code": reason.code, "text": reason.text, "remedy": reason.remedy}
        if reason.state == State.REFUSED:
            _append_once(cohort.failures, {**row, "stage": stage, "state": str(State.REFUSED)}, but="stage")
        else:
            _append_once(cohort.review, {**row, "look_at": _look_at(results, reason, patient, staging)}, but="look_at")


def _append_once(rows: list[Row], row: Row, *, but: str) -> None:
    content = {key: value for key, value in row.items() if key != but}
    if not any(content == {key: value for key, value in other.items() if key != but} for other in rows):
        rows.append(row)


def _look_at(results: Results, reason: Reason, patient: str, staging: str | None) -> str:
    report = results.stage_folder("report", patient) / "report.html"
    name = _LOOK_AT.get(reason.code.partition(".")[0])
    path = results.staging(patient, staging) / name if staging and name else report
    return _relative(results, path if path.is_file() else report)


def _responses(results: Results, patient: str) -> dict[str, Mapping[str, str]]:
    folder = results.stage_folder("report", patient)
    record = _record(folder)
    criterion = str(record.options.get("criterion", "load")) if record else "load"
    timeline = results.patient(patient) / TIMELINE
    readings = json.loads(timeline.read_text("utf-8")).get("readings", ()) if timeline.is_file() else ()
    return with_reader(shown_responses(read_table(folder / "response.csv"), criterion), readings)


def _errors(results: Results) -> _Errors:
    """What failed, by patient, staging ('' for a patient's stage) and stage; an unreadable record is told as it is."""
    return {key: content for path in sorted((results.logs / "errors").rglob("*.json")) for key, content in _error(path)}


def _error(path: Path) -> Iterator[tuple[tuple[str, str, str], Row]]:
    staging, _, stage = path.stem.rpartition(".")
    try:
        content = json.loads(path.read_text("utf-8"))
        text, remedy = str(content["error"]), str(content.get("remedy") or "Run again.")
    except (OSError, ValueError, KeyError, TypeError):
        text, remedy = f"{path.name} is no error record.", "Run again."
    yield (path.parent.name, "" if staging == "patient" else staging, stage), {"text": text, "remedy": remedy}


def _record(folder: Path) -> StageRecord | None:
    try:
        return read_record(folder)
    except StageError:
        return None


def _relative(results: Results, path: Path) -> str:
    return path.relative_to(results.root).as_posix()


def _only(row: Row, columns: tuple[str, ...]) -> Row:
    return {column: row[column] for column in columns}
