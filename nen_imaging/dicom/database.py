"""`index/files.sqlite`: where each file of the study lies, and what its header said.

The one file of the results that holds paths of the study (mode 600): everything else knows files by their series.
It is a cache as well: a file whose path, size and time did not change is not read again.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nen_imaging.contract import Results
from nen_imaging.dicom.files import MEMBER, FileEntry, is_archive
from nen_imaging.dicom.headers import HEADER_VERSION, Header
from nen_imaging.stage import StageError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    code TEXT NOT NULL, text TEXT NOT NULL,
    identity TEXT NOT NULL, study TEXT NOT NULL, series_uid TEXT NOT NULL, header TEXT NOT NULL,
    series TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS glances (series TEXT PRIMARY KEY, found TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_uid ON files (identity, study, series_uid, path);
CREATE INDEX IF NOT EXISTS by_series ON files (series);
"""
_ARCHIVE_READ = "archive.read"  # stands for the archive itself, whose members have rows of their own
_UNLISTED = (_ARCHIVE_READ, "")
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FileRow:
    """One file: its header, or the reason code and text why it has none."""

    entry: FileEntry
    header: Header | None = None
    code: str = ""
    text: str = ""

    @classmethod
    def read_archive(cls, entry: FileEntry) -> FileRow:
        return cls(entry, code=_ARCHIVE_READ)


