"""The tables of a timeline folder: their columns, and what each may hold."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

Check = Callable[[str], str]
"""Takes a cell that is not empty, returns it as it is kept, raises ValueError saying what is allowed."""


YEARS = range(1900, 2101)
"""What a date may be of: another one is mistyped, or stands for "open", and the figure would span millennia."""


@dataclass(frozen=True)
class Column:
    """One column: the check of its cells, and whether a cell may be empty."""

    name: str
    check: Check
    required: bool = False


def text(cell: str) -> str:
    """Any text."""
    return cell


def partial_date(cell: str) -> str:
    """A day, month or year of `YEARS`: ``2016-07-14``, ``2016-07``, ``2016``."""
    if re.fullmatch(r"\d{4}(-\d{2}(-\d{2})?)?", cell):
        with contextlib.suppress(ValueError):
            if date.fromisoformat((cell + "-01-01")[:10]).year in YEARS:
                return cell
    raise ValueError(f"allowed: YYYY-MM-DD, YYYY-MM or YYYY, from {YEARS[0]} to {YEARS[-1]}")


def end_date(cell: str) -> str:
    """As `partial_date`; what goes on has none, while hospital systems write 9999-12-31."""
    try:
        return partial_date(cell)
    except ValueError as error:
        raise ValueError(f"{error}; leave `end` empty while it goes on") from None


def number(cell: str) -> str:
    """A number with a decimal point; ``<5`` and ``>100`` as laboratories write them."""
    if not re.fullmatch(r"[<>]?\s*-?\d+(\.\d+)?([eE][-+]?\d+)?", cell):
        raise ValueError("allowed: a number with a decimal point, as 29924 or 0.5, also <5")
    return cell


def positive_whole_number(cell: str) -> str:
    """A number of a lesion or of a therapy line: 1, 2, ..."""
    if not re.fullmatch(r"[1-9]\d*", cell):
        raise ValueError("allowed: 1, 2, 3, ...")
    return cell


def staging(cell: str) -> str:
    """The name of a staging, or a day of one of its images."""
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}|undated-[A-Z2-7]{6}", cell):
        raise ValueError("allowed: a staging as stagings.csv names it, as 2016-07-14")
    return cell


def one_of(*words: str) -> Check:
    """One of some words."""

    def check(cell: str) -> str:
        if cell.lower() not in words:
            raise ValueError(f"allowed: {', '.join(words)}")
        return cell.lower()

    return check


def relative_file(cell: str) -> str:
    """A file below the folder, by a relative path."""
    if cell.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", cell) or ":" in cell:
        raise ValueError("allowed: a path below the timeline folder")
    return cell


_DECIMAL = re.compile(r"\d+(\.\d+)?([eE][-+]?\d+)?")


def _positive(cell: str) -> str:
    if not _DECIMAL.fullmatch(cell) or float(cell) <= 0:
        raise ValueError("allowed: a number above 0 with a decimal point")
    return cell


_MOMENT = re.compile(r"\d{4}-?\d{2}-?\d{2}[T ]?\d{2}:?\d{2}(:?\d{2}(\.\d+)?)?")  # seconds may be left out


def _date_time(cell: str) -> str:
    """DICOM's DT, as 20160714101500, or ISO 8601; one digit too few would be read as another time, or as none."""
    digits = re.sub(r"[-T: ]", "", cell)
    if _MOMENT.fullmatch(cell):
        with contextlib.suppress(ValueError):
            datetime.strptime(digits.partition(".")[0].ljust(len("20160714101500"), "0"), "%Y%m%d%H%M%S")
            return digits
    raise ValueError("allowed: a date and time, as 2016-07-14T10:15:00")


def full_date(cell: str) -> str:
    """A day: ``2016-07-14``."""
    if len(cell) != len("YYYY-MM-DD"):
        raise ValueError("allowed: YYYY-MM-DD")
    return partial_date(cell)


DATE_TAG = "AcquisitionDate"
CORRECTABLE: Mapping[str, tuple[str, Check]] = {
    "PatientWeight": ("00101030", _positive),
    "PatientSize": ("00101020", _positive),
    "PatientSex": ("00100040", lambda cell: one_of("m", "f")(cell).upper()),
    "RadionuclideTotalDose": ("00181074", _positive),
    "RadionuclideHalfLife": ("00181075", _positive),
    "RadiopharmaceuticalStartDateTime": ("00181078", _date_time),
    "ActualFrameDuration": ("00181242", _positive),
    DATE_TAG: ("00080022", full_date),
}
"""Keyword -> its tag and the check of its value; the date is for stagings that have none."""


def correctable_tag(cell: str) -> str:
    """A keyword of `CORRECTABLE`, given as keyword or as tag ``(0010,1030)``."""
    asked = re.sub(r"[(), ]", "", cell).lower()
    for keyword, (tag, _) in CORRECTABLE.items():
        if asked in (keyword.lower(), tag):
            return keyword
    raise ValueError(f"allowed: {', '.join(CORRECTABLE)}")


RESPONSES = ("CR", "PR", "SD", "PD", "NE")
"""The values of a reading `response`."""

PATIENT = Column("patient", text)
_STAGING = Column("staging", staging, required=True)
_DATE = Column("date", partial_date, required=True)
_NOTE = Column("note", text)

TABLES: Mapping[str, tuple[Column, ...]] = {
    "therapies": (
        Column("line", positive_whole_number), Column("kind", text, required=True),
        Column("agent", text, required=True), Column("dose", text), Column("schedule", text),
        Column("start", partial_date, required=True), Column("end", end_date), _NOTE,
    ),
    "markers": (
        _DATE, Column("marker", text, required=True), Column("value", number, required=True),
        Column("unit", text, required=True), Column("upper_limit_of_normal", number), Column("source", text),
    ),
    "findings": (
        _DATE, Column("finding", text, required=True), Column("organ", text), Column("status", text),
        Column("source", text), _NOTE,
    ),
    "readings": (
        _STAGING, Column("lesion", positive_whole_number),
        Column("reading", one_of("benign", "treated", "response", "sign-off"), required=True),
        Column("value", text), Column("volume_ml", _positive), Column("reason", text, required=True),
    ),
    "corrections": (
        _STAGING, Column("tag", correctable_tag, required=True), Column("value", text, required=True),
        Column("reason", text, required=True),
    ),
    "links": (
        Column("earlier_staging", staging, required=True),
        Column("earlier_lesion", positive_whole_number, required=True),
        Column("later_staging", staging, required=True),
        Column("later_lesion", positive_whole_number, required=True),
        Column("relation", one_of("same", "different"), required=True),
    ),
    "pins": (
        Column("series", text, required=True), Column("choice", one_of("chosen", "banned"), required=True),
        Column("reason", text),
    ),
    "voi": (
        _STAGING, Column("name", text, required=True), Column("file", relative_file, required=True),
        Column("organ", text), _NOTE,
    ),
    "masks": (_STAGING, Column("file", relative_file, required=True), _NOTE),
}  # fmt: skip
"""Table -> its columns; each also takes `PATIENT`."""
