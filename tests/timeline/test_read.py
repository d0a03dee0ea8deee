"""A timeline folder is taken whole or refused by file, row and column."""

import datetime as dt
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nen_imaging.timeline import TimelineError, read_timeline
from nen_imaging.timeline.tables import CORRECTABLE, TABLES, full_date, number, partial_date

GOOD = {
    "therapies": "line,kind,agent,start,end\n1,systemic,octreotide LAR,2016-08,2016-11\n",
    "markers": "date,marker,value,unit\n2016-07,chromogranin A,29924,ug/L\n",
    "findings": "date,finding\n2016-11-03,peritoneal carcinomatosis\n",
    "readings": "staging,lesion,reading,reason\n2016-07-14,3,benign,cyst on MRI\n",
    "corrections": 'staging,tag,value,reason\n2016-07-14,"(0010,1030)",72.5,from the chart\n',
    "links": "earlier_staging,earlier_lesion,later_staging,later_lesion,relation\n2016-07-14,1,2016-11-02,2,same\n",
    "pins": "series,choice\nZJTGIJUPW6CNJ2I7,banned\n",
    "masks": "staging,file\n2016-07-14,july.nii.gz\n",
    "voi": "staging,name,file\n2016-07-14,ileal primary,voi/primary.nii\n",
}


@pytest.fixture
def folder(tmp_path) -> Path:
    for table, content in GOOD.items():
        (tmp_path / f"{table}.csv").write_text(content, "utf-8")
    for file in ("masks/july.nii.gz", "voi/primary.nii"):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).touch()
    return tmp_path


def refusal(folder, table, content):
    (folder / f"{table}.csv").write_text(content, "utf-8")
    with pytest.raises(TimelineError) as error:
        read_timeline(folder)
    return str(error.value)


def test_every_table_is_read(folder):
    timeline = read_timeline(folder)
    assert set(timeline.tables) == set(GOOD) == set(TABLES)
    assert timeline.rows("therapies")[0].cells["agent"] == "octreotide LAR"
    assert timeline.rows("therapies")[0].cells["note"] == ""  # a column that was left out
    assert timeline.rows("corrections")[0].cells["tag"] == "PatientWeight"
    assert timeline.pins == {"ZJTGIJUPW6CNJ2I7": False}
    assert timeline.dates == {}


def test_no_folder_and_an_empty_one_are_empty_timelines(tmp_path):
    assert read_timeline(None).rows("therapies") == ()
    assert read_timeline(tmp_path).tables == {}
    with pytest.raises(TimelineError, match="is no folder"):
        read_timeline(tmp_path / "nowhere")


def test_the_founding_case_is_a_timeline(shared_data):
    timeline = read_timeline(shared_data.parent / "case")
    assert len(timeline.rows("therapies")) >= 4
    assert timeline.rows("markers")[0].cells["value"] == "29924"


def test_what_spreadsheets_write(folder):
    (folder / "markers.csv").write_bytes(
        "\ufeffdate;marker;value;unit\r\n\r\n2016-07;5-HIAA;10915;mg/24 h\r\n;;;\r\n".encode()
    )
    (row,) = read_timeline(folder).rows("markers")
    assert (row.line, row.cells["unit"]) == (3, "mg/24 h")


@pytest.mark.parametrize(
    ("table", "content", "told"),
    [
        (
            "markers",
            "date,marker,value,unit\n2016-07,CgA,high,ug/L\n",
            "markers.csv, row 2, column value: found 'high'",
        ),
        ("markers", 'date,marker,value,unit\n2016-07,CgA,"1,5",ug/L\n', "a number with a decimal point"),
        ("markers", "date,marker,value,unit\n14.07.2016,CgA,1,ug/L\n", "row 2, column date: found '14.07.2016'"),
        ("markers", "date,marker,value,unit\n2016-07,CgA,1,\n", "row 2, column unit: must not be empty"),
        ("markers", "date,marker,value\n2016-07,CgA,1\n", "row 1: the column unit is missing"),
        ("markers", "date,marker,value,units\n", "row 1: there is no column 'units'; did you mean unit?"),
        ("markers", "date,date,marker,value,unit\n", "a column stands twice"),
        ("markers", "date,marker,value,unit\n2016-07,CgA,1,ug/L,lab,3,4\n", "7 cells under 4 columns"),
        ("markers", 'date,marker,value,unit\n"2016-07,CgA,1,ug/L\n', "check the quotation marks"),
        ("markers", "", "the column date is missing"),
        ("therapies", "kind,agent,start,end\nsystemic,x,2016-08,2016-07\n", "lies before the start 2016-08"),
        (
            "therapies",
            "kind,agent,start,end\nsystemic,x,2016-08,9999-12-31\n",
            "therapies.csv, row 2, column end: found '9999-12-31'; allowed: YYYY-MM-DD, YYYY-MM or YYYY, "
            "from 1900 to 2100; leave `end` empty while it goes on",
        ),
        ("therapies", "kind,agent,start\nsystemic,x,0016-08\n", "row 2, column start: found '0016-08'; allowed: YYYY"),
        ("therapies", "line,kind,agent,start\n0,systemic,x,2016-08\n", "column line: found '0'; allowed: 1, 2, 3"),
        ("readings", "staging,reading,reason\n2016-07-14,benign,cyst\n", "needs the number of its lesion"),
        ("readings", "staging,reading,reason\n2016-07-14,response,looks better\n", "needs its value"),
        ("readings", "staging,reading,value,reason\n2016-07-14,response,pd,x\n", "found 'pd'; allowed: CR, PR"),
        ("readings", "staging,reading,reason\n2016-07-14,maybe,x\n", "allowed: benign, treated, response, sign-off"),
        ("readings", "staging,reading,reason\nfirst,sign-off,x\n", "allowed: a staging as stagings.csv names it"),
        ("corrections", "staging,tag,value,reason\n2016-07-14,PatientName,x,y\n", "allowed: PatientWeight"),
        ("corrections", "staging,tag,value,reason\n2016-07-14,PatientWeight,0,y\n", "a number above 0"),
        ("corrections", "staging,tag,value,reason\n2016-07-14,PatientSex,unknown,y\n", "allowed: m, f"),
        ("pins", "series,choice\nX,maybe\n", "allowed: chosen, banned"),
        ("pins", "series,choice\nX,chosen\nX,banned\n", "row 3, column choice: found 'banned', but row 2 says"),
        (
            "corrections",
            "staging,tag,value,reason\nundated-2X7K57,AcquisitionDate,2005-10-20,a\n"
            "undated-2X7K57,AcquisitionDate,2005-10-21,b\n",
            "row 3, column value: found '2005-10-21', but row 2 says '2005-10-20'; keep one of the two rows",
        ),
        ("masks", "staging,file\n2016-07-14,august.nii.gz\n", "the file does not exist"),
        ("masks", "staging,file\n2016-07-14,../july.nii.gz\n", "a path below the timeline folder"),
        ("voi", "staging,name,file\n2016-07-14,primary,voi.csv\n", "allowed: NIfTI"),
        ("therapy", "line\n", "therapy.csv is no table of a timeline. Did you mean therapies.csv?"),
    ],
)
def test_what_is_wrong_is_named_by_place_and_remedy(folder, table, content, told):
    assert told in refusal(folder, table, content)


