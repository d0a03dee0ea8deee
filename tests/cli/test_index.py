"""`nen-imaging index`: what is there, what is left out, and errors that say what to do."""

from __future__ import annotations

import datetime as dt
import shutil
import tarfile

import numpy as np
import pytest

from nen_imaging.cli.main import main
from nen_imaging.contract import CORRECTIONS, LINKS, READER, TIMELINE, Results
from nen_imaging.dicom.database import FilesDatabase
from nen_imaging.phantom.dicom_writer import write_ct_series, write_pet_series
from nen_imaging.phantom.series_options import PatientTags
from nen_imaging.tables import read_table
from nen_imaging.volume import Volume

AFFINE = np.diag([-0.8, -0.8, 3.0, 1.0])
ANN = PatientTags("ID-4711", "Jones^Ann")


class Verb:
    """The verb over a study of one CT and one PET, with its key in a home of its own."""

    def __init__(self, root, capsys):
        self.study, self.results, self.timeline = root / "study", Results(root / "results"), root / "timeline"
        self.timeline.mkdir()
        self.key, self._capsys = root / "home" / "key", capsys
        write_ct_series(self.study, Volume(np.full((4, 4, 4), 40, np.int16), AFFINE), patient=ANN)
        write_pet_series(self.study, Volume(np.ones((4, 4, 4), np.float32), AFFINE), patient=ANN)

    def table(self, name: str, *lines: str) -> None:
        (self.timeline / f"{name}.csv").write_text("\n".join(lines) + "\n", "utf-8")

    def run(self, *arguments: str) -> tuple[int, str]:
        """The exit code, and all that was printed on one line."""
        given = ("index", self.study, "--results", self.results.root, "--timeline", self.timeline, *arguments)
        code = main([str(argument) for argument in given])
        return code, " ".join("".join(self._capsys.readouterr()).split())


