"""The staging table of the founding case, against Table 1 of the paper (Medicine 2020;99:25, e20820)."""

from __future__ import annotations

import csv

import pytest

from nen_imaging.contract import Reason, Results
from nen_imaging.report.response import shown_responses, with_reader
from nen_imaging.report.staging import StagingResult, read_staging
from nen_imaging.report.table import build_table
from tests.report.fake_results import LOADS, timeline, write_founding_case, write_staging

# year, date, whether a therapy stands there, what the staging says: the rows of the paper in its order
PRINTED = [
    ("2016", "07/2016", False, ["50 %", "SSR-negative"]),
    ("2016", "08/2016-11/2016", True, ["Hepatic progressive disease.", "60 %", "Peritoneal carcinomatosis"]),
    ("2016", "11/2016", True, ["Ki-67 up to 17 %", "pT4 pN1(1/12) G2 R0 L0 V0"]),
    ("2016", "12/2016", True, []),
    ("2017", "02/2017", False, ["Exclusion of Hedinger syndrome"]),
    ("2017", "05/2017", True, ["Hepatic progressive disease.", "70 %"]),
    ("2017", "11/2017", False, ["Hepatic partial remission.", "Peritoneal carcinomatosis stable."]),
    ("2018", "02/2018", False, ["Hepatic partial remission.", "Peritoneal carcinomatosis stable."]),
    ("2018", "04/2018", False, ["Hepatic partial remission.", "Peritoneal carcinomatosis stable."]),
    ("2018", "09/2018", False, ["Hepatic partial remission.", "40 %", "Peritoneal carcinomatosis stable."]),
    ("2019", "03/2019", False, ["Hepatic partial remission.", "30 %", "Peritoneal carcinomatosis stable."]),
    ("2019", "09/2019", False, ["Hepatic partial remission.", "Peritoneal carcinomatosis stable."]),
]
CLASSES = dict(zip(LOADS, ["baseline", "PD", "PD", *["PR"] * 6], strict=True))
FOLDERS = ("ct", "segment", "measure", "pet", "uptake")


def response(staging: str, code: str, line: str = "1", criterion: str = "load") -> dict[str, str]:
    return {"staging": staging, "line": line, "criterion": criterion, "response": code, "reason": "because"}


def read_all(results: Results, patient: str) -> list[StagingResult]:
    stagings = sorted((results.patient(patient) / "stagings").iterdir())
    return [read_staging(path.name, {name: path / name for name in FOLDERS}) for path in stagings]


@pytest.fixture
def founding_case(tmp_path) -> list[StagingResult]:
    return read_all(write_founding_case(tmp_path), timeline()["patient"])


@pytest.fixture
def classes():
    return {name: response(name, code) for name, code in CLASSES.items()}


def test_rows_are_those_the_paper_prints(founding_case, classes):
    rows = build_table(founding_case, timeline(), classes, date_format="month")
    assert [(row.year, row.date, bool(row.therapy)) for row in rows] == [row[:3] for row in PRINTED]
    for row, (*_, says) in zip(rows, PRINTED, strict=True):
        assert all(part in row.staging for part in says), row
        assert bool(row.staging) == bool(says)


def test_rows_equal_the_expected_table_beside_the_clone(founding_case, classes, shared_data):
    with (shared_data.parent / "case" / "expected_table.csv").open(encoding="utf-8", newline="") as file:
        expected = list(csv.DictReader(file))
    rows = build_table(founding_case, timeline(), classes, date_format="month")
    assert [(row.year, row.date, bool(row.therapy), bool(row.staging)) for row in rows] == [
        (row["year"], row["date"], bool(row["therapy"]), bool(row["staging"])) for row in expected
    ]


def test_loads_stand_only_on_rows_with_imaging(founding_case, classes):
    rows = build_table(founding_case, timeline(), classes)
    assert [row.load_percent for row in rows if row.staging_name] == list(LOADS.values())
    assert all(row.load_percent is None for row in rows if not row.staging_name)
    assert [row.response for row in rows if row.staging_name] == list(CLASSES.values())


def test_precise_dates_are_not_hidden_behind_those_of_a_therapy(founding_case, classes):
    dates = [row.date for row in build_table(founding_case, timeline(), classes, date_format="day")]
    assert dates[1] == "2016-08 to 2016-11 (CT 2016-11-10)"
    assert dates[5] == "2017-05 (CT 2017-05-16)"
    assert dates[6] == "2017-11-14"


def test_no_staging_is_lost_when_several_share_a_month_or_have_no_date(tmp_path):
    results = Results(tmp_path)
    for name in ("2016-11-03", "2016-11-28", "undated-ABCDEF"):
        write_staging(results, name, 20.0)
    rows = build_table(read_all(results, timeline()["patient"]), timeline(), {})
    assert sorted(row.staging_name for row in rows if row.staging_name) == [
        "2016-11-03",
        "2016-11-28",
        "undated-ABCDEF",
    ]
    assert rows[-1].date == "undated-ABCDEF"


def test_without_a_timeline_the_stagings_remain(founding_case):
    rows = build_table(founding_case, {}, {})
    assert [row.date for row in rows] == list(LOADS)


