"""Cores and threads, output folders and interrupts: what is refused, and that it is told in one line."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from nen_imaging.cli import checks
from nen_imaging.cli.checks import output_folder
from nen_imaging.cli.main import VERBS, main
from nen_imaging.phantom.dicom_writer import write_ct_series
from nen_imaging.stage import StageError
from nen_imaging.volume import Volume


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("NEN_IMAGING_KEY_FILE", str(tmp_path / "home" / "key"))
    ct = Volume(np.full((4, 4, 4), 40, np.int16), np.diag([-0.8, -0.8, 3.0, 1.0]))
    write_ct_series(tmp_path / "study", ct)
    return tmp_path / "study"


@pytest.mark.parametrize("number", ["0", "-1", "two", "1.5"])
@pytest.mark.parametrize(
    "verb",
    [
        ("run", "S", "--cores"),
        ("demo", "--cores"),
        ("segment", "S", "--out", "O", "--threads"),
        ("validate", "lits", "--root", "L", "--results", "R", "--threads"),
        ("train", "R", "--data", "D", "--threads"),
        ("stage", "measure", "O", "--threads"),
    ],
    ids=lambda verb: verb[0],
)
def test_cores_and_threads_are_whole_numbers_from_1_on(verb, number, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*verb, number])
    assert ended.value.code == 2
    assert f"{verb[-1]}: found '{number}'; allowed: a whole number from 1 on" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["run", "index"])
@pytest.mark.parametrize("make", [Path.touch, lambda _: None], ids=["file", "missing"])
def test_a_timeline_that_is_no_folder_is_said_to_be_none(study, tmp_path, capsys, verb, make):
    make(tmp_path / "a.txt")
    with pytest.raises(SystemExit) as ended:
        main([verb, str(study), "--results", str(tmp_path / "results"), "--timeline", str(tmp_path / "a.txt")])
    assert ended.value.code == 2
    assert "a.txt is no folder; give one with therapies.csv" in capsys.readouterr().err


CONNECTION = "https://127.0.0.1:9/dicom-web"
WRITERS = {
    "index": ("STUDY", "--results"),
    "run": ("STUDY", "--results"),
    "segment": ("STUDY", "--out"),
    "validate": ("score", "--truth", "STUDY", "--pred", "STUDY", "--results"),
    "fetch": ("--from", CONNECTION, "--patient", "1", "--to"),
    "demo": ("--out",),
}


@pytest.mark.parametrize(
    ("place", "why"),
    [("a/file", "a file lies in the way"), ("a/file/below", "a file lies in the way"), ("/proc/a/b", "no folder can")],
)
@pytest.mark.parametrize("verb", WRITERS)
def test_an_output_folder_that_cannot_be_made_is_one_line(study, tmp_path, capsys, verb, place, why):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    arguments = [str(study) if argument == "STUDY" else argument for argument in WRITERS[verb]]
    assert main([verb, *arguments, str(tmp_path / place)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("nen-imaging: The output folder /") and f" cannot be written to: {why}" in line
    assert line.endswith("Name another one.")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_may_not_be_written_to_is_told_and_not_made(tmp_path, monkeypatch):
    def read_only(**_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(checks.tempfile, "TemporaryFile", read_only)
    with pytest.raises(StageError, match="cannot be written to: read-only file system"), output_folder(tmp_path / "a"):
        pass
    assert not (tmp_path / "a").exists()


def test_a_full_disk_is_told_with_the_folder_whoever_finds_it(tmp_path):
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.execute("PRAGMA max_page_count = 2")
        for fill in (lambda: connection.execute("INSERT INTO t VALUES (zeroblob(100000))"), _no_space):
            with pytest.raises(StageError, match=rf"disk is full, {tmp_path}.*Make room"), output_folder(tmp_path):
                fill()
    with pytest.raises(PermissionError), output_folder(tmp_path):
        raise PermissionError  # of an input, perhaps: not the folder's


def _no_space() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_folder_to_which_nothing_was_written_is_gone_again(tmp_path):
    with output_folder(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert not (tmp_path / "a").exists()
    with output_folder(tmp_path / "a" / "b"):
        (tmp_path / "a" / "file").touch()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["file"]


@pytest.mark.parametrize("verb", VERBS)
def test_an_interrupt_tells_what_is_left(verb, monkeypatch, capsys):
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    required = {"models": ["list"], "stage": ["measure", "O"], "train": ["R", "--data", "D"], "suv": ["P"]}
    alone = {name: ["S"] for name in ("unlock", "clean")} | {"doctor": []}
    written = {name: [*arguments, "O"] for name, arguments in WRITERS.items()}
    monkeypatch.setattr(f"nen_imaging.cli.{verb}.run", interrupted)
    assert main([verb, *(required | alone | written)[verb]]) == 130
    kept, nothing = "what is finished stays, run again", "nothing was written"
    said = dict.fromkeys(("run", "fetch", "demo", "validate", "train"), kept)
    said |= dict.fromkeys(("segment", "suv", "doctor"), nothing)
    line = capsys.readouterr().err
    assert line.startswith(f"Interrupted; {said.get(verb, 'run again to finish')}")
    assert ("--resume" in line) == (verb == "train")
