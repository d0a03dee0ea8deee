"""The cache follows the study: what is new or changed is read, what left is forgotten."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from nen_imaging.dicom.database import FilesDatabase
from nen_imaging.dicom.privacy import Pseudonymiser
from nen_imaging.dicom.scan import scan_study


@pytest.fixture
def scan(study):
    """Scan the study; returns how many headers were read and the paths that are known with a header."""

    def scan(**arguments) -> tuple[int, list[str]]:
        with FilesDatabase(study.results.files_database) as database:
            read = scan_study(study.folder, database, Pseudonymiser(b"key"), **arguments)
            return read, [row.entry.path for rows in database.by_series_uid() for row in rows]

    return scan


def test_only_what_changed_is_read(study, scan):
    files = study.ct()
    assert scan()[0] == 4
    assert scan()[0] == 0
    os.utime(files[0], (1, 1))
    study.pet()
    assert scan()[0] == 5


def test_what_left_is_forgotten(study, scan):
    files = study.ct()
    scan()
    files[1].unlink()
    read, known = scan()
    assert read == 0
    assert known == [f"ct/{file.name}" for file in files if file != files[1]]


def test_members_leave_with_their_archive(study, scan):
    (file, *others) = study.ct()
    with zipfile.ZipFile(study.folder / "old.zip", "w") as archive:
        archive.write(others[0], "slice")
    assert "old.zip!/slice" in scan()[1]
    assert "old.zip!/slice" in scan()[1]
    (study.folder / "old.zip").unlink()
    assert scan()[1] == [f"ct/{one.name}" for one in (file, *others)]


def test_a_file_that_cannot_be_opened_is_quarantined(study, monkeypatch):
    files = study.ct()
    opened = Path.open

    def fails(path: Path, *arguments, **options):
        if path == files[0]:
            raise PermissionError
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", fails)
    with FilesDatabase(study.results.files_database) as database:
        scan_study(study.folder, database, Pseudonymiser(b"key"))
        assert [(row.entry.path, row.code) for row in database.quarantined()] == [
            (f"ct/{files[0].name}", "file.unreadable")
        ]


def test_progress_counts_files(study, scan):
    study.ct()
    seen: list[int] = []
    scan(progress=seen.append)
    assert seen == [1, 2, 3, 4]


def test_many_files_are_read_by_processes_of_their_own_with_the_same_result(study, scan, monkeypatch):
    study.ct()
    study.pet()
    with zipfile.ZipFile(study.folder / "old.zip", "w") as archive:
        archive.writestr("note.txt", "no image")
    seen: list[int] = []
    monkeypatch.setattr("nen_imaging.dicom.scan._BATCH", 2)
    monkeypatch.setattr("nen_imaging.dicom.scan._PART", 2)
    monkeypatch.setattr("nen_imaging.dicom.scan.os.sched_getaffinity", lambda _: {0, 1})
    found = scan(progress=seen.append)
    assert seen == list(range(1, 10))
    assert scan() == (0, found[1])
    study.results.files_database.unlink()
    monkeypatch.undo()
    assert scan() == found
