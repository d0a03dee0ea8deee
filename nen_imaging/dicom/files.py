"""Every file of a study: plain files and the members of archives, by one kind of path.

A path is relative to the study and posix; a member of an archive is ``scans/old.tar.xz!/series/0001``. The study
may itself be one archive (paths are then its members' names) or one file.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

MEMBER = "!/"
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    NotImplementedError,  # a compression that zipfile does not know
    RuntimeError,  # an encrypted member
)


class BrokenArchiveError(ValueError):
    """An archive is damaged, cut short or encrypted."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file: path relative to the study, bytes, time of its last change (of its archive for a member)."""

    path: str
    size: int
    mtime_ns: int
    left_out: str = ""
    """The reason code of what is never opened; empty for a file to read."""


def is_archive(path: str) -> bool:
    """Whether a file is an archive, by its name."""
    return path.lower().endswith(ARCHIVE_SUFFIXES)


def list_files(study: Path, leave_out: Path | None = None) -> Iterator[FileEntry]:
    """Every file of a study, in order of path, archives not opened; the folder ``leave_out`` is not entered.

    Hidden files and DICOMDIR are listed as left out, and so is what is no file: a link to nothing, a hidden folder, one
    that may not be entered. A folder that links back to one above it is entered once.
    """
    if study.is_file():
        stat = study.stat()
        yield FileEntry(study.name, stat.st_size, stat.st_mtime_ns)
        return
    not_entered = {_identity(folder.stat()) for folder in (study, leave_out) if folder}
    yield from _list_folder(study, "", frozenset(not_entered))


def _list_folder(folder: Path, prefix: str, not_entered: frozenset[tuple[int, int]]) -> Iterator[FileEntry]:
    try:
        with os.scandir(folder) as scan:
            children = sorted(scan, key=lambda child: child.name)
    except OSError:
        if not prefix:
            raise
        yield FileEntry(prefix.rstrip("/"), 0, 0, "file.unreadable")
        return
    for child in children:
        path = prefix + child.name
        try:
            stat = child.stat()
        except OSError:  # a link to nothing
            yield FileEntry(path, 0, 0, "file.unreadable")
            continue
        if not child.is_dir():
            left_out = _left_out(path) if child.is_file() else "file.unreadable"
            yield FileEntry(path, stat.st_size, stat.st_mtime_ns, left_out)
        elif (identity := _identity(stat)) in not_entered:
            continue
        elif child.name.startswith("."):
            yield FileEntry(path, 0, 0, "file.hidden")
        else:
            yield from _list_folder(Path(child.path), path + "/", not_entered | {identity})


def _identity(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_dev, stat.st_ino


def _left_out(path: str) -> str:
    """The reason code of a file that its name leaves out, else ""."""
    parts = path.split("/")
    if any(part.startswith(".") for part in parts):
        return "file.hidden"
    return "file.directory" if parts[-1].upper() == "DICOMDIR" else ""


def open_archive(study: Path, archive: FileEntry) -> Iterator[tuple[FileEntry, BinaryIO]]:
    """Every member of an archive with its open stream, in one pass, in the archive's own order.

    Raises BrokenArchiveError when the archive cannot be read to its end.
    """
    whole = study.is_file()
    prefix = "" if whole else archive.path + MEMBER
    with broken_archives_told():
        for name, size, stream in _members(study if whole else study / archive.path):
            clean = "/".join(part for part in name.split("/") if part not in ("", "."))
            left_out = _left_out(clean) if stream else "file.unreadable"
            yield FileEntry(prefix + clean, size, archive.mtime_ns, left_out), stream or io.BytesIO()


@contextlib.contextmanager
def broken_archives_told() -> Iterator[None]:
    """Turn what a broken archive raises into BrokenArchiveError, also while a member of `open_archive` is read."""
    try:
        yield
    except _BROKEN as error:
        raise BrokenArchiveError(f"the archive cannot be read to its end ({type(error).__name__})") from error


def _members(path: Path) -> Iterator[tuple[str, int, BinaryIO | None]]:
    """Name, size and stream of every member but folders; no stream where it is no file but a link."""
    if path.name.lower().endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    with archive.open(info) as stream:
                        yield info.filename, info.file_size, _binary(stream)
    else:
        with tarfile.open(path) as tar:
            for member in tar:
                opened = tar.extractfile(member) if member.isfile() else None
                if opened is not None:
                    with opened:
                        yield member.name, member.size, _binary(opened)
                elif not member.isdir():
                    yield member.name, member.size, None


def _binary(stream: IO[bytes]) -> BinaryIO:
    return stream  # type: ignore[return-value]  # IO[bytes] is what the archives promise


def open_files(study: Path, paths: Iterable[str]) -> Iterator[tuple[str, BinaryIO]]:
    """The named files of a study, each with an open stream that can seek; one pass per archive.

    Files of one archive come in the archive's order, not in that of ``paths``.

    Raises
    ------
    OSError
        A file is no longer there or cannot be read; the message does not name it, since paths may name patients.
    BrokenArchiveError
        An archive cannot be read to its end.
    """
    with _paths_untold():
        if study.is_file():
            yield from _open_in_file(study, set(paths))
            return
        for archive, group in itertools.groupby(sorted(paths), key=_file_of):
            wanted = set(group)
            if wanted == {archive}:
                with (study / archive).open("rb") as stream:
                    yield archive, stream
            else:
                yield from _open_members(study, FileEntry(archive, 0, 0), wanted)


def _file_of(path: str) -> str:
    """The file of the study that holds a path: itself or its archive; a folder may end in ``!`` as well."""
    parts = path.split(MEMBER)
    starts = (MEMBER.join(parts[:count]) for count in range(1, len(parts)))
    return next(filter(is_archive, starts), path)


@contextlib.contextmanager
def _paths_untold() -> Iterator[None]:
    """Leave the path out of an error of the file system: it would stand in the stage's log and error record."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise
        raise OSError(error.errno, f"A file that the index knows cannot be read: {error.strerror}") from None


def _open_in_file(study: Path, wanted: set[str]) -> Iterator[tuple[str, BinaryIO]]:
    if is_archive(study.name):
        yield from _open_members(study, FileEntry(study.name, 0, 0), wanted)
    elif wanted:
        with study.open("rb") as stream:
            yield study.name, stream


def _open_members(study: Path, archive: FileEntry, wanted: set[str]) -> Iterator[tuple[str, BinaryIO]]:
    missing = set(wanted)
    for member, stream in open_archive(study, archive):
        if member.path in missing:
            missing.discard(member.path)
            with broken_archives_told():
                content = stream.read()
            yield member.path, io.BytesIO(content)  # seeking back in a compressed stream would unpack it anew
    if missing:
        raise FileNotFoundError(f"{len(missing)} files that the index knows left their archive; run the index again.")
