"""The founding case through the stage `report`: Özdirik et al., Medicine 2020;99:25(e20820), CC BY 4.0, Table 1; loads
of 2017-11, 2018-02, 2018-04 and 2019-09 and all days are illustrative."""

from __future__ import annotations

import csv

import pytest

from nen_imaging.contract import EVENTS_COLUMNS, REGISTRATION_COLUMNS, TRACKS_COLUMNS
from nen_imaging.report.stages import REPORT
from nen_imaging.stage import Context, run_stage
from tests.report.fake_results import OPTIONS, PATIENT, report_inputs, write_founding_case, write_stage

NEW = {"2016-11-10": ("2", "2016-11-10-2"), "2017-05-16": ("3", "2017-05-16-3")}
EXPECTED = [
    ("07/2016", "baseline", "load: baseline of line 1"),
    ("08/2016-11/2016", "PD", "load: new lesion (load borderline: exactly +20 %); load 60 %, +20 % from nadir 50 %"),
    ("05/2017", "PD", "load: new lesion"),
    ("11/2017", "PR", "load 43 %, -39 % from baseline 70 % (2017-05-16)"),
    ("02/2018", "PR", "load 42 %"),
    ("04/2018", "PR", "load 41 %"),
    ("09/2018", "PR", "load 40 %"),
    ("03/2019", "PR", "load 30 %"),
    ("09/2019", "PR", "load 30 %"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The report of the case, with one new lesion at each of the stagings that had some."""
    results = write_founding_case(tmp_path_factory.mktemp("case"))
    events = [
        {"staging": staging, "event": "new", "tracks": track, "lesions": lesion, "counted": "yes", "text": ""}
        for staging, (lesion, track) in NEW.items()
    ]
    tracks = [
        dict.fromkeys(TRACKS_COLUMNS, "") | {"track": track, "staging": staging, "lesion": lesion}
        for staging, (lesion, track) in NEW.items()
    ]
    files = {
        "registration.csv": (REGISTRATION_COLUMNS, []), "tracks.csv": (TRACKS_COLUMNS, tracks),
        "events.csv": (EVENTS_COLUMNS, events),
    }  # fmt: skip
    write_stage(results.stage_folder("follow", PATIENT), "follow", files=files)
    target = results.stage_folder("report", PATIENT)
    run_stage(REPORT, target, report_inputs(results), OPTIONS, Context(results.root, results.root))
    return target


def test_the_staging_table_has_the_classes_of_the_paper_and_their_basis(folder):
    with (folder / "staging.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["response"]]
    assert [(row["date"].split(" ")[0], row["response"]) for row in rows] == [
        (date, response) for date, response, _ in EXPECTED
    ]
    for row, (_, _, basis) in zip(rows, EXPECTED, strict=True):
        assert row["response_basis"].startswith(basis), row["response_basis"]


def test_the_sentences_use_the_words_of_the_paper(folder):
    page = (folder / "staging.html").read_text("utf-8")
    assert page.count("Hepatic progressive disease") == 2
    assert page.count("Hepatic partial remission") == 6


def test_every_criterion_stands_in_response_csv(folder):
    with (folder / "response.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["criterion"] for row in rows} == {"load", "hepatic RECIST", "volumetric"}
    assert all(row["reason"] for row in rows)
