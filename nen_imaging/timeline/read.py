"""Read a timeline folder: every table is optional, and every wrong cell is named by file, row and column."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from nen_imaging.timeline.tables import CORRECTABLE, DATE_TAG, PATIENT, RESPONSES, TABLES, Column

NIFTI = (".nii", ".nii.gz")
_SAID_ONCE: Mapping[str, tuple[tuple[str, ...], str]] = {
    "corrections": (("staging", "tag"), "value"),
    "readings": (("staging",), "value"),
    "pins": (("series",), "choice"),
    "links": (("earlier_staging", "earlier_lesion", "later_staging", "later_lesion"), "relation"),
}  # table -> what a row speaks of, and what it says of it; of the readings only responses
_APPLE_DOUBLE = "._"  # macOS lays such a file beside each one on a share or a stick
_DICOM = (".dcm", ".seg")  # DICOM SEG; a reader's volume of interest may be RTSTRUCT as well


class TimelineError(ValueError):
    """Something in the timeline folder is wrong; the message names file, row and column and says what is allowed."""


@dataclass(frozen=True)
class TimelineRow:
    """One row: its file and line, the patient as written (empty: not given), and its cells."""

    table: str
    line: int
    patient: str
    cells: Mapping[str, str]

    def error(self, text: str, column: str | None = None) -> TimelineError:
        """An error that says where it is."""
        return TimelineError(f"{place(self.table, self.line, column)}: {text}")


@dataclass(frozen=True)
class Timeline:
    """A validated timeline folder (None: there is none); rows by table."""

    folder: Path | None = None
    tables: Mapping[str, tuple[TimelineRow, ...]] = field(default_factory=dict)

    def rows(self, table: str) -> tuple[TimelineRow, ...]:
        return self.tables.get(table, ())

    @property
    def pins(self) -> dict[str, bool]:
        """Series -> True for chosen, False for banned."""
        return {row.cells["series"]: row.cells["choice"] == "chosen" for row in self.rows("pins")}

    @property
    def dates(self) -> dict[str, str]:
        """Name of an undated staging -> the date that `corrections.csv` gives it."""
        rows = (row.cells for row in self.rows("corrections"))
        return {cells["staging"]: cells["value"] for cells in rows if cells["tag"] == DATE_TAG}

    def contradicting_pins(self, series: Collection[str]) -> TimelineError:
        """The error that several series are chosen where one can be measured."""
        rows = {row.cells["series"]: row for row in reversed(self.rows("pins")) if row.cells["series"] in series}
        first, second = sorted(rows.values(), key=lambda row: row.line)[:2]
        text = f"row {first.line} chooses another series of this kind for the same staging; keep one of the two rows"
        return second.error(text, "series")

    def file(self, row: TimelineRow) -> Path:
        """The file that a row of `masks` (below ``masks/`` or the folder itself) or `voi` names."""
        if self.folder is None:
            raise row.error("there is no timeline folder", "file")
        for base in (self.folder / row.table, self.folder):
            if (path := base / row.cells["file"]).is_file():
                return path
        raise row.error("the file does not exist; allowed: a file below the timeline folder", "file")


def place(table: str, line: int, column: str | None = None) -> str:
    """Where something stands, for a person with a spreadsheet: line 1 holds the column names."""
    return f"{table}.csv, row {line}" + (f", column {column}" if column else "")


def read_timeline(folder: Path | None) -> Timeline:
    """Read and check every table of a timeline folder; None gives an empty timeline.

    Raises TimelineError at the first thing that is wrong.
    """
    if folder is None:
        return Timeline()
    if not folder.is_dir():
        raise TimelineError("The timeline is no folder; give one with therapies.csv, markers.csv, ...")
    tables = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() != ".csv" or path.name.startswith(_APPLE_DOUBLE):
            continue
        if path.name == f"{path.stem}.csv" and path.stem in TABLES:
            tables[path.stem] = tuple(_read_table(path, TABLES[path.stem]))
        elif close := difflib.get_close_matches(path.stem.lower(), TABLES, n=1, cutoff=0.75):
            raise TimelineError(f"{path.name} is no table of a timeline. Did you mean {close[0]}.csv?")
    timeline = Timeline(folder, tables)
    refuse_contradictions(timeline.rows("pins"))
    refuse_contradictions(row for row in timeline.rows("corrections") if row.cells["tag"] == DATE_TAG)
    for row in (*timeline.rows("masks"), *timeline.rows("voi")):
        if not timeline.file(row).name.lower().endswith(NIFTI + _DICOM):
            raise row.error(f"allowed: NIfTI or DICOM ({', '.join(NIFTI + _DICOM)})", "file")
    return timeline


def refuse_contradictions(rows: Iterable[TimelineRow]) -> None:
    """Raise TimelineError at the first row of a table that contradicts an earlier one; equal rows may stand twice.

    Rows are held against each other by the names that stand in them: a staging has several, and its patient too, so
    that `split_timeline` asks again once these are known.
    """
    earlier: dict[tuple[object, ...], TimelineRow] = {}
    for row in rows:
        if row.table not in _SAID_ONCE or row.cells.get("reading", "response") != "response":
            continue
        of_what, says = _SAID_ONCE[row.table]
        named = tuple(row.cells[column] for column in of_what)
        key = tuple(sorted((named[:2], named[2:]))) if row.table == "links" else named  # a link is the same both ways
        first = earlier.setdefault(key, row)
        if (one := first.cells[says]) != (other := row.cells[says]):
            raise row.error(f"found {other!r}, but row {first.line} says {one!r}; keep one of the two rows", says)


def _read_table(path: Path, columns: tuple[Column, ...]) -> list[TimelineRow]:
    table, known = path.stem, {column.name: column for column in (PATIENT, *columns)}
    try:
        content = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise TimelineError(f"{path.name} is not UTF-8; save it as CSV UTF-8.") from None
    lines = csv.reader(io.StringIO(content), delimiter=_delimiter(content), strict=True)
    rows = []
    try:
        header = [name.strip() for name in next(lines, [])]
        _check_header(table, header, known)
        for cells in lines:
            if any(cell.strip() for cell in cells):
                rows.append(_read_row(table, lines.line_num, header, cells, known))
    except csv.Error as error:
        raise TimelineError(f"{place(table, lines.line_num)}: {error}; check the quotation marks.") from None
    return rows


def _delimiter(content: str) -> str:
    """The comma; the semicolon where a spreadsheet of a country with decimal commas wrote the file."""
    header = content.partition("\n")[0]
    return ";" if ";" in header and "," not in header else ","


def _check_header(table: str, header: list[str], known: Mapping[str, Column]) -> None:
    for name in header:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"allowed: {', '.join(known)}"
            raise TimelineError(f"{place(table, 1)}: there is no column {name!r}; {hint}")
    missing = [column.name for column in known.values() if column.required and column.name not in header]
    if missing or len(set(header)) < len(header):
        what = f"the column {missing[0]} is missing" if missing else "a column stands twice"
        raise TimelineError(f"{place(table, 1)}: {what}; allowed: {', '.join(known)}")


def _read_row(table: str, line: int, header: list[str], cells: list[str], known: Mapping[str, Column]) -> TimelineRow:
    if len(cells) > len(header):
        raise TimelineError(
            f"{place(table, line)}: {len(cells)} cells under {len(header)} columns; put texts with commas in quotes"
        )
    given = dict(zip(header, (cell.strip() for cell in cells), strict=False))
    checked = {name: _check_cell(table, line, column, given.get(name, "")) for name, column in known.items()}
    row = TimelineRow(table, line, checked.pop(PATIENT.name), checked)
    if table == "corrections":
        row = replace(row, cells={**checked, "value": _checked_correction(row)})
    _check_row(row)
    return row


def _check_cell(table: str, line: int, column: Column, cell: str) -> str:
    if not cell:
        if column.required:
            raise TimelineError(f"{place(table, line, column.name)}: must not be empty")
        return ""
    try:
        return column.check(cell)
    except ValueError as error:
        raise TimelineError(f"{place(table, line, column.name)}: found {cell!r}; {error}") from None


def _checked_correction(row: TimelineRow) -> str:
    """The value of a correction as a header would hold it."""
    try:
        return CORRECTABLE[row.cells["tag"]][1](row.cells["value"])
    except ValueError as error:
        raise row.error(f"found {row.cells['value']!r}; {error}", "value") from None


def _check_row(row: TimelineRow) -> None:
    """What hangs together within a row."""
    cells = row.cells
    if row.table == "therapies" and cells["end"]:
        shared = min(len(cells["start"]), len(cells["end"]))
        if cells["end"][:shared] < cells["start"][:shared]:
            raise row.error(f"the end {cells['end']} lies before the start {cells['start']}", "end")
    if row.table == "readings" and cells["reading"] in ("benign", "treated") and not cells["lesion"]:
        raise row.error(f"a reading {cells['reading']} needs the number of its lesion", "lesion")
    if row.table == "readings" and cells["reading"] == "response":
        if not cells["value"]:
            raise row.error("a response needs its value, as CR, PR, SD, PD or NE", "value")
        if cells["value"] not in RESPONSES:
            raise row.error(f"found {cells['value']!r}; allowed: {', '.join(RESPONSES)}", "value")
