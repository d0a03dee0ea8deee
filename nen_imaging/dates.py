"""Dates that may be partial (2016, 2016-07, 2016-07-14): kept as intervals, ordered by start, shown as given.

A partial date that was moved by some days is written as the interval it then is (2016-06-11/2016-07-11), so that no
distance changes; it is shown by its middle, as precisely as before.
"""

from __future__ import annotations

import calendar
import contextlib
import re
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

_PARTIAL = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")
_MOVED = re.compile(r"(\d{4}-\d{2}-\d{2})/(\d{4}-\d{2}-\d{2})")
_LONGEST_MONTH = timedelta(days=31)
_UNIT = r"(?:[mµμunpk]g|mcg|m[lm]|cm|[kMG]?Bq|[mµμnp]?mol|(?-i:IU|IE))"  # no unit that is a word: (2016 u. 2017)
_IN_TEXT = re.compile(
    r"\b\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?\b"  # 2016-07-14, 2016/07
    r"|\b\d{1,2}[-/.]\s?(\d{1,2}[-/.]\s?)?(19|20)\d{2}\b"  # 14.07.2016, 07/2016
    r"|\b\d{1,2}\.\s?\d{1,2}\.\s?\d{2}\b"  # 14.07.16
    r"|\b\d{1,2}/\d{1,2}/\d{2}\b"  # 7/14/16
    r"|\b(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])\b"  # 20160714
    r"|\b(\d{1,2}\.?\s+)?(jan|feb|m[aä]r|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])\w*\.?\s+(\d{1,2},?\s+)?(19|20)\d{2}\b"
    rf"|\b(19|20)\d{{2}}\b(?!\s*{_UNIT}\b)",  # a year alone, not 2000 mg
    re.IGNORECASE,
)


@dataclass(frozen=True, order=True)
class PartialDate:
    """A date as precise as it is known: it lies between ``first`` and ``last``, both included."""

    first: date
    last: date
    text: str = field(compare=False)

    @classmethod
    def parse(cls, text: str) -> PartialDate | None:
        """Read ``YYYY``, ``YYYY-MM``, ``YYYY-MM-DD`` or what `moved` writes; None if it is no such date."""
        if interval := _MOVED.fullmatch(text.strip()):
            return cls._interval(interval[1], interval[2])
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

    @classmethod
    def _interval(cls, first: str, last: str) -> PartialDate | None:
        try:
            one = cls(date.fromisoformat(first), date.fromisoformat(last), "")
        except ValueError:
            return None
        is_month = one.last - one.first < _LONGEST_MONTH
        return cls(one.first, one.last, f"{one.middle:%Y-%m}" if is_month else f"{one.middle:%Y}")

    @property
    def month(self) -> tuple[int, int]:
        """Year and month as shown; month 0 of a year alone, which is no staging's month."""
        return int(self.text[:4]), int(self.text[5:7] or 0)

    @property
    def middle(self) -> date:
        return self.first + timedelta(days=(self.last - self.first).days // 2)

    def shown(self, date_format: str) -> str:
        """As given (``day``), or as ``MM/YYYY`` where the month is known (``month``)."""
        if date_format == "month" and len(self.text) >= len("2016-07"):
            return f"{self.month[1]:02}/{self.text[:4]}"
        return self.text


def moved(text: str, days: int) -> str:
    """A date that lies some days later (negative: earlier); a partial one as an interval; what is no date stays."""
    when = PartialDate.parse(text)
    if when is None or not days:
        return text
    first, last = (date.fromordinal(max(1, day.toordinal() + days)) for day in (when.first, when.last))
    return first.isoformat() if first == last else f"{first.isoformat()}/{last.isoformat()}"


def moved_moment(moment: str, days: int) -> str:
    """A moment that begins with ``YYYYMMDD`` or ``YYYY-MM-DD``, some days later; what does not begin so stays."""
    for form, length in (("%Y-%m-%d", 10), ("%Y%m%d", 8)):
        with contextlib.suppress(ValueError):
            day = datetime.strptime(moment[:length], form)
            return f"{day + timedelta(days=days):{form}}{moment[length:]}"
    return moment


def without_dates(text: str) -> str:
    """A free text with every date and year in it blotted out, for where dates are moved."""
    return _IN_TEXT.sub("(date)", text)
