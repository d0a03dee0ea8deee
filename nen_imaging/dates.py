"""Dates that may be partial (2016, 2016-07, 2016-07-14): kept as intervals, ordered by start, shown as given."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass, field
from datetime import date, timedelta

_PARTIAL = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")


@dataclass(frozen=True, order=True)
class PartialDate:
    """A date as precise as it is known: it lies between ``first`` and ``last``, both included."""

    first: date
    last: date
    text: str = field(compare=False)

    @classmethod
    def parse(cls, text: str) -> PartialDate | None:
        """Read ``YYYY``, ``YYYY-MM`` or ``YYYY-MM-DD``; None if it is no such date."""
        found = _PARTIAL.fullmatch(text.strip())
        if not found:
            return None
        year, month, day = (int(part) if part else 0 for part in found.groups())
        try:
            first = date(year, month or 1, day or 1)
        except ValueError:
            return None
        last_day = day or calendar.monthrange(year, month or 12)[1]
        return cls(first, date(year, month or 12, last_day), found[0])

    @property
    def month(self) -> tuple[int, int]:
        return self.first.year, self.first.month

    @property
    def middle(self) -> date:
        return self.first + timedelta(days=(self.last - self.first).days // 2)

    def shown(self, date_format: str) -> str:
        """As given (``day``), or as ``MM/YYYY`` where the month is known (``month``)."""
        if date_format == "month" and len(self.text) >= len("2016-07"):
            return f"{self.first:%m/%Y}"
        return self.text
