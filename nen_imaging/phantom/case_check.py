"""What was measured of the case beside what the paper says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from nen_imaging.contract import Results, StagingState
from nen_imaging.phantom.case import CourseStaging
from nen_imaging.tables import read_table

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
    stagings = [row for row in read_table(results.stagings_table) if row["state"] == StagingState.ACTIVE]
    patient_of = {row["staging"]: row["patient"] for row in stagings}
    return [_checked(results, patient_of.get(f"{planned.date}"), planned) for planned in course]


def published_loads_are_met(checked: Sequence[CheckedStaging]) -> bool:
    """Whether every load that the paper prints was measured within the tolerance."""
    published = [staging for staging in checked if staging.planned.is_published]
    return bool(published) and all(staging.is_met for staging in published)


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
