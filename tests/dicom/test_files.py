"""Every file of a study has one path, in a folder as in an archive."""

import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from nen_imaging.dicom.files import BrokenArchiveError, FileEntry, is_archive, list_files, open_archive, open_files

CONTENT = {"b/2": b"two", "a c/ü/1.dcm": b"one", "z": b""}


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "Studie Müller"
    for path, content in CONTENT.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def walk(study):
    """Every file of a study, in order of path, archives replaced by their members."""
    for entry in list_files(study):
        if is_archive(entry.path) and not entry.left_out:
            yield from sorted((member for member, _ in open_archive(study, entry)), key=lambda member: member.path)
        else:
            yield entry


def paths(study):
    return [entry.path for entry in walk(study)]


def contents(study):
    return {path: stream.read() for path, stream in open_files(study, paths(study))}


def test_paths_are_relative_and_sorted(study):
    assert paths(study) == sorted(CONTENT)
    assert [entry.size for entry in walk(study)] == [len(CONTENT[path]) for path in sorted(CONTENT)]


def left_out(study):
    """Path -> code of what is listed and never opened."""
    return {entry.path: entry.left_out for entry in walk(study) if entry.left_out}


HIDDEN = {
    ".DS_Store": "file.hidden",
    "b/._2": "file.hidden",
    "DICOMDIR": "file.directory",
    "b/dicomdir": "file.directory",
}


def test_dicomdir_and_hidden_files_are_listed_as_left_out(study):
    for name in (*HIDDEN, ".trash/deep/1"):
        (study / name).parent.mkdir(parents=True, exist_ok=True)
        (study / name).write_bytes(b"x")
    assert left_out(study) == HIDDEN | {".trash": "file.hidden"}  # nobody looks into a hidden folder
    assert set(CONTENT) < set(paths(study))
    archive = Path(shutil.make_archive(str(study.parent / "packed"), "zip", study))
    assert left_out(archive) == HIDDEN | {".trash/deep/1": "file.hidden"}


def test_links_in_a_circle_end_and_those_to_nothing_are_listed(study):
    (study / "b" / "up").symlink_to(study, target_is_directory=True)
    (study / "b" / "nothing").symlink_to(study / "no such file")
    os.mkfifo(study / "b" / "pipe")  # opening it would never end
    assert left_out(study) == {"b/nothing": "file.unreadable", "b/pipe": "file.unreadable"}
    assert sorted(set(paths(study)) - set(left_out(study))) == sorted(CONTENT)


@pytest.mark.parametrize("suffix", ["zip", "tar", "gztar", "xztar"])
def test_a_study_that_is_one_archive_equals_its_folder(study, tmp_path, suffix):
    archive = shutil.make_archive(str(tmp_path / "study"), suffix, study)
    whole = tmp_path / archive
    assert paths(whole) == sorted(CONTENT)
    assert contents(whole) == contents(study) == CONTENT


@pytest.mark.parametrize("suffix", ["zip", "xztar"])
def test_members_of_an_archive_inside_a_study(study, suffix):
    archive = shutil.make_archive(str(study / "old"), suffix, study / "b").removeprefix(f"{study}/")
    assert f"{archive}!/2" in paths(study)
    assert contents(study)[f"{archive}!/2"] == b"two"


def test_a_folder_may_be_called_like_an_archives_inside(study):
    (study / "wichtig!").mkdir()
    (study / "wichtig!" / "1").write_bytes(b"one")
    with zipfile.ZipFile(study / "wichtig!" / "new.zip", "w") as archive:
        archive.writestr("2", b"two")
    found = contents(study)
    assert (found["wichtig!/1"], found["wichtig!/new.zip!/2"]) == (b"one", b"two")


def test_a_single_file_is_a_study(study):
    assert contents(study / "b" / "2") == {"2": b"two"}


def test_a_cut_archive_says_so(study, tmp_path):
    (study / "b" / "2").write_bytes(bytes(range(256)) * 400)
    for kind in ("zip", "xztar", "gztar"):
        archive = tmp_path / shutil.make_archive(str(tmp_path / "cut"), kind, study)
        archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
        with pytest.raises(BrokenArchiveError):
            list(open_archive(archive, FileEntry(archive.name, 0, 0)))


def test_an_encrypted_member_says_so(tmp_path):
    archive = tmp_path / "locked.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("1", b"one")
    content = bytearray(archive.read_bytes())
    content[6] |= 1  # the flag of the local header
    content[content.rindex(b"PK\x01\x02") + 8] |= 1  # and of the directory
    archive.write_bytes(content)
    with pytest.raises(BrokenArchiveError):
        list(open_archive(archive, FileEntry(archive.name, 0, 0)))


def test_links_and_folders_in_a_tar_are_no_files(tmp_path):
    with tarfile.open(tmp_path / "links.tar", "w") as tar:
        for name, kind in (("folder", tarfile.DIRTYPE), ("away", tarfile.SYMTYPE), ("pipe", tarfile.FIFOTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
    assert left_out(tmp_path) == {f"links.tar!/{name}": "file.unreadable" for name in ("away", "pipe")}
    assert len(paths(tmp_path)) == 2
    assert [entry.path for entry in list_files(tmp_path)] == ["links.tar"]


def test_a_file_that_left_its_archive_is_missed(study):
    shutil.make_archive(str(study / "old"), "zip", study / "b")
    with pytest.raises(FileNotFoundError, match="run the index again"):
        list(open_files(study, ["old.zip!/2", "old.zip!/3"]))


@pytest.mark.parametrize("path", ["b/3", "old.zip!/2"])
def test_what_cannot_be_opened_is_told_without_its_path(study, path):
    with pytest.raises(FileNotFoundError) as caught:
        list(open_files(study, [path]))
    assert not {word for word in ("Müller", "b/3", "old.zip") if word in str(caught.value)}


def test_a_folder_that_may_not_be_entered_is_listed_as_unreadable(study, monkeypatch):
    def scandir(folder):
        if Path(folder).name == "b":
            raise PermissionError(13, "Permission denied", str(folder))
        return entered(folder)

    entered = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    (listed,) = [entry for entry in list_files(study) if entry.path.startswith("b")]
    assert (listed.path, listed.left_out) == ("b", "file.unreadable")
