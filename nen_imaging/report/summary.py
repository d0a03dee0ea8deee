"""What a run says at its end: the staging table of each patient, then what was measured, refused and failed."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nen_imaging.contract import Results, State
from nen_imaging.report.cohort import FAILED, active_stagings, read_cohort
from nen_imaging.tables import read_table

MOST_PATIENTS_SHOWN = 20
WIDTH = 110


@dataclass(frozen=True)
class Summary:
    """The text for the terminal, and what the exit code rests on: stagings with a load, reasons refused and failed."""

    text: str
    measured: int
    refused: int
    failed: int


def summarize(results: Results) -> Summary:
    """Tell what lies in a results folder, as plain text; of a large cohort only the first patients' tables."""
    cohort = read_cohort(results)
    patients = list(active_stagings(results))
    lines = [line for patient in patients[:MOST_PATIENTS_SHOWN] for line in _patient_lines(results, patient)]
    if len(patients) > MOST_PATIENTS_SHOWN:
        lines += [
            f"... and {len(patients) - MOST_PATIENTS_SHOWN} more patients: see {results.cohort / 'cohort.html'}",
            "",
        ]
    lines += [f"{cohort.summary.text}."]
    lines += [_failure_line(row) for row in cohort.failures if row["state"] == State.REFUSED]
    lines += [_failure_line(row) for row in cohort.failures if row["state"] != State.REFUSED]
    lines += [f"Remarks to look at: {len(cohort.review)}, in {results.cohort / 'review.csv'}"] if cohort.review else []
    states = [row["state"] for row in cohort.failures]
    return Summary("\n".join(lines), cohort.summary.measured, states.count(State.REFUSED), states.count(FAILED))


def summary_text(results: Results) -> str:
    """The text of `summarize`."""
    return summarize(results).text


def _patient_lines(results: Results, patient: str) -> list[str]:
    rows = read_table(results.stage_folder("report", patient) / "staging.csv")
    if not rows:
        return [f"{patient}: no report yet.", ""]
    cells = [(row["date"], row["therapy"], row["staging"], _load(row), row["response"]) for row in rows]
    return [patient, *aligned(("Date", "Therapy", "Staging", "Load [%]", "Response"), cells), ""]


def aligned(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a plain table in aligned columns, long cells wrapped; no colours, no markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in titles:
        table.add_column(title, no_wrap=title in ("Date", "Load [%]", "Response"), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    output = io.StringIO()
    Console(file=output, width=WIDTH, color_system=None, force_terminal=False, markup=False).print(table)
    return [line.rstrip() for line in output.getvalue().splitlines()]


def _load(row: Mapping[str, str]) -> str:
    if not row["load_percent"]:
        return ""
    value, low, high = (row[f"load_percent{end}"] for end in ("", "_low", "_high"))
    interval = f" ({float(low):.1f}-{float(high):.1f})" if low and high else ""
    return f"{float(value):.1f}{interval}"


def _failure_line(row: Mapping[str, Any]) -> str:
    where = "/".join(part for part in (row["patient"], row["staging"]) if part)
    code = f" {row['code']}:" if row["code"] else ":"
    return f"  {row['state']}  {where}  {row['stage']}{code} {row['text'].rstrip('.')}. {row['remedy']}"
