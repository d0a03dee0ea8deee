"""The staging table: stagings, therapies, procedures and a reader's findings, merged by date as a case report prints.

A therapy line stands at its start; a staging joins the line that ends in its month (what the line led to), else a line
that starts in its month. A reader's finding joins the staging of its month (`resected`: the operation), else any row
of that month, else it has its own row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from nen_imaging.dates import PartialDate
from nen_imaging.report.response import is_by_reader
from nen_imaging.report.sentence import capitalised, finding_part, staging_sentence
from nen_imaging.report.staging import StagingResult
from nen_imaging.report.therapy import Therapy, therapies_of


@dataclass(frozen=True)
class TableRow:
    """One row; ``staging_name`` links to the staging it tells of, the loads are empty where none was measured."""

    date: str
    year: str
    therapy: str
    staging: str
    load_percent: float | None = None
    load_percent_low: float | None = None
    load_percent_high: float | None = None
    response: str = ""
    response_basis: str = ""
    staging_name: str = ""


@dataclass(frozen=True)
class _Row:
    """A row while it is put together."""

    start: PartialDate | None
    end: PartialDate | None = None
    therapy: Therapy | None = None
    staging: StagingResult | None = None
    findings: tuple[Mapping[str, str], ...] = field(default=())

    @property
    def is_procedure(self) -> bool:
        return self.therapy is not None and self.therapy.is_procedure

    @property
    def order(self) -> tuple[date, int, date]:
        """By start; in one month the staging first, then systemic therapy; undated rows last."""
        kind = 0 if self.therapy is None else 2 if self.is_procedure else 1
        if self.start is None:
            return date.max, 3, date.max
        return self.start.first, kind, (self.end or self.start).last


def build_table(
    stagings: Sequence[StagingResult],
    timeline: Mapping[str, Any],
    responses: Mapping[str, Mapping[str, str]],
    *,
    date_format: str = "day",
) -> list[TableRow]:
    """The rows in order of time.

    Parameters
    ----------
    stagings
        All stagings of the patient.
    timeline
        Content of timeline.json.
    responses
        By staging, the row of response.csv that the table shows.
    date_format
        ``day`` shows dates as given, ``month`` as MM/YYYY.
    """
    rows = [_Row(therapy.start, therapy.end, therapy) for therapy in therapies_of(timeline)]
    for staging in stagings:
        _join(rows, _Row(staging.date, staging=staging), _host_of_staging(rows, staging))
    for finding in timeline.get("findings", ()):
        when = PartialDate.parse(finding.get("date", ""))
        _join(rows, _Row(when, findings=(finding,)), _host_of_finding(rows, finding, when))
    rows.sort(key=lambda row: row.order)
    return [_finished(row, responses, date_format) for row in rows]


def _join(rows: list[_Row], row: _Row, host: int | None) -> None:
    if host is None:
        rows.append(row)
    else:
        together = rows[host].findings + row.findings
        rows[host] = replace(rows[host], staging=row.staging or rows[host].staging, findings=together)


def _host_of_staging(rows: Sequence[_Row], staging: StagingResult) -> int | None:
    if staging.date is None:
        return None
    free = [n for n, row in enumerate(rows) if row.staging is None and row.therapy and not row.is_procedure]
    ending = [n for n in free if (end := rows[n].end) and end.month == staging.date.month]
    starting = [n for n in free if (start := rows[n].start) and start.month == staging.date.month]
    return next(iter(ending + starting), None)


def _host_of_finding(rows: Sequence[_Row], finding: Mapping[str, str], when: PartialDate | None) -> int | None:
    if when is None:
        return None
    imaged = [n for n, row in enumerate(rows) if _month_of_staging(row) == when.month]
    same_month = [n for n, row in enumerate(rows) if row.start and row.start.month == when.month]
    is_resected = finding.get("status", "").lower() == "resected"
    operated = [n for n in same_month if rows[n].is_procedure and is_resected]
    return next(iter(operated + imaged + same_month), None)


def _month_of_staging(row: _Row) -> tuple[int, int] | None:
    return row.staging.date.month if row.staging and row.staging.date else None


def _finished(row: _Row, responses: Mapping[str, Mapping[str, str]], date_format: str) -> TableRow:
    staging, response = row.staging, responses.get(row.staging.name) if row.staging else None
    load = (staging.load if staging else None) or {}
    refusals = staging.refusals if staging and staging.load is None and not is_by_reader(response) else None
    return TableRow(
        date=_shown_date(row, date_format),
        year=str(row.start.first.year) if row.start else "",
        therapy=row.therapy.text if row.therapy else "",
        staging=_staging_text(row, response),
        load_percent=rounded(load.get("load_percent")),
        load_percent_low=rounded(load.get("load_percent_low")),
        load_percent_high=rounded(load.get("load_percent_high")),
        response=(response or {}).get("response", "") if refusals is None else "NE",
        response_basis=_basis(response) if refusals is None else " ".join(reason.code for reason in refusals),
        staging_name=staging.name if staging else "",
    )


def _staging_text(row: _Row, response: Mapping[str, str] | None) -> str:
    if row.staging is not None:
        return staging_sentence(row.staging, response, row.findings)
    note = row.therapy.note if row.therapy else ""
    parts = [f"{capitalised(note).rstrip('.')}."] if note else []
    return " ".join([*parts, *map(finding_part, row.findings)])


def _shown_date(row: _Row, date_format: str) -> str:
    if row.start is None:
        return row.staging.name if row.staging else "undated"
    shown = row.start.shown(date_format)
    if row.end and row.end.shown(date_format) != shown:
        joint = "-" if date_format == "month" else " to "
        shown = f"{shown}{joint}{row.end.shown(date_format)}"
    imaged = row.staging.date.shown(date_format) if row.staging and row.staging.date else ""
    if row.therapy and imaged and not shown.endswith(imaged):
        return f"{shown} (CT {imaged})"
    return shown


def rounded(value: float | None) -> float | None:
    """A load as tables hold it: two decimals."""
    return None if value is None else round(value, 2)


def _basis(response: Mapping[str, str] | None) -> str:
    """The criterion and the reason; a reason that opens with the criterion's own figure (`load 43 %`) names both."""
    criterion, reason = ((response or {}).get(key, "") for key in ("criterion", "reason"))
    if reason.startswith(f"{criterion} "):
        return reason
    return ": ".join(part for part in (criterion, reason) if part)
