"""The tables that `nen-imaging index` prints."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from nen_imaging.contract import REASONS, Results
from nen_imaging.dicom.database import FilesDatabase
from nen_imaging.dicom.index import IndexSummary


def print_summary(summary: IndexSummary, results: Results, notes: list[str]) -> None:
    """Stagings, what was skipped and quarantined, and where the whole tables lie."""
    console = Console(highlight=False, markup=False)  # a path or a key may hold brackets
    table = Table("patient", "staging", "state", "CT", "PET", "notes")
    for row in summary.stagings:
        table.add_row(*(row[name] for name in ("patient", "staging", "state", "has_ct", "has_pet", "notes")))
    console.print(table if summary.stagings else "No CT of this study can be measured; studies.csv says why.")
    for kind, count in sorted(summary.skipped.items()):
        console.print(f"{count} series skipped: {kind}")
    for code, count in sorted(summary.quarantined.items()):
        console.print(f"{count} files quarantined: {code}. {REASONS[code].remedy}")
    for note in notes:
        console.print(note)
    console.print(f"Every series with its score and reason: {results.series_table}", soft_wrap=True)


def print_paths(results: Results) -> None:
    """The path of every quarantined file, on the terminal alone: paths may name patients."""
    console = Console(highlight=False, soft_wrap=True)
    with FilesDatabase(results.files_database) as database:
        for row in database.quarantined():
            console.print(f"{row.code}: {row.entry.path}", markup=False)
