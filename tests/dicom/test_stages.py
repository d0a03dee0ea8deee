"""The edge of the room: selections in, `ct/` and `pet/` out, through the index's database."""

from __future__ import annotations

import json
import traceback
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import DataElement
from pydicom.config import IGNORE

from nen_imaging.config import Config
from nen_imaging.contract import CORRECTIONS, CT_SELECTION, LOW_DOSE_CT_SELECTION, PET_SELECTION, Results, State
from nen_imaging.dicom.database import FilesDatabase
from nen_imaging.dicom.group import group_series
from nen_imaging.dicom.privacy import Pseudonymiser, pseudonyms
from nen_imaging.dicom.scan import scan_study
from nen_imaging.dicom.stages import IMPORT_CT, IMPORT_LOW_DOSE_CT, IMPORT_PET
from nen_imaging.phantom.dicom_writer import write_ct_series, write_pet_series
from nen_imaging.phantom.series_options import PatientTags
from nen_imaging.stage import Context, StageRecord, run_stage, write_json
from nen_imaging.volume import Volume, read_nifti
from nen_imaging.workflow import SECTIONS

AFFINE = np.diag([-0.8, -0.8, 3.0, 1.0])
PATIENT = PatientTags(patient_id="ID-4711", name="Jones^Ann", birth_date="19510203", weight_kg=None)


@pytest.fixture
def staging(tmp_path) -> Path:
    """A staging's folder with its small files, beside an indexed study of a CT and a PET without a weight."""
    array = np.full((24, 20, 8), -1000, np.int16)
    array[4:-4, 4:-4] = 50
    write_ct_series(tmp_path / "study", Volume(array, AFFINE), patient=PATIENT)
    suv = np.random.default_rng(0).uniform(0.1, 9, (10, 8, 6)).astype(np.float32)
    write_pet_series(tmp_path / "study", Volume(suv, AFFINE), patient=PATIENT)
    pseudonymiser = Pseudonymiser(b"key of this test")
    with FilesDatabase(Results(tmp_path / "results").files_database) as database:
        scan_study(tmp_path / "study", database, pseudonymiser)
        patients = pseudonyms(pseudonymiser, database.issuers())
        keys = {one.modality: one.key for one in group_series(database, pseudonymiser, patients)}
    folder = tmp_path / "results" / "patients" / "P" / "stagings" / "2020-01-15"
    for name, modality in ((CT_SELECTION, "CT"), (LOW_DOSE_CT_SELECTION, "CT"), (PET_SELECTION, "PT")):
        selected = {"series": keys[modality], "date": "2020-01-15", "phase_header": "portal venous"}
        write_json(folder / name, selected | {"frame_of_reference": "FRAME"})
    write_json(folder / CORRECTIONS, {"corrections": []})
    return folder


def run(stage, folder: Path, *inputs: str) -> StageRecord:
    options = Config().options_of(SECTIONS.get(stage.name, stage.name))
    context = Context(results=folder.parents[3], models=folder)
    target = folder / stage.name.removeprefix("import_")
    return run_stage(stage, target, tuple(folder / name for name in inputs), options, context)


def run_pet(folder: Path) -> StageRecord:
    return run(IMPORT_PET, folder, PET_SELECTION, CORRECTIONS)


def correct(folder: Path, **values: str) -> None:
    rows = [{"tag": tag, "value": value, "reason": "from the chart"} for tag, value in values.items()]
    write_json(folder / CORRECTIONS, {"corrections": rows})


def test_the_selected_ct_is_imported_with_its_facts(staging):
    record = run(IMPORT_CT, staging, CT_SELECTION)
    assert record.state == State.OK
    volume = read_nifti(staging / "ct" / "ct.nii.gz")
    assert volume.array.dtype == np.int16
    assert volume.array[12, 10, 4] == 50
    assert record.facts["phase_header"] == "portal venous"
    assert record.facts["date"] == "2020-01-15"
    assert record.facts["slice_spacing_mm"] == 3.0