@pytest.fixture
def verb(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NEN_IMAGING_KEY_FILE", str(tmp_path / "home" / "key"))
    monkeypatch.setenv("COLUMNS", "200")
    return Verb(tmp_path, capsys)


def test_prints_stagings_and_what_is_left_out_but_no_path(verb):
    (verb.study / "Jones letter.txt").write_text("Dear colleague")
    code, printed = verb.run()
    assert code == 0
    assert "2020-01-15" in printed
    assert "1 files quarantined: file.not_dicom. Nothing to do" in printed
    assert str(verb.results.series_table) in printed
    assert "Jones" not in printed
    assert verb.key.stat().st_mode & 0o077 == 0


def test_shows_paths_on_request(verb):
    (verb.study / "Jones [b]letter.txt").write_text("Dear colleague")
    assert "file.not_dicom: Jones [b]letter.txt" in verb.run("--show-paths")[1]


def test_writes_the_linkage_table_beside_the_key_on_request(verb):
    linkage = verb.key.with_name("linkage.csv")
    verb.run()
    assert not linkage.exists()
    _, printed = verb.run("--linkage")
    assert str(linkage) in printed
    assert [row["patient_id"] for row in read_table(linkage)] == ["ID-4711"]


def test_another_key_is_a_message_and_a_usage_error(verb):
    verb.run()
    verb.key.unlink()
    code, printed = verb.run()
    assert code == 2
    assert "Point NEN_IMAGING_KEY_FILE to the old key" in printed


@pytest.mark.parametrize("inside", ["study", "results"])
def test_a_key_inside_study_or_results_is_refused(verb, tmp_path, monkeypatch, inside):
    monkeypatch.setenv("NEN_IMAGING_KEY_FILE", str(tmp_path / inside / "key"))
    code, printed = verb.run()
    assert code == 2
    assert "Move it out" in printed
    assert not (tmp_path / inside / "key").exists()


def test_results_that_are_no_folder_are_a_message(verb):
    verb.results.root.write_text("a file")
    code, printed = verb.run()
    assert code == 2
    assert printed.startswith("nen-imaging: ") and str(verb.results.root) in printed


def test_paths_are_printed_as_they_are(verb):
    verb.results = Results(verb.results.root / "results [final]")
    assert str(verb.results.series_table) in verb.run()[1]


@pytest.mark.parametrize("whole", [True, False])
def test_a_damaged_archive_is_told_as_such_and_stands_in_the_quarantine(verb, tmp_path, whole):
    with tarfile.open(tmp_path / "broken.tar.xz", "w:xz") as archive:
        archive.add(verb.study, "study")
    content = (tmp_path / "broken.tar.xz").read_bytes()
    shutil.rmtree(verb.study)
    verb.study.mkdir()
    broken = verb.study / "broken.tar.xz"
    broken.write_bytes(content[: len(content) // 2])
    verb.study = broken if whole else verb.study
    code, printed = verb.run()
    assert code == 1
    assert "Refused (file.truncated): No file of the study is DICOM; 1 files were looked at." in printed
    assert "1 cannot be read: the archive cannot be read to its end (EOFError). Copy the file again" in printed
    assert [row["code"] for row in read_table(verb.results.quarantine_table)] == ["file.truncated"]


@pytest.mark.parametrize("place", ["deep/results", ".results"])
def test_results_inside_the_study_are_none_of_it(verb, place):
    files = sorted(verb.study.iterdir())
    with tarfile.open(verb.study / "old.tar", "w") as archive:
        for file in files[:2]:
            archive.add(file, file.name)
            file.unlink()
    verb.run()
    outside, verb.results = verb.results, Results(verb.study / place)
    for _ in range(2):
        assert verb.run()[0] == 0
        (verb.results.root / "archive.zip").write_bytes(b"of someone, put there")
        shutil.copy(files[2], verb.results.root)
    assert read_table(verb.results.quarantine_table) == []
    assert verb.results.series_table.read_bytes() == outside.series_table.read_bytes()
    with FilesDatabase(verb.results.files_database) as database:
        known = [row.entry.path for rows in database.by_series_uid() for row in rows]
    assert len(known) == 8 and not any("results" in path for path in known)


def test_an_empty_study_is_refused(verb):
    for file in verb.study.iterdir():
        file.unlink()
    code, printed = verb.run()
    assert code == 1
    assert "Refused (study.empty)" in printed
    assert "Check the path" in printed


def test_a_study_that_is_not_there_is_refused(verb):
    verb.study = verb.study.with_name("no such study")
    assert verb.run()[0] == 1


def test_a_wrong_cell_is_a_message_with_its_place(verb):
    verb.table("therapies", "kind,agent,start", "systemic,octreotide,01.08.2016")
    code, printed = verb.run()
    assert code == 2
    assert "therapies.csv, row 2, column start: found '01.08.2016'; allowed: YYYY-MM-DD" in printed


def test_several_patients_need_a_column_patient(verb):
    other = PatientTags("ID-4712", "Smith^Bob")
    ct = Volume(np.full((4, 4, 4), 40, np.int16), AFFINE)
    write_ct_series(verb.study, ct, patient=other, date=dt.date(2021, 5, 5), series_number=7)
    verb.table("therapies", "kind,agent,start", "systemic,octreotide,2016-08")
    code, printed = verb.run()
    assert code == 2
    assert "row 2, column patient: no patient is given, but the study holds 2" in printed
    verb.table("therapies", "patient,kind,agent,start", "ID-4712,systemic,octreotide,2016-08")
    assert verb.run()[0] == 0


def test_pins_and_rows_without_a_place_are_told(verb):
    verb.table("pins", "series,choice", "QQQQ,chosen")
    verb.table("corrections", "staging,tag,value,reason", "1999-01-01,PatientWeight,70,chart")
    code, printed = verb.run()
    assert code == 0
    assert "pins.csv: the study has no series QQQQ; not used" in printed
    assert "corrections.csv, row 2: the patient has no such staging; not used" in printed


def test_a_first_look_writes_what_every_later_stage_reads(verb):
    assert main(["index", str(verb.study), "--results", str(verb.results.root)]) == 0
    written = {path.name for path in verb.results.root.glob("patients/**/*.json")}
    assert written >= {TIMELINE, LINKS, CORRECTIONS, READER}


def test_a_look_without_the_timeline_leaves_what_a_reading_means(verb):
    verb.table("readings", "staging,lesion,reading,reason", "2020-01-15,2,benign,haemangioma on MRI")
    verb.run()
    split = {path: path.read_bytes() for path in verb.results.root.glob("patients/**/*.json")}
    assert any(path.name == "reader.json" and b"haemangioma" in content for path, content in split.items())
    assert main(["index", str(verb.study), "--results", str(verb.results.root)]) == 0
    assert {path: path.read_bytes() for path in split} == split


def test_an_edited_table_of_stagings_is_a_message_and_without_it_all_is_as_before(verb):
    verb.run()
    before = verb.results.stagings_table.read_text("utf-8")
    verb.results.stagings_table.write_text(before.replace("staging,", "Staging,", 1), "utf-8")
    code, printed = verb.run()
    assert code == 2
    assert "stagings.csv: row 1 has no column staging. Undo the edit, or remove the file" in printed
    verb.results.stagings_table.unlink()
    assert verb.run()[0] == 0
    assert verb.results.stagings_table.read_text("utf-8") == before


def test_two_pinned_series_of_one_kind_and_staging_are_refused_and_nothing_is_chosen(verb):
    ct = Volume(np.full((4, 4, 4), 40, np.int16), AFFINE)
    write_ct_series(verb.study / "other", ct, patient=ANN, series_number=7)
    verb.run()
    selections = [path.read_bytes() for path in verb.results.root.rglob("ct_selection.json")]
    keys = [row["series"] for row in read_table(verb.results.series_table) if row["modality"] == "CT"]
    verb.table("pins", "series,choice", f"{keys[0]},chosen", f"{keys[0]},chosen", f"{keys[1]},chosen")
    code, printed = verb.run()
    assert code == 2
    assert "pins.csv, row 4, column series: row 2 chooses another series of this kind" in printed
    assert [path.read_bytes() for path in verb.results.root.rglob("ct_selection.json")] == selections
    verb.table("pins", "series,choice", f"{keys[0]},chosen", f"{keys[1]},banned")
    assert verb.run()[0] == 0
