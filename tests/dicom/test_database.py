"""`files.sqlite`: all of a scan or nothing, and the way from a series to its files."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import stat
from functools import partial

import pytest

from nen_imaging.dicom import database as module
from nen_imaging.dicom.database import FileRow, FilesDatabase, files_of_series
from nen_imaging.dicom.files import FileEntry
from nen_imaging.stage import StageError


def row(path: str) -> FileRow:
    return FileRow(FileEntry(path, 1, 1), code="file.not_dicom", text="no DICOM")


def known(path) -> list[str]:
    with FilesDatabase(path) as database:
        return [one.entry.path for one in database.quarantined()]


def test_only_its_owner_may_read_it(tmp_path):
    with FilesDatabase(tmp_path / "files.sqlite"):
        pass
    assert stat.S_IMODE((tmp_path / "files.sqlite").stat().st_mode) == 0o600


def test_a_block_that_fails_changes_nothing(tmp_path):
    path = tmp_path / "files.sqlite"
    with FilesDatabase(path) as database:
        database.put([row("a")])
    with pytest.raises(ZeroDivisionError), FilesDatabase(path) as database:
        database.put([row("b")])
        raise ZeroDivisionError
    assert known(path) == ["a"]


def test_another_version_of_headers_starts_anew(tmp_path, monkeypatch):
    path = tmp_path / "files.sqlite"
    with FilesDatabase(path) as database:
        database.put([row("a")])
    monkeypatch.setattr(module, "HEADER_VERSION", 99)
    assert known(path) == []


DAMAGES = {
    "not one": lambda content: b"x" * len(content),
    "cut short": lambda content: content[:8192],
    "overwritten": lambda content: content[:4096] + b"x" * (len(content) - 4096),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_one_is_told_and_made_anew(study, caplog, damage):
    study.ct()
    study.index()
    before, path = study.written(), study.results.files_database
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StageError, match=r"files\.sqlite cannot be read .* Run `nen-imaging index` again"):
        files_of_series(study.results, study.ct_selection()["series"])
    assert study.index().headers_read > 0
    assert "files.sqlite is damaged" in caplog.text
    assert study.written() == before
    assert files_of_series(study.results, study.ct_selection()["series"])[1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_locked_one_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, timeout=0))
    path = tmp_path / "files.sqlite"
    with FilesDatabase(path) as database:
        database.put([row("a")])
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            FilesDatabase(path)
    assert known(path) == ["a"]


def test_files_of_a_series(study):
    files = study.ct()
    study.index()
    folder, paths = files_of_series(study.results, study.ct_selection()["series"])
    assert [folder / path for path in paths] == sorted(files)


def test_what_the_index_does_not_know_says_what_to_do(study):
    with pytest.raises(StageError, match="Run `nen-imaging index` again"):
        files_of_series(study.results, "ANY")
    study.ct()
    study.index()
    with pytest.raises(StageError, match="knows no series ANY"):
        files_of_series(study.results, "ANY")
    series = study.ct_selection()["series"]
    shutil.rmtree(study.folder)
    with pytest.raises(StageError, match="no longer where it was indexed"):
        files_of_series(study.results, series)
