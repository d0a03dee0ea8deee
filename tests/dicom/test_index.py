"""The index of a study: stagings, selections, tables; the same bytes whatever the order and place of the files."""

from __future__ import annotations

import os
import random
import shutil
import tarfile
import zipfile

import pydicom
import pytest

from nen_imaging.contract import Refusal
from nen_imaging.dicom import scan
from nen_imaging.dicom.privacy import PrivacyError
from nen_imaging.phantom.series_options import PatientTags

PLANTED = {
    "PatientID": "X0X4711X0X", "PatientName": "X0XSurname^X0XGiven", "PatientBirthDate": "19510203",
    "OtherPatientIDs": "X0X4712X0X", "PatientAddress": "X0XStreet 1", "PatientComments": "X0Xcomment",
    "AccessionNumber": "X0X4713X0X", "StudyID": "X0X4714X0X", "InstitutionName": "X0XHospital",
    "ReferringPhysicianName": "X0XDoctor", "OperatorsName": "X0XOperator", "StationName": "X0XStation",
    "StudyDescription": "X0Xstudy for X0XSurname", "SeriesDescription": "portal venous X0XSurname",
    "ProtocolName": "X0Xprotocol", "ImageComments": "X0Ximage", "ConvolutionKernel": "X0Xkernel",
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "X0XTYPE"], "RequestedProcedureDescription": "X0Xrequest",
    "IssuerOfPatientID": "X0Xissuer", "DeviceSerialNumber": "X0X4715X0X", "ContrastBolusAgent": "X0Xagent",
}  # fmt: skip


