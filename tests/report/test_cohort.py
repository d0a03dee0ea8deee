from __future__ import annotations

import pytest

from nen_imaging.contract import (
    COHORT_COLUMNS,
    FAILURES_COLUMNS,
    REVIEW_COLUMNS,
    TIMELINE,
    Reason,
    Results,
)
from nen_imaging.report.cohort import CohortSummary, build_cohort
from nen_imaging.report.stages import REPORT
from nen_imaging.report.summary import MOST_PATIENTS_SHOWN, aligned, summarize
from nen_imaging.stage import Context, run_stage, write_json
from nen_imaging.tables import read_table
from tests.report.fake_results import (
    OPTIONS,
    PATIENT,
    refuse_staging,
    report_inputs,
    timeline,
    write_follow,
    write_founding_case,
    write_index,
    write_stage,
    write_staging,
)

MISSING = Reason("slices.missing", "Slices 13-78 are missing (82 mm gap).")
TRUNCATED = Reason("liver.truncated", "The liver touches the lowest slice.")


def write_report(results: Results) -> None:
    folder = results.stage_folder("report", PATIENT)
    run_stage(REPORT, folder, report_inputs(results), OPTIONS, Context(results.root, results.root))


@pytest.fixture
def results(tmp_path) -> Results:
    """Three stagings: measured, warned, refused."""
    results = Results(tmp_path)
    write_staging(results, "2016-07-14", 50.0)
    write_staging(results, "2016-11-10", 60.0, reasons=(TRUNCATED,))
    refuse_staging(results, "2017-05-16", MISSING)
    write_follow(results)
    write_json(results.patient(PATIENT) / TIMELINE, timeline())
    write_index(results, {name: {} for name in ("2016-07-14", "2016-11-10", "2017-05-16")})
    write_report(results)
    return results


def rows_of(results: Results, name: str) -> list[dict[str, str]]:
    return read_table(results.cohort / f"{name}.csv")


def test_founding_case_is_all_measured(tmp_path):
    results = write_founding_case(tmp_path)
    write_report(results)
    assert build_cohort(results) == CohortSummary(measured=9, refused=0, failed=0)
    assert [row["ssr_status"] for row in rows_of(results, "cohort")] == ["negative", *[""] * 8]
    assert summarize(results).text.startswith(PATIENT)


def test_columns_are_those_of_the_contract(results):
    build_cohort(results)
    columns = {"cohort": COHORT_COLUMNS, "review": REVIEW_COLUMNS, "failures": FAILURES_COLUMNS}
    for name, expected in columns.items():
        header = (results.cohort / f"{name}.csv").read_text("utf-8").splitlines()[0]
        assert header == ",".join(expected)


def test_refused_is_listed_once_where_it_arose_and_warned_goes_to_review(results):
    assert build_cohort(results) == CohortSummary(measured=2, refused=1, failed=0)
    (failure,) = rows_of(results, "failures")
    assert (failure["staging"], failure["stage"], failure["code"]) == ("2017-05-16", "import_ct", "slices.missing")
    assert failure["remedy"] == MISSING.remedy
    (review,) = rows_of(results, "review")
    assert review["code"] == "liver.truncated"
    assert (results.root / review["look_at"]).name == "qc.png" and (results.root / review["look_at"]).is_file()
    assert [row["state"] for row in rows_of(results, "cohort")] == ["ok", "warned", "refused"]


def test_a_reader_overrides_in_the_cohort_as_in_the_table(results):
    reading = {"staging": "2016-11-10", "reading": "response", "value": "SD", "reason": "read side by side"}
    write_json(results.patient(PATIENT) / TIMELINE, timeline() | {"readings": [reading]})
    write_report(results)
    build_cohort(results)
    assert [row["response"] for row in rows_of(results, "cohort") if row["staging"] == "2016-11-10"] == ["SD"]


def test_a_readers_response_stands_in_the_cohort_also_where_nothing_was_measured(results):
    reading = {"staging": "2017-05-16", "reading": "response", "value": "PD", "reason": "seen on MRI"}
    write_json(results.patient(PATIENT) / TIMELINE, timeline() | {"readings": [reading]})
    write_report(results)
    build_cohort(results)
    assert [row["response"] for row in rows_of(results, "cohort") if row["staging"] == "2017-05-16"] == ["PD"]


def test_gone_stagings_are_left_out(results):
    write_index(results, {"2016-07-14": {}, "2016-11-10": {"state": "gone"}, "2017-05-16": {"state": "gone"}})
    assert build_cohort(results) == CohortSummary(measured=1, refused=0, failed=0)
    assert [row["staging"] for row in rows_of(results, "cohort")] == ["2016-07-14"]
    assert not rows_of(results, "review") and not rows_of(results, "failures")


def test_a_failed_stage_is_told_with_its_error_and_never_as_measured(results):
    from nen_imaging.stage import remove_folder

    remove_folder(results.stage_folder("measure", PATIENT, "2016-07-14"))
    record = {"stage": "measure", "patient": PATIENT, "staging": "2016-07-14", "error": "MemoryError: 3 GB"}
    write_json(results.error_record("measure", PATIENT, "2016-07-14"), record | {"remedy": "Give it more memory."})
    assert build_cohort(results) == CohortSummary(measured=1, refused=1, failed=1)
    failed = [row for row in rows_of(results, "failures") if row["state"] == "failed"]
    assert [(row["stage"], row["text"], row["remedy"]) for row in failed] == [
        ("measure", "MemoryError: 3 GB", "Give it more memory.")
    ]


