from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from nen_imaging.report.figures import course_figure, markers_by_name
from nen_imaging.report.staging import StagingResult
from tests.report.fake_results import LOADS, load_json, timeline

STAGINGS = [StagingResult(name, load=load_json(percent)) for name, percent in LOADS.items()]
HOSTILE = "<script>alert('$\\frac{1}{')</script> & \"x\""


def test_bytes_are_the_same_again():
    assert course_figure(STAGINGS, timeline()) == course_figure(STAGINGS, timeline())


def test_bytes_are_the_same_in_another_process():
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_figures import *\nimport hashlib\n"
        "digest = hashlib.sha256(course_figure(STAGINGS, timeline()).encode()).hexdigest()\n"
        "print(digest, 'matplotlib.pyplot' in sys.modules)"
    )
    from hashlib import sha256
    from pathlib import Path

    command = [sys.executable, "-c", program, str(Path(__file__).parent)]
    digest, pyplot = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert digest == sha256(course_figure(STAGINGS, timeline()).encode()).hexdigest()
    assert pyplot == "False"


def test_settings_of_matplotlib_are_left_as_they_were():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    course_figure(STAGINGS, timeline())
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("without", ["therapies", "markers", "findings"])
def test_missing_parts_are_left_out(without):
    figure = course_figure(STAGINGS, timeline() | {without: []})
    assert ET.fromstring(figure).tag.endswith("svg")


@pytest.mark.parametrize(
    "stagings", [[], [StagingResult("undated-ABCDEF", load=load_json(20))], [StagingResult("2018-02-13")], STAGINGS[:1]]
)
def test_few_or_no_stagings_give_a_figure(stagings):
    for content in (timeline(), {}):
        ET.fromstring(course_figure(stagings, content))


def test_hostile_text_stays_text():
    content = timeline()
    content["therapies"][0]["agent"] = HOSTILE
    content["markers"][0]["marker"] = HOSTILE
    figure = course_figure(STAGINGS, content)
    root = ET.fromstring(figure)
    assert not [element for element in root.iter() if element.tag.rpartition("}")[2] == "script"]


def test_illustrative_markers_are_hollow_and_limits_are_kept_apart():
    content = {
        "markers": [
            {"date": "2016-07", "marker": "CgA", "unit": "ug/L", "value": "29924", "source": "published"},
            {"date": "2017-05", "marker": "CgA", "unit": "ug/L", "value": "<5", "source": "illustrative"},
            {"date": "2018-05", "marker": "CgA", "unit": "ug/L", "value": "0", "source": ""},
            {"date": "2016-05", "marker": "CgA", "unit": "nmol/L", "value": "3", "source": ""},
        ]
    }
    found = markers_by_name(content)
    assert list(found) == ["CgA [nmol/L]", "CgA [ug/L]"]
    assert [(point.value, point.illustrative, point.shape) for point in found["CgA [ug/L]"]] == [
        (29924.0, False, "o"),
        (5.0, True, "v"),
    ]


def test_a_markers_limit_stands_in_any_of_its_rows():
    first = {"date": "2016-07", "marker": "CgA", "unit": "ug/L", "value": "400", "upper_limit_of_normal": "102"}
    later = first | {"date": "2017-05", "value": "300", "upper_limit_of_normal": ""}
    everywhere = later | {"upper_limit_of_normal": "102"}
    assert course_figure([], {"markers": [first, later]}) == course_figure([], {"markers": [first, everywhere]})
