from __future__ import annotations

import csv

import pytest

from nen_imaging.contract import RESPONSE_COLUMNS, STAGING_TABLE_COLUMNS, TIMELINE, Reason, Results, State
from nen_imaging.report.stages import REPORT
from nen_imaging.stage import Context, StageRecord, run_stage, write_json
from tests.report.fake_results import (
    LOADS,
    OPTIONS,
    PATIENT,
    PET,
    refuse_staging,
    report_inputs,
    timeline,
    write_founding_case,
    write_stage,
)

FILES = {"staging.csv", "staging.html", "response.csv", "course.svg", "report.html"}


def run(results: Results, inputs=None, **options) -> StageRecord:
    context = Context(results.root, results.root)
    folder = results.stage_folder("report", PATIENT)
    return run_stage(REPORT, folder, inputs or report_inputs(results), OPTIONS | options, context)


def table(results: Results, name: str) -> list[dict[str, str]]:
    with (results.stage_folder("report", PATIENT) / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_writes_its_files_with_the_columns_of_the_contract(tmp_path):
    results = write_founding_case(tmp_path)
    record = run(results)
    assert record.state == State.OK and set(record.written) == FILES
    assert tuple(table(results, "staging.csv")[0]) == STAGING_TABLE_COLUMNS
    folder = results.stage_folder("report", PATIENT)
    assert (folder / "response.csv").read_text("utf-8").splitlines()[0] == ",".join(RESPONSE_COLUMNS)


def test_a_second_run_writes_the_same_bytes(tmp_path):
    results = write_founding_case(tmp_path)
    assert run(results).written == run(results).written


def test_a_refused_staging_is_shown_and_the_others_stay(tmp_path):
    results = write_founding_case(tmp_path)
    refuse_staging(results, "2018-02-13", Reason("slices.missing", "Slices 13-78 are missing."))
    for stage in ("import_ct", "segment", "measure"):
        folder = results.stage_folder(stage, PATIENT, "2018-02-13")
        for path in folder.iterdir():
            path.unlink()
    refuse_staging(results, "2018-02-13", Reason("slices.missing", "Slices 13-78 are missing."))
    assert run(results).facts == {"stagings": 9, "measured": 8}
    (row,) = [row for row in table(results, "staging.csv") if row["date"] == "02/2018"]
    assert (row["load_percent"], row["response"], row["response_basis"]) == ("", "NE", "slices.missing")
    page = (results.stage_folder("report", PATIENT) / "report.html").read_text("utf-8")
    assert "Slices 13-78 are missing." in page and "Fetch the series again" in page


def test_everything_refused_still_gives_a_report(tmp_path):
    results = Results(tmp_path)
    reason = Reason("liver.absent", "No liver was found.")
    refuse_staging(results, "2016-07-14", reason)
    write_stage(results.stage_folder("follow", PATIENT), "follow", reasons=(reason,))
    write_json(results.patient(PATIENT) / TIMELINE, {"patient": PATIENT})
    assert run(results).state == State.OK
    assert [row["response"] for row in table(results, "staging.csv")] == ["NE"]


def test_days_and_months(tmp_path):
    results = write_founding_case(tmp_path)
    run(results, date_format="day")
    assert table(results, "staging.csv")[-1]["date"] == "2019-09-10"
    run(results, date_format="month")
    assert table(results, "staging.csv")[-1]["date"] == "09/2019"


@pytest.mark.parametrize("criterion", ["load", "hepatic RECIST", "volumetric"])
def test_each_criterion_of_the_config_gives_a_table(tmp_path, criterion):
    results = write_founding_case(tmp_path)
    run(results, criterion=criterion)
    assert len(table(results, "staging.csv")) == len(LOADS) + 3


def test_without_timeline_and_follow_up_the_loads_remain(tmp_path):
    results = write_founding_case(tmp_path)
    write_json(results.patient(PATIENT) / TIMELINE, timeline() | {"therapies": [], "markers": [], "findings": []})
    run(results)
    assert [float(row["load_percent"]) for row in table(results, "staging.csv")] == list(LOADS.values())


def test_every_value_behind_an_suv_stands_in_the_report(tmp_path):
    results = write_founding_case(tmp_path)
    run(results)
    page = (results.stage_folder("report", PATIENT) / "report.html").read_text("utf-8")
    for value in PET["values"]:
        assert value["tag"] in page and value["source"] in page


def test_a_readers_volume_stands_in_table_and_report_and_candidates_in_the_report_alone(tmp_path):
    results = write_founding_case(tmp_path)
    run(results)
    folder = results.stage_folder("report", PATIENT)
    primary = "Ileal primary SSR-positive (SUVmax 24.1, modified Krenning 4)."
    assert [primary in row["staging"] for row in table(results, "staging.csv")].count(True) == 1
    assert primary in (folder / "staging.html").read_text("utf-8")
    page = (folder / "report.html").read_text("utf-8")
    assert primary in page and "outside the liver" in page
    assert "candidates for a reader" in page and "counted nowhere" in page