def test_no_text_of_a_header_reaches_what_the_index_writes(study):
    files = study.ct("Surname_Given", tags=PLANTED) + study.pet("Surname_Given/pet", tags=PLANTED)
    files[0].write_bytes(files[0].read_bytes()[:-64])  # a quarantined file must not tell either
    (study.folder / "Surname.txt").write_text("no image")
    uids = {pydicom.dcmread(file, stop_before_pixels=True)[tag].value
            for file in files[1:] for tag in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")}  # fmt: skip
    study.index()
    written = study.written()
    assert "index/series.csv" in written
    for name, content in written.items():
        for text in ("X0X", "19510203", "Surname", *uids):
            assert text.encode() not in content, f"{text} in {name}"
    database = study.results.files_database.read_bytes()  # holds paths, and nothing else of a person
    for text in ("X0X", "19510203", *uids):
        assert text.encode() not in database
    assert b"Surname_Given" in database
    assert study.results.files_database.stat().st_mode & 0o077 == 0


def test_order_of_files_does_not_matter(study, monkeypatch):
    study.ct("a"), study.ct("b", series_number=5, series_description="Abdomen arterial"), study.pet("c")
    study.ct("d", patient=PatientTags("2"), slice_order="shuffled")
    study.index()
    expected = study.written()
    shutil.rmtree(study.results.root)
    files = list(scan.list_files(study.folder))
    random.Random(7).shuffle(files)
    monkeypatch.setattr(scan, "list_files", lambda *_: iter(files))
    study.index()
    assert study.written() == expected


def test_a_moved_study_gives_the_same_bytes_and_touches_no_file(study, tmp_path):
    study.ct(), study.pet()
    study.index()
    before = study.written()
    times = {name: (study.results.root / name).stat().st_mtime_ns for name in before}
    moved = tmp_path / "elsewhere"
    shutil.copytree(study.folder, moved)
    shutil.rmtree(study.folder)
    study.index(moved)
    assert study.written() == before
    assert {name: (study.results.root / name).stat().st_mtime_ns for name in before} == times


def test_a_second_index_reads_no_header(study):
    study.ct(), study.pet()
    (study.folder / "note.txt").write_text("x")
    assert study.index().headers_read == 9
    assert study.index().headers_read == 0


def test_a_changed_weight_changes_the_pet_selection_alone(study):
    study.ct(), study.pet()
    study.index()
    before = study.written()
    study.pet(tags={"PatientWeight": "71.0"})  # as long as before: the size alone would not tell
    assert study.index().headers_read == 4
    changed = [name for name, content in study.written().items() if content != before[name]]
    assert [name.rpartition("/")[2] for name in changed] == ["pet_selection.json"]


def test_the_same_content_under_new_times_changes_nothing(study):
    files = study.ct()
    study.index()
    before = study.written()
    for file in files:
        os.utime(file, (1, 1))
    assert study.index().headers_read == 4
    assert study.written() == before


class TestSelection:
    def test_is_sticky_until_reselected(self, study):
        study.ct("arterial", series_description="Abdomen arterial", series_number=4)
        study.index()
        first = study.ct_selection()["series"]
        study.ct("portal", series_description="Abdomen portal venous", series_number=5)
        summary = study.index()
        assert study.ct_selection()["series"] == first
        assert "another CT" in summary.stagings[0]["notes"]
        summary = study.index(reselect=True)
        assert study.ct_selection()["series"] != first
        assert summary.stagings[0]["notes"] == ""

    def test_reselect_equals_a_fresh_index(self, study):
        study.ct("a", date="2020-03-10", series_number=4)
        study.index()
        study.ct("b", date="2020-03-01", series_number=5)
        study.index()
        assert study.stagings() == ["2020-03-10"]  # an anchor that is listed stays
        study.index(reselect=True)
        reselected = study.table("series")
        assert study.stagings() == ["2020-03-01"]
        shutil.rmtree(study.results.root)
        study.index()
        assert study.table("series") == reselected

    def test_pins_choose_and_ban(self, study):
        study.ct("arterial", series_description="Abdomen arterial", series_number=4)
        study.ct("portal", series_description="Abdomen portal venous", series_number=5)
        study.index()
        arterial, portal = (
            next(row["series"] for row in study.table("series") if row["description_phase"] == phase)
            for phase in ("arterial", "portal venous")
        )
        assert study.ct_selection()["series"] == portal
        study.index(pins={arterial: True})
        assert study.ct_selection()["series"] == arterial
        study.index(pins={arterial: False})
        assert study.ct_selection()["series"] == portal
        assert any("banned in pins.csv" in row["reason"] for row in study.table("series"))
        study.index(pins={arterial: False, portal: False})
        assert study.ct_selection()["series"] is None
        assert study.ct_selection()["reasons"][0]["code"] == "ct.none"
        assert study.table("stagings")[0]["has_ct"] == "no"

    def test_two_cts_of_a_day_compete_in_one_staging(self, study):
        study.ct("native", series_description="Abdomen native", series_number=4, seed=1)
        study.ct("portal", series_description="Abdomen portal venous", series_number=5, seed=2)
        study.index()
        assert study.stagings() == ["2020-01-15"]
        chosen = {row["description_phase"]: row["chosen_for"] for row in study.table("series")}
        assert chosen == {"native": "", "portal venous": "2020-01-15"}
        assert all(row["score"] and row["reason"] for row in study.table("series"))


class TestFrameOfReference:
    """The PET's own CT is chosen where the measured CT lies in another frame of reference."""

    def write(self, study, **tags):
        """A diagnostic CT, and a PET with two low-dose CTs, of which one is nothing but a few slices."""
        study.ct("diagnostic", series_number=4)
        frame = {"FrameOfReferenceUID": "1.2.3.4"}
        low = {"series_description": "low dose native", "series_number": 5}
        study.ct("low dose", tags=frame, **low)
        study.ct("few", tags=frame | {"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]}, series_number=6)
        study.pet("pet", tags=frame | tags)

    def test_the_pets_own_ct_is_chosen_beside_the_measured_one(self, study):
        self.write(study)
        study.index()
        ct, pet, low_dose = (study.selection(of) for of in ("ct", "pet", "low_dose_ct"))
        assert ct["frame_of_reference"] != pet["frame_of_reference"] == low_dose["frame_of_reference"]
        rows = {row["series"]: row for row in study.table("series")}
        assert rows[low_dose["series"]]["chosen_for"] == "2020-01-15"
        assert "tells where the PET lies" in rows[low_dose["series"]]["reason"]
        assert study.table("stagings")[0]["low_dose_ct_series"] == low_dose["series"]
        assert not [name for name, content in study.written().items() if b"1.2.3.4" in content]
        assert b"1.2.3.4" not in study.results.files_database.read_bytes()

    def test_a_ban_holds_for_it_and_a_pin_makes_it_the_measured_one(self, study):
        self.write(study)
        study.index()
        first = study.selection("low_dose_ct")["series"]
        study.index(pins={first: False})
        assert study.selection("low_dose_ct")["series"] not in (first, None)
        study.index(pins={first: True}, reselect=True)
        assert study.selection("ct")["series"] == first
        assert study.selection("low_dose_ct")["series"] is None

    def test_none_is_needed_in_the_same_frame_or_found_where_none_is_named(self, study):
        self.write(study, FrameOfReferenceUID="")
        study.index()
        assert study.selection("pet")["frame_of_reference"] == "none"
        assert study.selection("low_dose_ct")["series"] is None
        study.pet("pet")
        study.index()
        assert study.selection("pet")["frame_of_reference"] == study.selection("ct")["frame_of_reference"]
        assert study.selection("low_dose_ct")["series"] is None
        assert study.table("stagings")[0]["low_dose_ct_series"] == ""

    def test_a_changed_low_dose_ct_changes_its_selection_alone(self, study):
        self.write(study)
        study.index()
        before = study.written()
        study.ct("low dose", tags={"FrameOfReferenceUID": "1.2.3.4", "KVP": "110"}, series_number=5,
                 series_description="low dose native")  # fmt: skip
        study.index()
        changed = [name for name, content in study.written().items() if content != before[name]]
        assert [name.rpartition("/")[2] for name in changed] == ["low_dose_ct_selection.json"]


class TestStagings:
    def test_window_does_not_chain(self, study):
        for number, day in enumerate(("2020-01-01", "2020-01-25", "2020-02-15"), start=2):
            study.ct(day, date=day, series_number=number)
        study.index()
        assert study.stagings() == ["2020-01-01", "2020-02-15"]

    def test_that_left_the_study_are_gone_and_come_back_under_their_name(self, study):
        study.ct("first"), study.ct("second", date="2021-05-05")
        study.index()
        shutil.move(study.folder / "second", study.folder.parent / "kept")
        study.index()
        assert [row["state"] for row in study.table("stagings")] == ["active", "gone"]
        shutil.move(study.folder.parent / "kept", study.folder / "second")
        study.index()
        assert study.stagings() == ["2020-01-15", "2021-05-05"]

    def test_a_pet_alone_makes_none_and_says_why(self, study):
        study.ct(patient=PatientTags("with CT")), study.pet(date="2022-08-08", patient=PatientTags("without CT"))
        study.index()
        assert study.stagings() == ["2020-01-15"]
        assert [row["reason"] for row in study.table("studies") if "PT" in row["modalities"]] == [
            "PET only: no CT of this patient lies within the window of days"
        ]

    def test_scouts_and_masks_are_never_chosen(self, study):
        study.ct("scout", series_number=1, tags={"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]})
        masks = {"ImageType": ["DERIVED", "SECONDARY"], "RescaleSlope": None, "RescaleIntercept": None}
        study.ct("mask", series_number=9, tags=masks)
        summary = study.index()
        assert study.stagings() == []
        assert summary.skipped == {"localizer": 1, "not HU": 1}
        assert sorted(row["codes"] for row in study.table("series")) == ["ct.localizer", "ct.not_hu"]

    def test_undated_takes_the_date_of_a_correction(self, study):
        undated = dict.fromkeys(("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"), "")
        study.ct(tags=undated)
        study.index()
        (name,) = study.stagings()
        assert name.startswith("undated-")
        assert study.ct_selection()["reasons"][0]["code"] == "date.missing"
        study.index(dates={name: "2019-04-04"})
        assert study.stagings() == ["2019-04-04"]
        assert study.ct_selection("2019-04-04")["reasons"] == []


class TestPatients:
    def test_one_name_and_two_ids_are_two_patients(self, study):
        for number, patient_id in enumerate(("1", "2")):
            study.ct(patient_id, patient=PatientTags(patient_id, name="Jones^Ann"), seed=number)
        assert len(study.index().patients) == 2

    def test_a_missing_issuer_joins_the_only_one(self, study):
        study.ct("a", patient=PatientTags("1", issuer="Hospital"))
        study.ct("b", patient=PatientTags("1"), date="2021-01-01")
        summary = study.index()
        assert len(summary.patients) == 1
        assert summary.patients_named("1") == set(summary.patients)

    def test_one_id_of_two_issuers_is_two_patients(self, study):
        study.ct("a", patient=PatientTags("1", issuer="Hospital A"))
        study.ct("b", patient=PatientTags("1", issuer="Hospital B"))
        summary = study.index()
        assert len(summary.patients) == 2
        assert summary.patients_named("1") == set(summary.patients)

    def test_without_id_goes_by_name_with_a_warning(self, study):
        study.ct(patient=PatientTags("", name="Jones^Ann"))
        summary = study.index()
        assert study.table("series")[0]["codes"] == "identity.weak"
        assert study.ct_selection()["reasons"][0]["code"] == "identity.weak"
        assert summary.patients_named("jones^ann") == set(summary.patients)


class TestArchives:
    @pytest.mark.parametrize("kind", ["zip", "xztar"])
    def test_give_what_their_folder_gives(self, study, kind):
        study.ct(), study.pet()
        study.index()
        folder = study.written()
        shutil.rmtree(study.results.root)
        archive = shutil.make_archive(str(study.folder.parent / "packed"), kind, study.folder)
        packed = study.folder.parent / archive
        assert study.index(packed).headers_read == 9  # eight images, and the archive
        assert study.written() == folder
        assert study.index(packed).headers_read == 0
        assert study.written() == folder

    def test_within_a_study_are_read_once(self, study):
        files = study.ct()
        with zipfile.ZipFile(study.folder / "old.zip", "w") as archive:
            for file in files:
                archive.write(file, f"scans/{file.name}")
                file.unlink()
        study.index()
        assert study.stagings() == ["2020-01-15"]
        assert study.index().headers_read == 0
        assert study.stagings() == ["2020-01-15"]


class TestQuarantine:
    def test_names_code_and_remedy(self, study):
        files = study.ct()
        files[0].write_bytes(files[0].read_bytes()[:-64])
        (study.folder / "letter.txt").write_text("Dear colleague, ...")
        broken = study.folder / "old.tar.gz"
        with tarfile.open(broken, "w:gz") as archive:
            archive.add(files[1], "slice")
        broken.write_bytes(broken.read_bytes()[:-200])
        summary = study.index()
        assert summary.quarantined == {"file.truncated": 2, "file.not_dicom": 1}
        assert all(row["remedy"] and row["text"] for row in study.table("quarantine"))
        assert next(row["files"] for row in study.table("series")) == "3"

    def test_every_file_has_a_reason(self, study):
        """Also those that nobody opens: hidden, listing others, leading nowhere."""
        study.ct()
        for name in (".DS_Store", "DICOMDIR", "ct/._1", ".cache/x"):
            (study.folder / name).parent.mkdir(exist_ok=True)
            (study.folder / name).write_bytes(b"x")
        (study.folder / "gone").symlink_to(study.folder / "nowhere")
        summary = study.index()
        assert summary.quarantined == {"file.hidden": 3, "file.directory": 1, "file.unreadable": 1}
        assert all(row["remedy"] and row["text"] for row in study.table("quarantine"))
        assert study.index().headers_read == 0

    def test_an_empty_folder_is_refused(self, study):
        (study.folder / "letter.txt").write_text("Dear colleague, ...")
        with pytest.raises(Refusal, match="1 files were looked at") as refusal:
            study.index()
        assert refusal.value.reason.code == "study.empty"


def test_another_key_is_refused_with_the_remedy(study):
    study.ct()
    study.index()
    before = study.written()
    with pytest.raises(PrivacyError, match="Point NEN_IMAGING_KEY_FILE to the old key"):
        study.index(key=b"another key")
    assert study.written() == before


@pytest.mark.parametrize(("name", "staging", "masks"), [("ct_ircad17", "2009-05-27", 3), ("ct_chaos3", "undated-", 0)])
def test_real_teaching_sets_without_identity(study, shared_data, name, staging, masks):
    """3D-IRCADb and CHAOS carry no PatientID; one has its masks as CT series beside the CT, the other no date."""
    with tarfile.open(shared_data / name / f"{name}.tar.xz") as archive:
        archive.extractall(study.folder, filter="data")
    study.index()
    (found,) = study.stagings()
    assert found.startswith(staging)
    selected = study.ct_selection()
    assert "identity.weak" in {reason["code"] for reason in selected["reasons"]}
    codes = {row["series"]: row["codes"].split() for row in study.table("series")}
    assert "ct.not_hu" not in codes[selected["series"]]
    assert sum("ct.not_hu" in row for row in codes.values()) == masks
