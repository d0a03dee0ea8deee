from __future__ import annotations

from datetime import date

import pytest

from nen_imaging.dates import PartialDate
from nen_imaging.longitudinal.timeline import line_baseline, line_judged, therapy_lines


def on(text):
    parsed = PartialDate.parse(text)
    assert parsed is not None
    return parsed


def lines(*starts):
    return therapy_lines({"therapies": [{"line": str(n), "agent": "x", "start": s} for n, s in enumerate(starts, 1)]})


@pytest.mark.parametrize(
    "text, first, last",
    [
        ("2016", date(2016, 1, 1), date(2016, 12, 31)),
        ("2016-02", date(2016, 2, 1), date(2016, 2, 29)),
        ("2016-07-14", date(2016, 7, 14), date(2016, 7, 14)),
    ],
)
def test_partial_dates_are_intervals(text, first, last):
    assert (on(text).first, on(text).last, on(text).text) == (first, last, text)


@pytest.mark.parametrize("text", ["", "2016-13", "2016-02-30", "July 2016", "undated-ABCDEF"])
def test_other_texts_are_no_dates(text):
    assert PartialDate.parse(text) is None


@pytest.mark.parametrize(
    "start, expected",
    [
        ("2020-03-30", "2020-03-01"),  # the last before
        ("2020-03-01", "2020-03-01"),  # on the same day
        ("2020-03", "2020-03-01"),  # in the same month
        ("2020-05-30", "2020-03-01"),  # 90 days
        ("2020-05-31", "2020-06-20"),  # 91 days before; 20 days after
        ("2020-12-20", None),
        ("2019-12-20", "2020-01-05"),
    ],
)
def test_the_baseline_of_a_line(start, expected):
    stagings = [on("2020-06-20"), on("2020-01-05"), on("2020-03-01")]
    found = line_baseline(lines(start)[0], stagings)
    assert (found.text if found else None) == expected


def test_a_new_lines_baseline_is_judged_under_the_line_before():
    both = lines("2019-12", "2020-05-31")
    baselines = {1: on("2020-01-05"), 2: on("2020-06-20")}
    judged = {
        text: line.number if (line := line_judged(on(text), both, baselines)) else None
        for text in ("2019-11-01", "2020-01-05", "2020-03-01", "2020-06-20", "2020-09-01")
    }
    assert judged == {"2019-11-01": None, "2020-01-05": None, "2020-03-01": 1, "2020-06-20": 1, "2020-09-01": 2}


def test_procedures_are_no_lines_and_rows_of_one_number_are_one():
    rows = [
        {"line": "2", "kind": "systemic", "agent": "everolimus", "start": "2020-03"},
        {"line": "", "kind": "surgery", "agent": "hemicolectomy", "start": "2020-01"},
        {"line": "1", "kind": "systemic", "agent": "streptozocin", "start": "2019-06"},
        {"line": "1", "kind": "systemic", "agent": "5-FU", "start": "2019-05"},
    ]
    found = therapy_lines({"therapies": rows})
    assert [(line.number, line.start.text, line.agents) for line in found] == [
        (1, "2019-05", "5-FU + streptozocin"),
        (2, "2020-03", "everolimus"),
    ]
