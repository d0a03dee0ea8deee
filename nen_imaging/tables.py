"""Tables and texts on disk: CSV in UTF-8, every file written whole and put in place by rename."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{key: value or "" for key, value in row.items() if key} for row in csv.DictReader(file)]


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
