"""Bring `files.sqlite` in line with the study: read the headers of what is new or changed, forget what left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from nen_imaging.dicom.attributes import quiet_reading
from nen_imaging.dicom.database import FileRow, FilesDatabase
from nen_imaging.dicom.files import (
    BrokenArchiveError,
    FileEntry,
    broken_archives_told,
    is_archive,
    list_files,
    open_archive,
)
from nen_imaging.dicom.headers import DirectoryFileError, UnusableFileError, read_header
from nen_imaging.dicom.privacy import Pseudonymiser

Progress = Callable[[int], None]


def scan_study(
    study: Path, database: FilesDatabase, pseudonymiser: Pseudonymiser, *, progress: Progress | None = None
) -> int:
    """Scan a study into the database; returns how many headers were read.

    ``progress`` is called with the number of files seen so far.
    """
    database.set_study(study)
    read = 0
    with quiet_reading():
        for seen, entry in enumerate(list_files(study), start=1):
            if not database.is_current(entry, is_study=study.is_file()):
                rows = list(_read(study, entry, pseudonymiser))
                database.put(rows)
                read += len(rows)
            if progress:
                progress(seen)
    database.drop_absent()
    return read


def _read(study: Path, entry: FileEntry, pseudonymiser: Pseudonymiser) -> Iterator[FileRow]:
    if is_archive(entry.path):
        yield from _read_archive(study, entry, pseudonymiser)
        return
    try:
        with (study if study.is_file() else study / entry.path).open("rb") as stream:
            yield _read_stream(entry, stream, pseudonymiser)
    except OSError as error:
        yield FileRow(entry, code="file.unreadable", text=f"the file cannot be opened ({type(error).__name__})")


def _read_archive(study: Path, archive: FileEntry, pseudonymiser: Pseudonymiser) -> Iterator[FileRow]:
    """The members of an archive, then the archive itself; of a broken one no member."""
    try:
        with broken_archives_told():
            rows = [_read_stream(entry, stream, pseudonymiser) for entry, stream in open_archive(study, archive)]
    except BrokenArchiveError as error:
        yield FileRow(archive, code="file.truncated", text=str(error))
    except OSError as error:
        yield FileRow(archive, code="file.unreadable", text=f"the archive cannot be read ({type(error).__name__})")
    else:
        yield from rows
        yield FileRow.read_archive(archive)


def _read_stream(entry: FileEntry, stream: BinaryIO, pseudonymiser: Pseudonymiser) -> FileRow:
    try:
        return FileRow(entry, read_header(stream, entry.size, pseudonymiser))
    except UnusableFileError as error:
        return FileRow(entry, code=error.code, text=str(error))
    except DirectoryFileError:
        return FileRow.directory(entry)