def test_a_refused_staging_is_ne_with_its_code(tmp_path):
    from tests.report.fake_results import refuse_staging

    results = Results(tmp_path)
    refuse_staging(results, "2018-02-13", Reason("slices.missing", "Slices 13-78 are missing (82 mm gap)."))
    (row,) = build_table(read_all(results, timeline()["patient"]), {}, {})
    assert (row.response, row.response_basis, row.load_percent) == ("NE", "slices.missing", None)
    assert "82 mm gap" in row.staging and "Fetch the series again" in row.staging


def test_shown_response_prefers_the_line_before_over_a_new_baseline_and_the_whole_course():
    rows = [
        response("2017-05-16", "SD", line="whole course"),
        response("2017-05-16", "baseline", line="3"),
        response("2017-05-16", "PD", line="2"),
        response("2017-05-16", "SD", line="2", criterion="volumetric"),
    ]
    for order in (rows, rows[::-1]):
        assert shown_responses(order, "load")["2017-05-16"]["response"] == "PD"
    assert shown_responses(rows[:1], "load")["2017-05-16"]["response"] == "SD"


def test_the_whole_course_stands_in_where_the_line_cannot_be_judged_and_says_why():
    why = "line 1 (lanreotide) has no baseline: no staging within 90 days"
    in_line = response("2020-04-01", "NE") | {"reason": why}
    for code in ("baseline", "PR"):
        rows = [in_line, response("2020-04-01", code, line="whole course")]
        for order in (rows, rows[::-1]):
            row = shown_responses(order, "load")["2020-04-01"]
            assert (row["response"], row["reason"]) == (code, f"because; over the whole course, as {why}")
    not_measured = [in_line, response("2020-04-01", "NE", line="whole course")]
    assert shown_responses(not_measured, "load")["2020-04-01"] == in_line


def test_a_reader_overrides_and_both_classes_are_shown(founding_case, classes):
    reading = {"staging": "2018-09-11", "reading": "response", "value": "SD", "reason": "confluent lesions"}
    shown = with_reader(classes, [reading, {"staging": "2018-09-11", "reading": "benign", "value": "", "lesion": "3"}])
    (row,) = [row for row in build_table(founding_case, timeline(), shown) if row.staging_name == "2018-09-11"]
    assert row.response == "SD"
    assert "Hepatic stable disease (by a reader; computed PR)." in row.staging
    assert "confluent lesions" in row.response_basis and "computed: PR" in row.response_basis
    assert classes["2018-09-11"]["response"] == "PR"


def test_readers_who_agree_leave_the_computed_class_beside_theirs(classes):
    one = {"staging": "2018-09-11", "reading": "response", "value": "SD", "reason": "confluent lesions"}
    for readings in ([one, one], [one, one | {"reason": "tumour board"}]):
        row = with_reader(classes, readings)["2018-09-11"]
        said = "; ".join(dict.fromkeys(reading["reason"] for reading in readings))
        assert (row["response"], row["computed"]) == ("SD", "PR")
        assert row["reason"] == f"by a reader: {said}; computed: PR, because"


def test_a_readers_response_stands_also_where_nothing_was_measured(tmp_path):
    from tests.report.fake_results import refuse_staging

    results = Results(tmp_path)
    refuse_staging(results, "2018-02-13", Reason("slices.missing", "Slices 13-78 are missing (82 mm gap)."))
    computed = {"2018-02-13": response("2018-02-13", "NE", line="whole course")}
    reading = {"staging": "2018-02-13", "reading": "response", "value": "PD", "reason": "seen on MRI"}
    (row,) = build_table(read_all(results, timeline()["patient"]), {}, with_reader(computed, [reading]))
    assert (row.response, row.load_percent) == ("PD", None)
    assert "Not evaluable (NE): Slices 13-78" in row.staging
    assert "Hepatic progressive disease (by a reader; computed NE)." in row.staging
    assert "seen on MRI" in row.response_basis


def test_what_is_known_by_its_year_alone_does_not_join_the_staging_of_its_january(tmp_path):
    write_staging(Results(tmp_path), "2016-01-20", 20.0)
    content = {
        "therapies": [{"kind": "systemic", "agent": "everolimus", "start": "2014-05", "end": "2016"}],
        "findings": [{"date": "2016", "finding": "bone metastases", "status": "new"}],
    }
    rows = build_table(read_all(Results(tmp_path), timeline()["patient"]), content, {})
    assert [row.date for row in rows] == ["2014-05 to 2016", "2016", "2016-01-20"]
    assert ["Bone metastases" in row.staging for row in rows] == [False, True, False]


def test_what_was_resected_stands_with_its_operation_however_it_is_written(tmp_path):
    write_staging(Results(tmp_path), "2016-11-10", 20.0)
    content = {
        "therapies": [{"kind": "surgery", "agent": "hemicolectomy", "start": "2016-11"}],
        "findings": [{"date": "2016-11", "finding": "primary tumour", "organ": "ileum", "status": "Resected"}],
    }
    rows = build_table(read_all(Results(tmp_path), timeline()["patient"]), content, {})
    assert [row.staging for row in rows if row.therapy] == ["Primary tumour (ileum) Resected."]
