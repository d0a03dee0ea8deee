"""What was measured of the case beside what the paper says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from nen_imaging.contract import Results, StagingState
from nen_imaging.phantom.case import CourseStaging
from nen_imaging.report.summary import aligned
from nen_imaging.tables import read_stagings, read_table

TOLERANCE_POINTS = 3.0


@dataclass(frozen=True)
class CheckedStaging:
    """One staging: the course's load and the measured one, None where nothing was measured."""

    planned: CourseStaging
    load_percent: float | None
    interval_percent: tuple[float, float] | None = None
    response: str = ""

    @property
    def deviation_points(self) -> float | None:
        return None if self.load_percent is None else self.load_percent - self.planned.load_percent

    @property
    def is_met(self) -> bool:
        deviation = self.deviation_points
        return deviation is not None and abs(deviation) <= TOLERANCE_POINTS


def check_case(results: Results, course: Sequence[CourseStaging]) -> list[CheckedStaging]:
    """Hold the measured loads of the case's one patient against the course; the truth of the images is not read."""
    stagings = [row for row in read_stagings(results) if row["state"] == StagingState.ACTIVE]
    patient_of = {row["staging"]: row["patient"] for row in stagings}
    return [_checked(results, patient_of.get(f"{planned.date}"), planned) for planned in course]


def published_loads_are_met(checked: Sequence[CheckedStaging]) -> bool:
    """Whether every load that the paper prints was measured within the tolerance."""
    published = [staging for staging in checked if staging.planned.is_published]
    return bool(published) and all(staging.is_met for staging in published)


def comparison(checked: Sequence[CheckedStaging]) -> list[str]:
    """The lines of a plain table, paper beside measurement, and the verdict."""
    titles = ("Staging", "Table 1 of the paper", "Paper [%]", "Measured [%]", "Off by", "Response")
    published = [staging for staging in checked if staging.planned.is_published]
    met = sum(staging.is_met for staging in published)
    verdict = "PASS" if met == len(published) else "FAIL"
    return [
        *aligned(titles, [_row(staging) for staging in checked]),
        "(...): this load is illustrative, the paper prints none. All images are drawn from a seed.",
        f"{verdict}: {met} of the {len(published)} published loads are met within {TOLERANCE_POINTS:g} points.",
    ]


def _row(staging: CheckedStaging) -> tuple[str, ...]:
    planned = staging.planned
    paper = f"{planned.load_percent:.0f}" if planned.is_published else f"({planned.load_percent:.0f})"
    if staging.load_percent is None or staging.interval_percent is None or staging.deviation_points is None:
        return f"{planned.date:%Y-%m}", planned.published_text, paper, "not measured", "", staging.response
    low, high = staging.interval_percent
    verdict = "" if not planned.is_published else " ok" if staging.is_met else " MISSED"
    measured, off = f"{staging.load_percent:.1f} ({low:.0f}-{high:.0f})", f"{staging.deviation_points:+.1f}{verdict}"
    return f"{planned.date:%Y-%m}", planned.published_text, paper, measured, off, staging.response


def _checked(results: Results, patient: str | None, planned: CourseStaging) -> CheckedStaging:
    if patient is None:
        return CheckedStaging(planned, None)
    path = results.stage_folder("measure", patient, f"{planned.date}") / "load.json"
    load = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    if load.get("load_percent") is None:
        return CheckedStaging(planned, None)
    rows = read_table(results.stage_folder("report", patient) / "staging.csv")
    response = next((row["response"] for row in rows if f"{planned.date}" in row["date"]), "")
    return CheckedStaging(
        planned, load["load_percent"], (load["load_percent_low"], load["load_percent_high"]), response
    )
