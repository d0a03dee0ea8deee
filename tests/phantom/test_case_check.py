from dataclasses import replace

import pytest

from nen_imaging.phantom.case import read_course
from nen_imaging.phantom.case_check import CheckedStaging, comparison, published_loads_are_met

COURSE = read_course()


def checked(**loads):
    """The course measured as painted, but for some stagings: ``_2017_05=64.0``, None for not measured."""
    changed = {key.removeprefix("_").replace("_", "-"): value for key, value in loads.items()}
    stagings = [CheckedStaging(planned, planned.load_percent, (0.0, 100.0), "PR") for planned in COURSE]
    return [
        replace(s, load_percent=changed[month]) if (month := f"{s.planned.date:%Y-%m}") in changed else s
        for s in stagings
    ]


@pytest.mark.parametrize(
    ("loads", "met"),
    [
        ({}, True),
        ({"_2017_05": 67.0}, True),
        ({"_2017_05": 66.9}, False),
        ({"_2016_07": 53.1}, False),
        ({"_2019_03": None}, False),
        ({"_2017_11": 10.0}, True),  # illustrative: the paper prints no load there
    ],
)
def test_the_published_loads_decide_and_nothing_else(loads, met):
    stagings = checked(**loads)
    assert published_loads_are_met(stagings) is met
    text = "\n".join(comparison(stagings))
    assert ("PASS: 5 of the 5" if met else "FAIL: 4 of the 5") in text
    assert ("MISSED" in text or "not measured" in text) is not met


def test_nothing_measured_is_not_met():
    assert not published_loads_are_met([])


def test_illustrative_loads_are_marked():
    lines = comparison(checked())
    assert [line.split()[0] for line in lines if "(43)" in line or "(41)" in line] == ["2017-11", "2018-04"]
    assert "illustrative" in lines[-2]
