"""What several verbs ask of their arguments."""

from __future__ import annotations

import argparse
import contextlib
import errno
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nen_imaging.stage import StageError

_WHY = {
    errno.EEXIST: "a file lies in the way",
    errno.ENOTDIR: "a file lies in the way",
    errno.ENOENT: "no folder can be made there",
}


def whole_number(text: str) -> int:
    """The type of an argument that counts cores or threads."""
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"found {text!r}; allowed: a whole number from 1 on")


def timeline_folder(text: str) -> Path:
    """The type of `--timeline`."""
    if Path(text).is_dir():
        return Path(text)
    raise argparse.ArgumentTypeError(f"{text} is no folder; give one with therapies.csv, markers.csv, ...")


@contextlib.contextmanager
def output_folder(folder: Path) -> Iterator[None]:
    """Make a folder that can be written to; if nothing was written to it in the end it is gone again.

    Raises StageError, with the reason and what to do, where that cannot be or the disk is full meanwhile.
    """
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        _make(folder)
        yield
    except (OSError, sqlite3.OperationalError) as error:
        if not _is_full(error):
            raise
        temporary = tempfile.gettempdir()
        raise StageError(
            f"The disk is full, {folder} cannot be written to ({error}). Make room there, or in {temporary}, where "
            "temporary files lie, and run again."
        ) from error
    finally:
        with contextlib.suppress(OSError):  # the first that is not empty stays, and so do those above it
            for path in new:
                path.rmdir()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        if _is_full(error):
            raise
        why = _WHY.get(error.errno or 0, (error.strerror or str(error)).lower())
        raise StageError(f"The output folder {folder} cannot be written to: {why}. Name another one.") from error


def _is_full(error: OSError | sqlite3.OperationalError) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return error.sqlite_errorcode == sqlite3.SQLITE_FULL
