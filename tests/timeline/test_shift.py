"""The timeline of a patient whose dates are moved."""

from __future__ import annotations

import pytest

from nen_imaging.timeline import read_timeline
from nen_imaging.timeline.shift import shown


def rows(folder, name, content):
    (folder / f"{name}.csv").write_text(content, "utf-8")
    return read_timeline(folder).rows(name)


def test_dates_move_alike_and_texts_lose_theirs(tmp_path):
    (row,) = rows(
        tmp_path, "therapies", "kind,agent,dose,start,end,note\nPRRT,Lu,7.4 GBq,2016-07-14,2016-08,since 2016-07\n"
    )
    assert shown(row, -30) == {
        "line": "", "kind": "PRRT", "agent": "Lu", "dose": "7.4 GBq", "schedule": "", "start": "2016-06-14",
        "end": "2016-07-02/2016-08-01", "note": "since (date)",
    }  # fmt: skip
    assert shown(row, 0) == dict(row.cells)


@pytest.mark.parametrize(
    ("tag", "value", "later"),
    [
        ("RadiopharmaceuticalStartDateTime", "2016-07-14T10:15:00", "20160614101500"),
        ("AcquisitionDate", "2016-07-14", "2016-06-14"),
        ("PatientWeight", "72", "72"),
    ],
)
def test_a_corrected_moment_moves_and_the_name_of_a_staging_stays(tmp_path, tag, value, later):
    (row,) = rows(tmp_path, "corrections", f"staging,tag,value,reason\n2015-01-02,{tag},{value},wrong day\n")
    cells = shown(row, -30)
    assert cells["value"] == later
    assert cells["staging"] == "2015-01-02"


def test_numbers_are_no_dates(tmp_path):
    (row,) = rows(tmp_path, "markers", "date,marker,value,unit\n2016-07-14,CgA,2016,ug/L\n")
    assert shown(row, -30)["value"] == "2016"