class FilesDatabase:
    """An open `files.sqlite`; use as a context manager: all changes of one block, or none.

    A damaged one is made anew: the study tells all that it holds, it only takes longer.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if damage := _damage(path):
            logger.warning("%s is damaged (%s). It is made anew: every header is read again.", path, damage)
            for file in (path, path.with_name(f"{path.name}-journal")):
                file.unlink(missing_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        path.chmod(0o600)
        self._connection = sqlite3.connect(path)
        self._connection.executescript(_SCHEMA)
        if self._about("header_version") != str(HEADER_VERSION):
            self._connection.execute("DELETE FROM files")
            self._set_about("header_version", str(HEADER_VERSION))
        self._connection.execute("CREATE TEMP TABLE present (path TEXT PRIMARY KEY) WITHOUT ROWID")

    def __enter__(self) -> FilesDatabase:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._connection.commit()
        self._connection.close()

    def set_study(self, study: Path) -> None:
        """Record where the study lies now."""
        self._set_about("study", str(study.absolute()))

    def is_current(self, entry: FileEntry, *, is_study: bool = False) -> bool:
        """Whether the file is known as it is; if so it (and an archive's members) count as present.

        ``is_study``: it is no file of a study folder but the whole study.
        """
        row = self._connection.execute("SELECT size, mtime_ns FROM files WHERE path = ?", (entry.path,)).fetchone()
        if row != (entry.size, entry.mtime_ns):
            return False
        self._connection.execute("INSERT OR IGNORE INTO present VALUES (?)", (entry.path,))
        if is_study:
            self._connection.execute("INSERT OR IGNORE INTO present SELECT path FROM files")
        elif is_archive(entry.path):
            self._connection.execute(
                "INSERT OR IGNORE INTO present SELECT path FROM files WHERE path >= ? AND path < ?",
                _members_range(entry.path),
            )
        return True

    def put(self, rows: Iterable[FileRow]) -> None:
        """Add files or replace what was known of them."""
        for row in rows:
            header = row.header
            keys = (header.identity, header.study, header.series) if header else ("", "", "")
            text = json.dumps(header.to_list(), separators=(",", ":")) if header else ""
            self._connection.execute(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '')",
                (row.entry.path, row.entry.size, row.entry.mtime_ns, row.code, row.text, *keys, text),
            )
            self._connection.execute("INSERT OR IGNORE INTO present VALUES (?)", (row.entry.path,))

    def drop_absent(self) -> None:
        """Forget every file that was neither current nor put since this database was opened."""
        self._connection.execute("DELETE FROM files WHERE path NOT IN (SELECT path FROM present)")

    def issuers(self) -> set[tuple[str, str]]:
        """Every pair of identity and issuer."""
        rows = self._connection.execute(
            "SELECT DISTINCT identity, json_extract(header, '$[1]') FROM files WHERE header != ''"
        )
        return {(identity, issuer) for identity, issuer in rows}

    def instances(self) -> set[str]:
        """The keyed hash of every SOPInstanceUID."""
        return {row.header.instance for rows in self.by_series_uid() for row in rows if row.header}

    def series_uids(self) -> set[str]:
        """The keyed hash of every SeriesInstanceUID."""
        return {uid for (uid,) in self._connection.execute("SELECT DISTINCT series_uid FROM files WHERE header != ''")}

    def by_series_uid(self) -> Iterator[list[FileRow]]:
        """The files with a header, one SeriesInstanceUID of one study and identity at a time, in order of path."""
        rows = self._connection.execute(
            "SELECT path, size, mtime_ns, header, identity, study, series_uid FROM files WHERE header != '' "
            "ORDER BY identity, study, series_uid, path"
        )
        for _, group in itertools.groupby(rows, key=lambda row: row[4:]):
            yield [_row(*columns[:4]) for columns in group]

    def files_of(self, series: str) -> list[FileRow]:
        """The files that were assigned to a series, in order of path."""
        query = "SELECT path, size, mtime_ns, header FROM files WHERE series = ? ORDER BY path"
        return [_row(*columns) for columns in self._connection.execute(query, (series,))]

    def assign(self, series: str, paths: Iterable[str]) -> None:
        """Say which series files belong to."""
        self._connection.executemany(
            "UPDATE files SET series = ? WHERE path = ? AND series != ?", ((series, path, series) for path in paths)
        )

    def glance(self, series: str) -> str:
        """What the pixels of a series, by its digest, were found to show; "" where none were looked at."""
        row = self._connection.execute("SELECT found FROM glances WHERE series = ?", (series,)).fetchone()
        return row[0] if row else ""

    def keep_glance(self, series: str, found: str) -> None:
        """Keep what was found for `glance`."""
        self._connection.execute("INSERT OR REPLACE INTO glances VALUES (?, ?)", (series, found))

    def quarantined(self) -> Iterator[FileRow]:
        """The files that are not used, with their reason, in order of path."""
        query = f"SELECT path, size, mtime_ns, code, text FROM files WHERE code NOT IN {_UNLISTED} ORDER BY path"
        for path, size, mtime, code, text in self._connection.execute(query):
            yield FileRow(FileEntry(path, size, mtime), None, code, text)

    def _about(self, name: str) -> str | None:
        row = self._connection.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        return row and row[0]

    def _set_about(self, name: str, value: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (name, value))


def _damage(path: Path) -> str:
    """What is wrong with a database, as SQLite says it; empty for a sound one, or where there is none."""
    if not path.is_file():
        return ""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        try:
            found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode not in _DAMAGED:  # locked, or not ours to read: no reason to remove it
                raise
            return str(error)
    return "" if found == "ok" else found


def _row(path: str, size: int, mtime_ns: int, header: str) -> FileRow:
    return FileRow(FileEntry(path, size, mtime_ns), Header.from_list(json.loads(header)))


def _members_range(archive: str) -> tuple[str, str]:
    prefix = archive + MEMBER
    return prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1)


def files_of_series(results: Results, series: str) -> tuple[Path, list[str]]:
    """Where the study lies and which of its files make a series (paths relative to it, in order).

    Open them with `files.open_files`. Raises StageError if the index cannot be read or does not know the series, or
    the study is gone.
    """
    if not results.files_database.is_file():
        raise StageError(f"{results.files_database} is missing. Run `nen-imaging index` again.")
    uri = f"{results.files_database.absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
        try:
            study = connection.execute("SELECT value FROM about WHERE name = 'study'").fetchone()
            query = "SELECT path FROM files WHERE series = ? ORDER BY path"
            paths = [path for (path,) in connection.execute(query, (series,))]
        except sqlite3.DatabaseError as error:
            text = f"{results.files_database} cannot be read ({error}). Run `nen-imaging index` again."
            raise StageError(text) from error
    if not paths or study is None:
        raise StageError(f"The index knows no series {series}. Run `nen-imaging index` again.")
    if not Path(study[0]).exists():
        raise StageError("The study folder is no longer where it was indexed. Run `nen-imaging index` on it again.")
    return Path(study[0]), paths
