"""What the Snakefile asks of the package, asked by Snakemake itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nen_imaging import workflow
from nen_imaging.contract import STAGINGS_COLUMNS, Reason, Results
from nen_imaging.report.cohort import build_cohort
from nen_imaging.stage import remove_folder, write_json
from nen_imaging.tables import write_table
from nen_imaging.workflow import Plan
from tests.report.fake_results import refuse_staging, write_follow, write_stage, write_staging


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [((), False), (("-np",), True), (("--touch",), True), (("--rulegraph=dot",), True), (("--forceall",), False)],
)
def test_only_a_call_that_makes_results_may_remove_stale_ones(tmp_path, arguments, expected):
    snakefile = tmp_path / "Snakefile"
    lines = (
        "from pathlib import Path", "from nen_imaging.workflow import dry_run",
        "Path('told').write_text(str(dry_run(workflow)))", "rule all:",
    )  # fmt: skip
    snakefile.write_text("\n".join(lines) + "\n", "utf-8")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--cores", "1", *arguments]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "told").read_text("utf-8") == str(expected)


DAY = "2016-07-14"


def write_stagings_table(results: Results, *patients: str) -> None:
    rows = [{"patient": patient, "staging": DAY, "state": "active", "has_pet": "no"} for patient in patients]
    write_table(results.stagings_table, STAGINGS_COLUMNS, rows)


@pytest.fixture
def results(tmp_path) -> Results:
    """One patient each that was measured, refused, failed with a record, and whose job was killed."""
    results = Results(tmp_path)
    for patient in ("MEASURED", "REFUSED", "FAILED", "KILLED"):
        write_staging(results, DAY, 50.0, patient=patient)
        write_follow(results, patient)
        write_stage(results.stage_folder("report", patient), "report")
    refuse_staging(results, DAY, Reason("slices.missing", "A gap of 82 mm."), patient="REFUSED")
    write_json(results.error_record("segment", "FAILED", DAY), {"error": "OSError: disk full"})
    remove_folder(results.stage_folder("segment", "KILLED", DAY))
    write_stagings_table(results, "MEASURED", "REFUSED", "FAILED", "KILLED")
    return results


@pytest.mark.parametrize("cohort_is_of", ["the last run", "no run, since that was killed as well"])
def test_only_failed_takes_what_failed_and_what_was_killed_but_no_new_patient(results, monkeypatch, cohort_is_of):
    monkeypatch.setenv("NEN_IMAGING_DEVICE", "auto")
    monkeypatch.setattr(
        workflow, "_index", lambda *_: write_stagings_table(results, "MEASURED", "REFUSED", "FAILED", "KILLED", "NEW")
    )
    if cohort_is_of == "the last run":
        build_cohort(results)
    settings = {"study": "/study", "results": str(results.root), "only": "failed"}
    of_run = Plan.prepare(settings, main_process=True, dry_run=True)
    assert of_run.patients == ("FAILED", "KILLED")
    results.error_record("segment", "FAILED", DAY).unlink()  # as the job does that now succeeds
    assert Plan.prepare(settings, main_process=False).patients == of_run.patients