def test_ct_and_pet_tell_their_frame_of_reference(staging):
    correct(staging, PatientWeight="70")
    assert run(IMPORT_CT, staging, CT_SELECTION).facts["frame_of_reference"] == "FRAME"
    assert run_pet(staging).facts["frame_of_reference"] == "FRAME"
    assert json.loads((staging / "pet" / "pet.json").read_text("utf-8"))["frame_of_reference"] == "FRAME"


def test_a_low_dose_ct_warns_of_nothing(staging):
    """Its slices may be as thick as they are: nothing is measured on it."""
    usual = run(IMPORT_CT, staging, CT_SELECTION)
    record = run(IMPORT_LOW_DOSE_CT, staging, LOW_DOSE_CT_SELECTION)
    assert record.state == State.OK
    assert read_nifti(staging / "low_dose_ct" / "ct.nii.gz").array.shape == (24, 20, 8)
    assert len(record.facts["remarks"]) == len(usual.reasons)


@pytest.mark.parametrize(
    ("stage", "name", "code"), [(IMPORT_CT, CT_SELECTION, "ct.none"), (IMPORT_PET, PET_SELECTION, "pet.none")]
)
def test_no_selected_series_is_refused(stage, name, code, staging):
    write_json(staging / name, {"series": None})
    record = run(stage, staging, name, CORRECTIONS)
    assert [reason["code"] for reason in record.reasons] == [code]


def test_a_missing_weight_is_refused_until_a_person_gives_it(staging):
    refused = run_pet(staging)
    assert [reason["code"] for reason in refused.reasons] == ["pet.weight_missing"]
    assert not (staging / "pet" / "suv.nii.gz").exists()

    correct(staging, PatientWeight="70")
    given = run_pet(staging)
    assert given.state == State.WARNED
    assert [reason["code"] for reason in given.reasons] == ["pet.corrected"]
    assert read_nifti(staging / "pet" / "suv.nii.gz").array.dtype == np.float32
    content = json.loads((staging / "pet" / "pet.json").read_text("utf-8"))
    assert content["kind"] == "SUVbw"
    assert content["tracer"] == "DOTATOC"
    assert content["corrections"] == [{"tag": "PatientWeight", "value": "70", "reason": "from the chart"}]


def test_a_correction_of_an_unknown_tag_is_refused(staging):
    correct(staging, PatientWieght="70")
    assert [reason["code"] for reason in run_pet(staging).reasons] == ["pet.correction_unknown"]


def test_no_identifier_and_no_date_of_the_header_stands_in_a_result(staging):
    correct(staging, PatientWeight="70")
    run(IMPORT_CT, staging, CT_SELECTION)
    run_pet(staging)
    written = b"".join(
        path.read_bytes() for part in ("ct", "pet") for path in (staging / part).iterdir() if path.suffix == ".json"
    )
    for planted in (b"4711", b"Jones", b"Ann", b"1951", b"20200115", b"1.2.826"):
        assert planted not in written


def test_pydicom_says_nothing_of_odd_values_in_the_log(staging, caplog, recwarn):
    for file in (staging.parents[4] / "study").iterdir():
        image = pydicom.dcmread(file)
        image.add(DataElement("Manufacturer", "LO", 20 * "Jones", validation_mode=IGNORE))
        image.save_as(file)
    recwarn.clear()
    caplog.clear()
    run(IMPORT_CT, staging, CT_SELECTION)
    run_pet(staging)
    assert not recwarn.list
    assert not caplog.text


def test_a_file_that_left_the_study_is_an_error_that_does_not_name_it(staging):
    study = staging.parents[4] / "study"
    study.rename(study.with_name("elsewhere"))
    study.mkdir()
    with pytest.raises(FileNotFoundError, match="cannot be read") as caught:
        run(IMPORT_CT, staging, CT_SELECTION)
    assert str(study) not in "".join(traceback.format_exception(caught.value))  # as a log would show it
