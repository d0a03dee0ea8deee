"""Therapy lines, and the baseline that each line is judged against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from nen_imaging.dates import PartialDate


@dataclass(frozen=True)
class TherapyLine:
    """One line of treatment: all rows of the therapies that carry its number, from the earliest start."""

    number: int
    start: PartialDate
    agents: str


@dataclass(frozen=True)
class BaselineWindow:
    """How far from a line's start its baseline may lie (days)."""

    before_days: int = 90
    after_days: int = 30


def therapy_lines(timeline: Mapping[str, Any]) -> list[TherapyLine]:
    """The lines of timeline.json in order of start.

    A line is what carries a line number: systemic therapy, PRRT and the like. Procedures (surgery, embolisation,
    biopsy) carry none and are no lines. Rows with one number are one line; rows without a valid start are left out.
    """
    rows: dict[int, list[tuple[PartialDate, str]]] = {}
    for row in timeline.get("therapies", ()):
        start, number = PartialDate.parse(row.get("start", "")), row.get("line", "").strip()
        if start is not None and number:
            rows.setdefault(int(number), []).append((start, row.get("agent", "").strip()))
    lines = [
        TherapyLine(number, min(start for start, _ in parts), " + ".join(agent for _, agent in sorted(parts)))
        for number, parts in rows.items()
    ]
    return sorted(lines, key=lambda line: (line.start, line.number))


def line_baseline(
    line: TherapyLine, dates: Iterable[PartialDate], window: BaselineWindow = BaselineWindow()
) -> PartialDate | None:
    """The staging that a line is judged against: the last before its start, else the first soon after it.

    A staging counts as before the start where it may lie before it: on the same day, or, when a date is partial, in
    the same month or year. None where no staging lies within the window.
    """
    ordered = sorted(dates)
    start = line.start
    before = [day for day in ordered if day.first <= start.last and (start.first - day.last).days <= window.before_days]
    after = [day for day in ordered if start.last < day.first <= start.last + timedelta(days=window.after_days)]
    return before[-1] if before else after[0] if after else None


def line_judged(
    when: PartialDate, lines: Sequence[TherapyLine], baselines: Mapping[int, PartialDate | None]
) -> TherapyLine | None:
    """The line that a staging tells of: the last one that had begun before it.

    A staging that is a line's own baseline tells of the line before; None before the first line.

    Parameters
    ----------
    when
        Date of the staging.
    lines
        In order of start.
    baselines
        Line number -> date of its baseline.
    """
    begun = [line for line in lines if line.start.last < when.first and baselines.get(line.number) != when]
    return begun[-1] if begun else None
