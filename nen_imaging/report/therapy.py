"""A row of the therapies: when, what, and whether it is a line of treatment or a procedure of one day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nen_imaging.dates import PartialDate
from nen_imaging.report.sentence import capitalised

_SYSTEMIC = "systemic"


@dataclass(frozen=True)
class Therapy:
    """A therapy; without an end it goes on. ``text`` is for the table, ``label`` for the figure."""

    start: PartialDate
    end: PartialDate | None
    is_procedure: bool
    text: str
    label: str
    note: str


def therapies_of(timeline: Mapping[str, Any]) -> list[Therapy]:
    """The therapies of timeline.json in order of start; a row without a valid start is left out."""
    found = [therapy for row in timeline.get("therapies", ()) if (therapy := _therapy(row))]
    return sorted(found, key=lambda therapy: therapy.start)


def _therapy(row: Mapping[str, str]) -> Therapy | None:
    start, end = PartialDate.parse(row.get("start", "")), PartialDate.parse(row.get("end", ""))
    if start is None:
        return None
    systemic = row.get("kind", "").strip().lower() == _SYSTEMIC
    agent, dose, schedule, note = (row.get(key, "").strip() for key in ("agent", "dose", "schedule", "note"))
    named = f"{capitalised(agent)} {dose}".strip()
    text = ", ".join(part for part in (named, schedule) if part)
    return Therapy(
        start=start,
        end=end,
        is_procedure=not systemic and (end is None or end.month == start.month),
        text=f"{text}; {note}" if note and systemic else text,
        label=named,
        note="" if systemic else note,
    )
