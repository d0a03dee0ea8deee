"""A row of the timeline as results show it where the dates of a patient are moved."""

from __future__ import annotations

from nen_imaging.dates import moved, moved_moment, without_dates
from nen_imaging.timeline.read import TimelineRow
from nen_imaging.timeline.tables import DATE_TAG, TABLES, end_date, partial_date, text

_MOMENTS = ("RadiopharmaceuticalStartDateTime", DATE_TAG)


def shown(row: TimelineRow, moved_days: int) -> dict[str, str]:
    """The cells of a row: its dates moved by some days, free texts without any date.

    Columns that name a staging stay: a staging is called as the results call it.
    """
    if not moved_days:
        return dict(row.cells)
    checks = {column.name: column.check for column in TABLES[row.table]}

    def cell(name: str, content: str) -> str:
        if checks[name] in (partial_date, end_date):
            return moved(content, moved_days)
        if name == "value" and row.cells.get("tag") in _MOMENTS:
            return moved_moment(content, moved_days)
        return without_dates(content) if checks[name] is text else content

    return {name: cell(name, content) for name, content in row.cells.items()}