def test_what_never_ran_counts_as_failed(results):
    from nen_imaging.stage import remove_folder

    remove_folder(results.stage_folder("report", PATIENT))
    assert build_cohort(results) == CohortSummary(measured=2, refused=1, failed=0, unreported=1)
    summary = summarize(results)
    assert "no report yet" in summary.text
    assert "2 stagings measured, 1 refused, 0 failed; patients whose report failed: 1." in summary.text
    assert summary.failed == 1


def test_a_job_that_was_killed_is_told_beside_another_stagings_failure(results):
    from nen_imaging.stage import remove_folder

    for staging in ("2016-07-14", "2016-11-10"):
        remove_folder(results.stage_folder("measure", PATIENT, staging))
    write_json(results.error_record("measure", PATIENT, "2016-07-14"), {"error": "MemoryError: 3 GB"})
    assert build_cohort(results).failed == 2
    failed = [row["staging"] for row in rows_of(results, "failures") if row["state"] == "failed"]
    assert failed == ["2016-07-14", "2016-11-10"]


@pytest.mark.parametrize("state", ["refused", "failed"])
def test_a_staging_whose_pet_gives_nothing_counts_as_measured_without_uptake(tmp_path, state):
    results = Results(tmp_path)
    write_staging(results, "2016-07-14", 50.0)
    if state == "refused":
        for stage in ("import_pet", "uptake"):
            reason = Reason("pet.weight_missing", "PatientWeight is missing.")
            write_stage(results.stage_folder(stage, PATIENT, "2016-07-14"), stage, reasons=(reason,))
    else:
        write_json(results.error_record("import_pet", PATIENT, "2016-07-14"), {"error": "MemoryError: 3 GB"})
    write_follow(results)
    write_json(results.patient(PATIENT) / TIMELINE, timeline())
    write_index(results, {"2016-07-14": {"has_pet": "yes"}})
    write_report(results)
    assert build_cohort(results) == CohortSummary(measured=1, refused=0, failed=0, without_uptake=1)
    assert [row["ssr_status"] for row in rows_of(results, "cohort")] == ["NE"]
    told = "1 staging measured, 0 refused, 0 failed; measured without SSR uptake, the PET refused or failed: 1"
    assert told in (results.cohort / "cohort.html").read_text("utf-8")
    summary = summarize(results)
    assert f"{told}." in summary.text
    assert (summary.measured, summary.refused, summary.failed) == (1, state == "refused", state == "failed")


def test_broken_error_record_is_told(results):
    path = results.error_record("report", PATIENT)
    path.parent.mkdir(parents=True)
    path.write_text("{", "utf-8")
    assert build_cohort(results).unreported == 1


def test_error_records_of_others_do_not_count(results):
    write_json(results.error_record("measure", "PZZZZZZZZZZ", "2016-07-14"), {"error": "x"})
    assert build_cohort(results).failed == 0


def test_no_temporary_file_remains(results):
    build_cohort(results)
    build_cohort(results)
    names = {path.name for path in results.cohort.iterdir()}
    assert names == {"cohort.csv", "cohort.html", "review.csv", "failures.csv"}


def test_an_empty_results_folder_gives_empty_tables(tmp_path):
    assert build_cohort(Results(tmp_path)) == CohortSummary(0, 0, 0)
    assert summarize(Results(tmp_path)).text == "0 stagings measured, 0 refused, 0 failed."


def test_summary_names_table_counts_and_reasons(results):
    summary = summarize(results)
    assert (summary.measured, summary.refused, summary.failed) == (2, 1, 0)
    assert "2 stagings measured, 1 refused, 0 failed." in summary.text
    assert "slices.missing: Slices 13-78 are missing (82 mm gap). Fetch the series again" in summary.text
    assert "\x1b" not in summary.text


def test_summary_of_many_patients_stays_short(tmp_path):
    results = Results(tmp_path)
    rows = []
    for number in range(MOST_PATIENTS_SHOWN + 5):
        patient = f"P{number:010d}"
        write_stage(results.stage_folder("import_ct", patient, "2016-07-14"), "import_ct", reasons=(MISSING,))
        rows.append(patient)
    from nen_imaging.contract import STAGINGS_COLUMNS
    from nen_imaging.tables import write_table

    table = [
        dict.fromkeys(STAGINGS_COLUMNS, "") | {"patient": p, "staging": "2016-07-14", "state": "active"} for p in rows
    ]
    write_table(results.stagings_table, STAGINGS_COLUMNS, table)
    assert "and 5 more patients" in summarize(results).text


def test_aligned_text_is_plain():
    lines = aligned(("Date", "Staging"), [("2016", "[bold]not markup[/bold]"), ("2016-07-14", "x")])
    assert lines[1].index("[bold]not markup[/bold]") == lines[2].index("x")
