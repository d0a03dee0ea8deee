"""A staging is anchored at a CT's date and takes what lies in the window around it."""

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nen_imaging.dicom.stagings import anchors, days_between, make_stagings, nearest_anchor
from tests.dicom.test_select import CT, PET

DAYS = st.dates(date(2015, 1, 1), date(2016, 12, 31)).map(str)
WINDOW = st.integers(0, 60)


def test_the_window_is_measured_from_the_anchor_alone():
    days = ["2020-01-01", "2020-01-31", "2020-02-01"]
    assert anchors(days, [], 30) == ["2020-01-01", "2020-02-01"]


def test_known_anchors_stay_and_take_earlier_days():
    assert anchors(["2020-01-01", "2020-01-20"], ["2020-01-20"], 30) == ["2020-01-20"]


def test_the_nearer_anchor_counts_and_of_two_the_earlier():
    assert nearest_anchor("2020-01-12", ["2020-01-01", "2020-01-20"], 30) == "2020-01-20"
    assert nearest_anchor("2020-01-11", ["2020-01-01", "2020-01-21"], 30) == "2020-01-01"
    assert nearest_anchor("2020-03-11", ["2020-01-01", "2020-01-21"], 30) is None
    assert nearest_anchor("2020-03-11", [], 30) is None


@pytest.mark.parametrize(("one", "other", "days"), [("2020-02-28", "2020-03-01", 2), ("2019-03-01", "2019-02-28", 1)])
def test_days_between(one, other, days):
    assert days_between(one, other) == days


@given(st.lists(DAYS), st.lists(DAYS, max_size=3), WINDOW)
def test_every_day_has_an_anchor_and_anchors_stay(days, known, window):
    found = anchors(days, known, window)
    assert set(known) <= set(found) <= set(known) | set(days)
    for day in days:
        anchor = nearest_anchor(day, found, window)
        assert anchor is not None
        assert abs(date.fromisoformat(day) - date.fromisoformat(anchor)) <= timedelta(window)
    assert anchors(days, found, window) == found
    assert anchors(reversed(days), known, window) == found


@given(st.lists(DAYS), WINDOW)
def test_anchors_of_a_fresh_index_lie_apart(days, window):
    found = anchors(days, [], window)
    assert all(days_between(one, other) > window for one, other in pairwise(found))


def test_a_pet_joins_a_staging_that_has_a_ct_and_no_nearer_one_that_left():
    series = [replace(CT, date="2020-02-15"), replace(PET, date="2020-01-20")]
    ((staging,), joined) = make_stagings(series, {"P": ["2020-01-01"]}, 30)
    assert (staging.name, [one.key for one in staging.pet]) == ("2020-02-15", ["PET"])
    assert joined == {"CT": "2020-02-15", "PET": "2020-02-15"}
