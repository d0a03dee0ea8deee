"""The stage `report`: every staging of a patient and the timeline -> responses, staging table, figure, page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nen_imaging.contract import RESPONSE_COLUMNS, STAGING_TABLE_COLUMNS, TIMELINE
from nen_imaging.report.staging import StagingResult, read_staging
from nen_imaging.stage import Outcome, Stage, StageCall
from nen_imaging.tables import read_table, write_table, write_text

VERSION = 5
_STAGING_FOLDERS = ("ct", "segment", "measure", "pet", "uptake")


def _report(call: StageCall) -> Outcome:
    from nen_imaging.report.figures import course_figure
    from nen_imaging.report.pages import ReportContent, render_report, render_staging_page
    from nen_imaging.report.response import shown_responses, with_reader
    from nen_imaging.report.table import build_table

    stagings = _stagings(call)
    timeline = json.loads(call.input(TIMELINE).read_text("utf-8"))
    follow = call.input("follow") if call.has_input("follow") else None
    tables = {
        name: read_table(follow / f"{name}.csv") if follow else [] for name in ("registration", "tracks", "events")
    }
    responses = _responses(stagings, tables, timeline, call.options)
    shown = with_reader(shown_responses(responses, call.options["criterion"]), timeline.get("readings", ()))
    rows = build_table(stagings, timeline, shown, date_format=call.options["date_format"])
    figure = course_figure(stagings, timeline)
    patient = str(timeline.get("patient", ""))
    content = ReportContent(
        patient=patient,
        stagings=stagings,
        rows=rows,
        responses=responses,
        events=tables["events"],
        registration=tables["registration"],
        criterion=call.options["criterion"],
        figure=figure,
    )
    write_table(call.folder / "response.csv", RESPONSE_COLUMNS, responses)
    table_rows = [
        {column: value for column, value in asdict(row).items() if column in STAGING_TABLE_COLUMNS} for row in rows
    ]
    write_table(call.folder / "staging.csv", STAGING_TABLE_COLUMNS, table_rows)
    write_text(call.folder / "staging.html", render_staging_page(patient, rows))
    write_text(call.folder / "course.svg", figure)
    write_text(call.folder / "report.html", render_report(content))
    return Outcome(facts={"stagings": len(stagings), "measured": sum(s.load is not None for s in stagings)})


def _stagings(call: StageCall) -> list[StagingResult]:
    folders: dict[str, dict[str, Path]] = {}
    for folder in _STAGING_FOLDERS:
        for staging, path in call.by_staging(folder).items():
            folders.setdefault(staging, {})[folder] = path
    return [read_staging(name, folders[name]) for name in sorted(folders)]


def _responses(
    stagings: Iterable[StagingResult],
    tables: Mapping[str, Sequence[Mapping[str, str]]],
    timeline: Mapping[str, Any],
    options: Mapping[str, Any],
) -> list[dict[str, str]]:
    """Rows of response.csv: every staging by every criterion."""
    from nen_imaging.longitudinal.criteria import Thresholds
    from nen_imaging.longitudinal.measurements import staging_measurement
    from nen_imaging.longitudinal.respond import respond

    measurements = [
        staging_measurement(
            staging.name,
            staging.load,
            staging.lesions,
            tables["tracks"],
            staging.records["ct"].facts if "ct" in staging.records else {},
            not_measured=" ".join(reason.text for reason in staging.refusals),
        )
        for staging in stagings
    ]
    found = respond(measurements, tables["events"], timeline, Thresholds.from_options(options))
    return [response.row() for response in found]


REPORT = Stage("report", VERSION, _report, tolerates=frozenset({*_STAGING_FOLDERS, "follow"}))
