"""Bring `files.sqlite` in line with the study: read the headers of what is new or changed, forget what left."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
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
from nen_imaging.dicom.headers import UnusableFileError, read_header
from nen_imaging.dicom.privacy import Pseudonymiser

Progress = Callable[[int], None]
_BATCH = 2000  # files per process in hand at once: bounds the memory of a study of millions
_PART = 200
_MOST_PROCESSES = 8
_WHY_LEFT_OUT = {
    "file.hidden": "a hidden file or folder, as systems keep for themselves",
    "file.directory": "a DICOMDIR lists other files and holds no image",
    "file.unreadable": "a link that leads to no file, a folder that may not be entered, or no regular file",
}


def scan_study(
    study: Path,
    database: FilesDatabase,
    pseudonymiser: Pseudonymiser,
    *,
    leave_out: Path | None = None,
    progress: Progress | None = None,
) -> int:
    """Scan a study into the database; returns how many headers were read.

    ``leave_out`` is a folder, perhaps in the study, that is none of it; ``progress`` is called with the number of files
    seen so far.
    """
    database.set_study(study)
    read = seen = 0

    def take(entries: list[FileEntry], rows: list[FileRow]) -> None:
        nonlocal read, seen
        database.put(rows)
        read += len(rows)
        for _ in entries:
            seen += 1
            if progress:
                progress(seen)

    with _Readers(study, pseudonymiser) as readers:
        changed: list[FileEntry] = []
        for entry in list_files(study, leave_out):
            if database.is_current(entry, is_study=study.is_file()):
                take([entry], [])
                continue
            changed.append(entry)
            if len(changed) == _BATCH * readers.processes:
                for part in readers.read(changed):
                    take(*part)
                changed = []
        for part in readers.read(changed):
            take(*part)
    database.drop_absent()
    return read


_Part = tuple[list[FileEntry], list[FileRow]]


class _Readers:
    """Reads headers, in processes of their own once there are enough to make up for starting them."""

    def __init__(self, study: Path, pseudonymiser: Pseudonymiser) -> None:
        self.processes = max(1, min(_MOST_PROCESSES, len(os.sched_getaffinity(0))))
        self._read = partial(_read_all, study, pseudonymiser)
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> _Readers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def read(self, entries: list[FileEntry]) -> Iterator[_Part]:
        """Parts of the files, each with its rows (an archive has those of its members), in the order of the files."""
        if self.processes == 1 or (self._pool is None and len(entries) < _BATCH * self.processes):
            return (([entry], self._read([entry])) for entry in entries)
        self._pool = self._pool or ProcessPoolExecutor(self.processes, get_context("spawn"))
        parts = [entries[n : n + _PART] for n in range(0, len(entries), _PART)]
        return zip(parts, self._pool.map(self._read, parts), strict=True)


def _read_all(study: Path, pseudonymiser: Pseudonymiser, entries: list[FileEntry]) -> list[FileRow]:
    with quiet_reading():
        return [row for entry in entries for row in _read(study, entry, pseudonymiser)]


def _read(study: Path, entry: FileEntry, pseudonymiser: Pseudonymiser) -> Iterator[FileRow]:
    if entry.left_out:
        yield _left_out(entry)
        return
    if is_archive(entry.path):
        yield from _read_archive(study, entry, pseudonymiser)
        return
    try:
        with (study if study.is_file() else study / entry.path).open("rb") as stream:
            yield _read_stream(entry, stream, pseudonymiser)
    except OSError as error:
        yield FileRow(entry, code="file.unreadable", text=f"the file cannot be opened ({type(error).__name__})")


def _left_out(entry: FileEntry) -> FileRow:
    return FileRow(entry, code=entry.left_out, text=_WHY_LEFT_OUT[entry.left_out])


def _read_archive(study: Path, archive: FileEntry, pseudonymiser: Pseudonymiser) -> Iterator[FileRow]:
    """The members of an archive, then the archive itself; of a broken one no member."""
    try:
        with broken_archives_told():
            rows = [
                _left_out(entry) if entry.left_out else _read_stream(entry, stream, pseudonymiser)
                for entry, stream in open_archive(study, archive)
            ]
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
