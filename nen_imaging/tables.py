"""Tables and texts on disk: CSV in UTF-8, every file written whole and put in place by rename."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nen_imaging.contract import Results

_STAGINGS_NEED = ("patient", "staging", "state", "has_pet")


class TableError(ValueError):
    """A table of the results is not as it was written; the message names it and says what to do."""


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{key: value or "" for key, value in row.items() if key} for row in csv.DictReader(file)]


def read_stagings(results: Results) -> list[dict[str, str]]:
    """The rows of `index/stagings.csv`; none where there is no file.

    Raises TableError where it was edited so that it tells no stagings.
    """
    path = results.stagings_table
    try:
        rows = read_table(path)
    except (UnicodeDecodeError, csv.Error) as error:
        raise TableError(_not_as_written(path, f"it is no CSV in UTF-8 ({error})")) from error
    missing = [column for column in _STAGINGS_NEED if rows and column not in rows[0]]
    if missing:
        raise TableError(_not_as_written(path, f"row 1 has no column {missing[0]}"))
    for line, row in enumerate(rows, 2):
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}|undated-.+", row["staging"]):
            text = f"row {line}, column staging: found {row['staging']!r}, expected a date as 2016-07-14"
            raise TableError(_not_as_written(path, text))
    return rows


def _not_as_written(path: Path, text: str) -> str:
    return f"{path}: {text}. Undo the edit, or remove the file: the next index makes it anew."


def write_table(
    path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]], *, only_if_changed: bool = False
) -> None:
    """Write a CSV file; a row with a column that is not named raises ValueError, and the old file stays."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, buffer.getvalue(), only_if_changed=only_if_changed)


def write_text(path: Path, text: str, *, only_if_changed: bool = False) -> None:
    """Write a text file: what stood there stays until the new one is complete, or for good if it says the same."""
    content = text.encode()
    if only_if_changed and path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)
