"""A diagnostic CT, and a PET of another day and another frame of reference with its own low-dose CT: from DICOM to SUV.

The true masks stand for the network's.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from scipy.spatial.transform import Rotation

from nen_imaging.config import Config
from nen_imaging.contract import CORRECTIONS, CT_SELECTION, LOW_DOSE_CT_SELECTION, PET_SELECTION, READER, Results
from nen_imaging.dicom.index import index_study
from nen_imaging.dicom.stages import IMPORT_CT, IMPORT_LOW_DOSE_CT, IMPORT_PET
from nen_imaging.measurement.stages import MEASURE, UPTAKE
from nen_imaging.phantom.anatomy import digital_patient
from nen_imaging.phantom.dicom_writer import write_ct_series, write_pet_series
from nen_imaging.phantom.scanner import CtScanner
from nen_imaging.phantom.staging import Staging, staging
from nen_imaging.phantom.tissue import Phase
from nen_imaging.stage import Context, Outcome, Stage, StageRecord, run_stage, write_json
from nen_imaging.tables import read_table
from nen_imaging.volume import FloatArray, Volume, write_nifti
from nen_imaging.workflow import SECTIONS, Plan

DAY, PET_DAY = dt.date(2020, 1, 15), dt.date(2020, 1, 20)
LOW_DOSE = CtScanner(fwhm_mm=2.0, noise_hu=25.0, slice_thickness_mm=8.0)


@pytest.fixture(scope="module")
def truth() -> Staging:
    anatomy = digital_patient(6, 4.0, size_mm=(384.0, 320.0, 248.0), lowest_mm=-180.0)
    return staging(anatomy, 20, 1, with_pet=True)


def on_another_table(truth: Staging) -> FloatArray:
    """12 mm and 4 degrees at the liver, and heights that count from elsewhere."""
    index = np.argwhere(truth.labels.array).mean(axis=0)
    centre = truth.labels.affine[:3, :3] @ index + truth.labels.affine[:3, 3]
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", (2.6, -2.2, 2.1), degrees=True).as_matrix()
    matrix[:3, 3] = centre - matrix[:3, :3] @ centre + (7, -8, 485.5)
    return matrix


@pytest.fixture(scope="module")
def study(truth: Staging, tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = tmp_path_factory.mktemp("another frame") / "study"
    matrix = on_another_table(truth)
    anatomy = digital_patient(6, 4.0, size_mm=(384.0, 320.0, 248.0), lowest_mm=-180.0)
    low_dose = staging(anatomy, 20, 1, Phase.NATIVE, scanner=LOW_DOSE).ct
    assert truth.suv is not None
    write_ct_series(study / "CT", truth.ct.oriented("LPS"), date=DAY)
    for write, folder, volume, number in (
        (write_ct_series, "low dose", low_dose, 5), (write_pet_series, "PET", truth.suv, 6),
    ):  # fmt: skip
        moved = Volume(volume.array, matrix @ volume.affine).oriented("LPS")
        text = {"series_description": folder, "series_number": number}
        write(study / folder, moved, date=PET_DAY, seed=1, **text)
    return study


def run(stage: Stage, folder: Path, target: str, *inputs: str) -> StageRecord:
    section = SECTIONS.get(stage.name, stage.name)
    options = Config().options_of(section) if section in Config.model_fields else {}
    context = Context(folder.parents[3], folder)
    return run_stage(stage, folder / target, tuple(folder / name for name in inputs), options, context)


def true_masks(truth: Staging) -> Stage:
    def write(call):
        write_nifti(call.folder / "liver.nii.gz", truth.labels.oriented("LPS"))
        lesion = truth.labels.with_array(np.where(truth.labels.array == 2, 230, 5).astype(np.uint8))
        write_nifti(call.folder / "probability.nii.gz", lesion.oriented("LPS"))
        write_json(call.folder / "uncertainty.json", {"member_loads_percent": [20.0], "flags": []})
        return Outcome()

    return Stage("segment", 1, write)


def test_the_pet_is_brought_onto_the_ct_through_its_own(truth, study, tmp_path):
    results = Results(tmp_path / "results")
    options = Config().options_of("staging") | Config().options_of("selection")
    index_study(study, results, options=options, key=bytes(32))
    (row,) = read_table(results.stagings_table)
    folder = results.staging(row["patient"], row["staging"])
    assert row["staging"] == f"{DAY}"
    write_json(folder / CORRECTIONS, {"corrections": []})
    write_json(folder / READER, {"mask": None, "lesions": [], "voi": []})

    run(IMPORT_CT, folder, "ct", CT_SELECTION)
    run(IMPORT_LOW_DOSE_CT, folder, "low_dose_ct", LOW_DOSE_CT_SELECTION)
    run(IMPORT_PET, folder, "pet", PET_SELECTION, CORRECTIONS)
    run(true_masks(truth), folder, "segment", "ct")
    run(MEASURE, folder, "measure", "ct", "segment", READER)
    record = run(UPTAKE, folder, "uptake", "low_dose_ct", "ct", "pet", "measure", READER)

    assert [reason["code"] for reason in record.reasons] == ["pet.aligned"]
    organs = json.loads((folder / "uptake" / "organs.json").read_text("utf-8"))
    assert organs["shift"]["method"].startswith("rigid, low-dose CT to CT")
    assert [organs["shift"][f"{axis}_mm"] for axis in "xyz"] == pytest.approx([-7, 8, 485.5], abs=2)
    assert organs["shift"]["rotation_degrees"] == pytest.approx(4, abs=1)
    assert organs["spleen"]["suv_mean"] > organs["liver"]["suv_mean"] > organs["blood_pool"]["suv_mean"]
    table = read_table(folder / "uptake" / "uptake.csv")
    assert [float(row["pet_shift_mm"]) for row in table] == pytest.approx(
        [organs["shift"]["length_mm"]] * len(table), abs=0.01
    )
    assert {row["status"] for row in table} & {"positive", "negative", "iso"}
    uid = pydicom.dcmread(next((study / "PET").iterdir())).FrameOfReferenceUID
    assert not [path for path in results.root.rglob("*") if path.is_file() and uid.encode() in path.read_bytes()]


def test_only_stagings_with_one_have_the_job(truth, study, tmp_path, monkeypatch):
    """The workflow plans it from stagings.csv."""
    write_ct_series(study / "later", truth.ct.oriented("LPS"), date=dt.date(2021, 1, 15), series_number=7)
    monkeypatch.setenv("NEN_IMAGING_KEY_FILE", str(tmp_path / "key"))
    plan = Plan.prepare({"study": study, "results": tmp_path / "results"}, main_process=True)
    first, second = plan.stagings
    assert (first.has_low_dose_ct, second.has_low_dose_ct) == (True, False)
    (folder,) = plan.low_dose_ct(first.patient, first.staging)
    assert folder.endswith("2020-01-15/low_dose_ct")
    assert plan.low_dose_ct(second.patient, second.staging) == []
    assert plan.options("import_low_dose_ct") == plan.options("import_ct")