def test_a_row_may_stand_twice(folder):
    (folder / "pins.csv").write_text("series,choice,reason\nX,banned,blurred\nX,banned,breathing\n", "utf-8")
    assert read_timeline(folder).pins == {"X": False}


def test_another_encoding_is_named(folder):
    (folder / "findings.csv").write_bytes("date,finding\n2016-07,Rückgang\n".encode("latin-1"))
    with pytest.raises(TimelineError, match=r"findings.csv is not UTF-8"):
        read_timeline(folder)


def test_tables_that_are_no_timelines_are_left_alone(folder):
    shutil.copy(folder / "pins.csv", folder / "expected_staging.csv")
    assert set(read_timeline(folder).tables) == set(GOOD)


@pytest.mark.parametrize("name", ["therapies.CSV", "THERAPIES.csv", "Therapy.Csv"])
def test_a_table_written_otherwise_is_not_passed_over(folder, name):
    (folder / "therapies.csv").rename(folder / name)
    with pytest.raises(TimelineError, match=rf"{name} is no table of a timeline. Did you mean therapies.csv\?"):
        read_timeline(folder)


def test_what_macos_lays_beside_a_table_is_none(folder):
    (folder / "._therapies.csv").write_bytes(b"\x00\x05\x16\x07\x00\x02")
    assert set(read_timeline(folder).tables) == set(GOOD)


def test_a_correction_may_date_an_undated_staging(folder):
    content = "staging,tag,value,reason\nundated-2X7K57,AcquisitionDate,2005-10-20,letter\n"
    (folder / "corrections.csv").write_text(content)
    assert read_timeline(folder).dates == {"undated-2X7K57": "2005-10-20"}


@given(st.dates(dt.date(1900, 1, 1), dt.date(2100, 12, 31)).map(str), st.sampled_from([4, 7, 10]))
def test_days_months_and_years_are_dates(day, length):
    assert partial_date(day[:length]) == day[:length]
    assert full_date(day) == day


@given(st.text())
def test_cells_are_kept_as_they_are_or_refused(cell):
    for check in (partial_date, number, full_date):
        try:
            assert check(cell) == cell
        except ValueError as error:
            assert "allowed:" in str(error)


@pytest.mark.parametrize(
    ("tag", "value", "kept"),
    [
        ("RadiopharmaceuticalStartDateTime", "2016-07-14T10:15:00", "20160714101500"),
        ("(0018,1078)", "20160714101500", "20160714101500"),
        ("PatientSex", "f", "F"),
    ],
)
def test_a_correction_is_kept_as_a_header_would_hold_it(tmp_path, tag, value, kept):
    (tmp_path / "corrections.csv").write_text(f'staging,tag,value,reason\n2016-07-14,"{tag}",{value},sheet\n', "utf-8")
    (row,) = read_timeline(tmp_path).rows("corrections")
    assert row.cells["value"] == kept


@pytest.mark.parametrize(
    ("moment", "kept"),
    [
        ("2016-07-14T10:15:00", "20160714101500"),
        ("2016-07-14 10:15", "201607141015"),
        ("20160714101500.25", "20160714101500.25"),
        ("2016-07-14T9:15:00", None),  # its digits would be taken for another time, or for none
        ("2016-7-14T10:15:00", None),
        ("2016-07-14T25:15:00", None),
        ("2016-07-14", None),
    ],
)
def test_a_moment_is_kept_only_as_a_header_would_hold_it(moment, kept):
    _, check = CORRECTABLE["RadiopharmaceuticalStartDateTime"]
    if kept is None:
        with pytest.raises(ValueError, match="allowed: a date and time"):
            check(moment)
    else:
        assert check(moment) == kept
