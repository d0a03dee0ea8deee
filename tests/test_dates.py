from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nen_imaging.dates import PartialDate, moved, moved_moment, without_dates


@pytest.mark.parametrize(
    ("text", "first", "last", "month"),
    [
        ("2016", date(2016, 1, 1), date(2016, 12, 31), "2016"),
        ("2016-02", date(2016, 2, 1), date(2016, 2, 29), "02/2016"),
        (" 2016-07-14 ", date(2016, 7, 14), date(2016, 7, 14), "07/2016"),
    ],
)
def test_a_partial_date_is_an_interval_shown_as_given(text, first, last, month):
    parsed = PartialDate.parse(text)
    assert (parsed.first, parsed.last) == (first, last)
    assert parsed.shown("day") == text.strip()
    assert parsed.shown("month") == month


@pytest.mark.parametrize("text", ["", "undated-ABCDEF", "2016-13", "2016-02-30", "16-07", "2016-07-14T10"])
def test_what_is_no_date_is_none(text):
    assert PartialDate.parse(text) is None


@settings(max_examples=30)
@given(st.dates(), st.dates())
def test_order_is_by_start(one, other):
    first, second = PartialDate.parse(one.isoformat()), PartialDate.parse(other.isoformat())
    assert (first < second) == (one < other)
    assert first.first <= first.middle <= first.last


@settings(max_examples=50)
@given(st.dates(date(1980, 1, 1), date(2050, 1, 1)), st.sampled_from([4, 7, 10]), st.integers(-3000, 3000))
def test_a_moved_date_keeps_its_length_distance_and_precision(day, precision, days):
    text = day.isoformat()[:precision]
    before, after = PartialDate.parse(text), PartialDate.parse(moved(text, days))
    shift = timedelta(days=days)
    assert (after.first - before.first, after.last - before.last) == (shift, shift)
    assert len(after.text) == precision
    assert PartialDate.parse(moved(moved(text, days), -days)).first == before.first


def test_a_moved_month_is_shown_by_its_middle():
    month = PartialDate.parse(moved("2016-07", -20))
    assert month.text == month.shown("day") == "2016-06"
    assert month.shown("month") == "06/2016"
    assert month.month == (2016, 6)
    assert PartialDate.parse("2016").month == (2016, 0)


@pytest.mark.parametrize("text", ["", "soon", "2016-13", "2016-02-30/2016-03-01"])
def test_what_is_no_date_is_not_moved(text):
    assert moved(text, -10) == text


def test_a_date_before_all_dates_stays_one():
    assert moved("0001-01-05", -10) == "0001-01-01"


def test_a_moment_keeps_its_time_of_day():
    assert moved_moment("20160301101500.25", -1) == "20160229101500.25"
    assert moved_moment("2016-03-01T10:15:00", -1) == "2016-02-29T10:15:00"
    assert moved_moment("soon", -1) == "soon"


@pytest.mark.parametrize(
    "written",
    ["2016-07-14", "2016-07", "2016", "14.07.2016", "14. 7. 2016", "7/14/2016", "7/14/16", "14.7.16", "07/2016",
     "20160714", "July 2016", "14 July 2016", "Juli 2016", "14. Juli 2016", "Jul 14, 2016"],
)  # fmt: skip
def test_no_date_stays_in_a_free_text(written):
    assert without_dates(f"seen on {written}, 30 mg every 28 d") == "seen on (date), 30 mg every 28 d"


@pytest.mark.parametrize(
    "text",
    [
        "177Lu-DOTATATE 7.4 GBq, every 8 weeks",
        "segment 7/8",
        "SUV 20.16",
        "12.5 ng/ml",
        "Ki-67 2-3 %",
        "1/2",
        "2000 mg/d",
        "1900 MBq",
        "2000 IE",
        "2000 µg",
        "1-2000mg",
    ],
)
def test_numbers_stay_in_a_free_text(text):
    assert without_dates(text) == text
