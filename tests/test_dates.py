from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nen_imaging.dates import PartialDate


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
