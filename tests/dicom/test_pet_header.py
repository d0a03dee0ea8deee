"""The header of a PET series, typed."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from pydicom import Dataset

from nen_imaging.contract import Refusal
from nen_imaging.dicom.pet_header import (
    correction_keyword,
    parse_date,
    parse_datetime,
    parse_time,
    pet_header,
    raw_header,
    tag_name,
)
from tests.dicom.datasets import changed


def make_slice(**changes: object) -> Dataset:
    item = Dataset()
    item.RadionuclideTotalDose, item.RadionuclideHalfLife = "150000000", "4062.6"
    item.RadiopharmaceuticalStartTime = "091500.00"
    image = Dataset()
    image.Units, image.PatientWeight, image.CorrectedImage = "BQML", "71.0", ["DECY", "ATTN"]
    image.SeriesDate, image.SeriesTime, image.AcquisitionTime = "20200115", "101500", "101500.5"
    image.RadiopharmaceuticalInformationSequence = [item]
    return changed(image, changes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("101500", timedelta(hours=10, minutes=15)),
        ("10:15:00.25 ", timedelta(hours=10, minutes=15, seconds=0.25)),
        ("1015", timedelta(hours=10, minutes=15)),
        ("251500", None),
        ("", None),
        ("soon", None),
    ],
)
def test_times(text, expected):
    assert parse_time(text) == expected


def test_dates_also_in_their_old_form():
    assert parse_date("1993.04.30") == parse_date("19930430") == datetime(1993, 4, 30)
    assert parse_date("00000000") is None


def test_an_offset_from_utc_is_brought_to_the_series_own():
    assert parse_datetime("20200115081500+0000", "+0100") == datetime(2020, 1, 15, 9, 15)
    assert parse_datetime("20200115091500.00 ") == datetime(2020, 1, 15, 9, 15)
    assert parse_datetime("20200115") is None


def test_header_is_typed_and_missing_values_are_none():
    header = pet_header([raw_header(make_slice())])
    assert (header.units, header.weight_kg, header.dose_bq, header.half_life_s) == ("BQML", 71.0, 150e6, 4062.6)
    assert header.series_start == datetime(2020, 1, 15, 10, 15)
    assert header.slices[0].acquisition == datetime(2020, 1, 15, 10, 15, 0, 500000)  # date of the series
    assert header.height_m is None
    assert header.corrections_done == {"DECY", "ATTN"}


def test_private_values_are_found_in_any_block_and_without_creator():
    image = make_slice()
    block = image.private_block(0x7053, "Philips PET Private Group", create=True)
    block.add_new(0x00, "UN", b"0.000551 ")
    assert pet_header([raw_header(image)]).philips_suv_factor == 0.000551
    del image[0x7053, 0x0010]
    assert pet_header([raw_header(image)]).philips_suv_factor == 0.000551


def test_values_of_a_person_replace_the_headers_and_keep_their_source():
    header = pet_header([raw_header(make_slice())], {correction_keyword("(0010,1030)"): "72"})
    assert header.weight_kg == 72.0
    assert header.corrected == {"PatientWeight"}


@pytest.mark.parametrize("tag", ["PatientWeight", "(0010,1030)", "0010,1030", " (0010, 1030) PatientWeight"])
def test_a_correction_names_its_tag_by_keyword_or_number(tag):
    assert correction_keyword(tag) == "PatientWeight"


def test_a_correction_of_an_unknown_tag_is_an_error():
    with pytest.raises(ValueError, match="PatientWieght"):
        correction_keyword("PatientWieght")


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("Units", "CNTS"), ("PatientWeight", "72"), ("SeriesTime", "101501"), ("CorrectedImage", ["DECY"])],
)
def test_slices_that_disagree_are_not_one_series(keyword, value):
    with pytest.raises(Refusal, match=keyword) as caught:
        pet_header([raw_header(make_slice()), raw_header(make_slice(**{keyword: value}))])
    assert caught.value.reason.code == "pet.inconsistent"


def test_numbers_written_differently_agree():
    pet_header([raw_header(make_slice()), raw_header(make_slice(PatientWeight="71"))])


def test_tags_are_shown_with_number_and_keyword():
    assert tag_name("PatientWeight") == "(0010,1030) PatientWeight"
    assert tag_name("PhilipsSUVScaleFactor") == "(7053,1000) Philips PET Private Group"
