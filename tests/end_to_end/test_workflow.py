"""The requirements of a run on a small study, seen from outside: both entry points, files on disk, exit codes."""

from __future__ import annotations

import csv
import datetime as dt
import json
import shutil
import signal
import stat
import subprocess
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from tests.end_to_end.driver import Case, Finished
from tests.end_to_end.study import SmallStudy, write_small_study
from tests.leaks import leaks
from tests.planted import PLANTED

LOAD_TOLERANCE_POINTS = 6.0
STAGING_FOLDERS = {
    "ct": {"ct.nii.gz"},
    "segment": {"liver.nii.gz", "probability.nii.gz", "qc.png"},
    "measure": {"load.json", "lesions.csv", "instances.nii.gz"},
}
FIRST, SECOND = dt.date(2019, 3, 4), dt.date(2021, 1, 12)


@pytest.fixture(scope="module")
def small_study(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    return write_small_study(tmp_path_factory.mktemp("small study") / "case")


@pytest.fixture(scope="module")
def measured(small_study: SmallStudy, tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Finished]:
    """The small study after its first run; tests work on copies."""
    case = Case.at(small_study.study.parent, tmp_path_factory.mktemp("home"))
    return case, case.run()


@pytest.fixture
def case(measured: tuple[Case, Finished], tmp_path: Path) -> Case:
    return measured[0].copied(tmp_path / "copy of the study")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def who(case: Case) -> dict[str, str]:
    """Staging name -> patient; the names of the small study's stagings are all different."""
    return {row["staging"]: row["patient"] for row in rows(case.results / "index" / "stagings.csv")}


def is_near(load_percent: float, true_percent: float) -> bool:
    return abs(load_percent - true_percent) <= LOAD_TOLERANCE_POINTS


def files_of(case: Case, date: dt.date, modality: str = "CT") -> list[Path]:
    found = []
    for path in sorted(case.study.rglob("*")):
        if path.is_file():
            try:
                header = pydicom.dcmread(path, stop_before_pixels=True)
            except pydicom.errors.InvalidDicomError:
                continue
            if (header.Modality, header.StudyDate) == (modality, f"{date:%Y%m%d}"):
                found.append(path)
    return found


def test_first_run_measures_every_staging_and_prints_the_tables(measured: tuple[Case, Finished]) -> None:
    case, first = measured
    assert first.code == 0, first.text
    per_staging = Counter(import_ct=5, import_pet=1, segment=5, measure=5, uptake=1, follow=2, report=2)
    assert first.jobs == per_staging
    assert "5 stagings measured, 0 refused, 0 failed" in first.text
    assert all(date in first.text for date in ("2019-03", "2020-03", "2021-07"))
    assert "octreotide" in first.text.lower()
    for staging, patient in who(case).items():
        for folder, files in STAGING_FOLDERS.items():
            found = {path.name for path in (case.staging(patient, staging) / folder).iterdir()}
            assert files | {"stage.json"} <= found
    assert (case.staging(who(case)["2019-03-04"], "2019-03-04") / "uptake" / "uptake.csv").is_file()
    assert {path.name for path in (case.results / "cohort").iterdir()} >= {"cohort.csv", "cohort.html", "failures.csv"}


def test_loads_are_those_that_were_painted(measured: tuple[Case, Finished], small_study: SmallStudy) -> None:
    case, _ = measured
    for (_, date), staging in small_study.stagings.items():
        load = json.loads((case.staging(who(case)[f"{date}"], f"{date}") / "measure" / "load.json").read_text("utf-8"))
        labels = staging.labels.array
        true_percent = 100 * np.count_nonzero(labels == 2) / np.count_nonzero(labels)
        assert is_near(load["load_percent"], true_percent), (date, load["load_percent"], true_percent)


def test_random_weights_give_wrong_loads(small_study: SmallStudy, tmp_path: Path) -> None:
    """So the loads above come from what the network has learned, and from nothing else."""
    from nen_imaging.segmentation.segment import segment_volume
    from nen_imaging.training.export import random_bundle

    bundle = random_bundle(tmp_path / "models" / "random", seed=1)
    wrong = 0
    for staging in small_study.stagings.values():
        labels = staging.labels.array
        true_percent = 100 * np.count_nonzero(labels == 2) / np.count_nonzero(labels)
        found = segment_volume(staging.ct, bundle, device="cpu").labels.array
        liver = np.count_nonzero(found)
        load = 100 * np.count_nonzero(found == 2) / liver if liver else float("nan")
        wrong += not is_near(load, true_percent)
    assert wrong >= 4


def test_second_run_does_nothing_and_says_the_same(case: Case) -> None:
    index = {path: path.read_bytes() for path in (case.results / "index").glob("*.csv")}
    again = case.run()
    assert (again.code, again.jobs) == (0, Counter())
    assert "5 stagings measured" in again.text
    native = case.snakemake()
    assert (native.code, native.jobs) == (0, Counter()), native.text
    assert {path: path.read_bytes() for path in (case.results / "index").glob("*.csv")} == index


def test_moved_study_and_other_directory_rerun_nothing(case: Case, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "Übersicht"
    elsewhere.parent.mkdir()
    case.study.rename(elsewhere)
    again = replace(case, study=elsewhere, cwd=tmp_path).run()
    assert (again.code, again.jobs) == (0, Counter()), again.text


def test_a_new_staging_makes_its_own_jobs_and_its_patients_follow_up(case: Case) -> None:
    new_folder = case.study / "CD 3"
    new_folder.mkdir()
    for number, path in enumerate(files_of(case, dt.date(2021, 7, 20))):
        dataset = pydicom.dcmread(path)
        for tag in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
            setattr(dataset, tag, "20220118")
        for tag in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
            setattr(dataset, tag, dataset[tag].value[:-3] + "777")
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number + 1}"
        dataset.save_as(new_folder / f"{number}")
    again = case.run()
    assert again.jobs == Counter(import_ct=1, segment=1, measure=1, follow=1, report=1), again.text
    assert again.code == 0
    assert "6 stagings measured" in again.text


def test_corrected_weight_reaches_the_pet_alone(case: Case) -> None:
    before = _suv_max(case)
    text = "patient,staging,tag,value,reason\nZQID-4711,2019-03-04,PatientWeight,163,weighed again\n"
    (case.timeline / "corrections.csv").write_text(text, "utf-8")
    again = case.run()
    assert again.jobs == Counter(import_pet=1, uptake=1, report=1), again.text
    assert _suv_max(case) == pytest.approx(2 * before, rel=1e-3)


def _suv_max(case: Case) -> float:
    staging = case.staging(who(case)["2019-03-04"], "2019-03-04")
    return max(float(row["suv_max"]) for row in rows(staging / "uptake" / "uptake.csv") if row["suv_max"])


def test_edited_therapy_redoes_one_report(case: Case) -> None:
    file = case.timeline / "therapies.csv"
    file.write_text(file.read_text("utf-8").replace("everolimus", "sunitinib"), "utf-8")
    again = case.run()
    assert again.jobs == Counter(report=1), again.text
    assert "sunitinib" in again.text.lower()
    assert "everolimus" not in again.text.lower()


def test_raised_stage_version_redoes_it_and_those_below_from_any_directory(case: Case, tmp_path: Path) -> None:
    patch = tmp_path / "patch"
    patch.mkdir()
    (patch / "sitecustomize.py").write_text(
        "from dataclasses import replace\n"
        "import nen_imaging.measurement.stages as stages\n"
        "stages.MEASURE = replace(stages.MEASURE, version=stages.MEASURE.version + 1)\n",
        "utf-8",
    )
    raised = replace(case, environment={**case.environment, "PYTHONPATH": str(patch)}, cwd=tmp_path)
    again = raised.run()
    assert again.jobs == Counter(measure=5, uptake=1, follow=2, report=2), again.text


def test_broken_study_is_refused_by_name_and_the_others_finish(case: Case) -> None:
    files_of(case, SECOND)[30].unlink()
    broken = case.run()
    assert broken.code == 3, broken.text
    assert broken.jobs == Counter(import_ct=1, segment=1, measure=1, follow=1, report=1)
    assert "4 stagings measured, 1 refused, 0 failed" in broken.text
    assert "slices.missing" in broken.text
    assert "Fetch the series again" in broken.text
    failures = rows(case.results / "cohort" / "failures.csv")
    assert [(row["staging"], row["code"]) for row in failures] == [(f"{SECOND}", "slices.missing")]
    second = case.run()
    assert (second.code, second.jobs) == (3, Counter())
    assert "slices.missing" in second.text
    for folder in case.results.glob("patients/*/report"):
        shutil.rmtree(folder)
    native = case.snakemake()
    assert native.code == 0
    assert "slices.missing" in native.text
    assert case.snakemake().jobs == Counter()


def test_killed_run_leaves_nothing_that_a_later_run_trusts(case: Case) -> None:
    for staging in ("2021-01-12", "2021-07-20"):  # one for each core
        shutil.rmtree(case.staging(who(case)[staging], staging) / "segment")
    running = case.start()
    deadline = time.monotonic() + 120
    while not list(case.results.glob("patients/*/stagings/*/segment.tmp")):
        assert time.monotonic() < deadline, "no segmentation was started"
        time.sleep(0.1)
    for process in _descendants(running.pid):
        if "nen_imaging" not in process[1] or " stage " not in process[1]:  # the stages survive
            subprocess.run(["kill", "-9", str(process[0])], check=False)
    running.send_signal(signal.SIGKILL)
    running.wait()
    again = case.run()
    assert again.code == 0, again.text
    assert "5 stagings measured, 0 refused, 0 failed" in again.text
    assert not list(case.results.glob("patients/**/*.tmp"))
    last = case.run()
    assert (last.code, last.jobs) == (0, Counter()), last.text


def _descendants(pid: int) -> list[tuple[int, str]]:
    listing = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    table = [line.split(None, 2) for line in listing.splitlines()[1:]]
    found: list[tuple[int, str]] = []
    parents = {pid}
    while parents:
        children = [(int(row[0]), row[2]) for row in table if int(row[1]) in parents]
        found += children
        parents = {child for child, _ in children}
    return found


def test_a_result_that_was_tampered_with_is_made_again(case: Case) -> None:
    load = case.staging(who(case)["2021-07-20"], "2021-07-20") / "measure" / "load.json"
    load.write_text(load.read_text("utf-8").replace('"load_percent"', '"lod_percent"'), "utf-8")
    again = case.run()
    assert again.jobs == Counter(measure=1, follow=1, report=1), again.text
    assert "load_percent" in json.loads(load.read_text("utf-8"))


def test_no_identifier_is_found_in_any_result(measured: tuple[Case, Finished], small_study: SmallStudy) -> None:
    case, first = measured
    assert not leaks(case.results, [*small_study.planted, *PLANTED], leave_out=["files.sqlite"])
    words = [word.encode() for word in small_study.planted]
    assert not [word for word in words if word.lower() in first.text.encode().lower()]
    database = case.results / "index" / "files.sqlite"  # holds paths relative to the study, and nothing else of these
    assert stat.S_IMODE(database.stat().st_mode) == 0o600
    in_paths = {word for word in words if any(word in str(path).encode() for path in case.study.rglob("*"))}
    assert not [word for word in words if word not in in_paths and word in database.read_bytes()]
