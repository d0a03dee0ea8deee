"""The header of a PET series, typed."""

from __future__ import annotations

import copy
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
from nen_imaging.dicom.suv import suv_factor
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


def with_start(moment: str, time: str | None, **changes: object) -> dict[str, str]:
    image = make_slice(DecayCorrection="START", **changes)
    injection = {"RadiopharmaceuticalStartDateTime": moment, "RadiopharmaceuticalStartTime": time}
    changed(image.RadiopharmaceuticalInformationSequence[0], injection)
    return raw_header(image)


@pytest.mark.parametrize(
    ("moment", "time", "expected"),
    [
        ("20200115081500+0000", "091500", datetime(2020, 1, 15, 9, 15)),
        ("20200115081530+0000", "0915", datetime(2020, 1, 15, 9, 15)),
        ("20200115091500+0100", "091500", datetime(2020, 1, 15, 9, 15)),
        ("20200115023000+0000", "213000", datetime(2020, 1, 14, 21, 30)),  # New York
        ("20200114221500+0000", "111500", datetime(2020, 1, 15, 11, 15)),  # Auckland in summer
        ("20200114190000+0000", "090000", datetime(2020, 1, 14, 9)),  # Hawaii
        ("20200115034500+0000", "091500", datetime(2020, 1, 15, 9, 15)),  # India
    ],
)
def test_without_a_local_offset_the_local_time_of_the_injection_tells_it(moment, time, expected):
    assert pet_header([with_start(moment, time)]).administration == expected


@pytest.mark.parametrize("time", [None, "092200"])
def test_an_injection_whose_local_time_is_not_known_is_refused_until_it_is_corrected(time):
    raw = with_start("20200115081500+0000", time)
    with pytest.raises(Refusal, match="TimezoneOffsetFromUTC") as caught:
        suv_factor(pet_header([raw]))
    assert caught.value.reason.code == "pet.time_implausible"
    corrected = pet_header([raw], {"RadiopharmaceuticalStartDateTime": "20200115091500"})
    assert corrected.administration == datetime(2020, 1, 15, 9, 15)
    suv_factor(corrected)
    local = pet_header([with_start("20200115081500+0000", time, TimezoneOffsetFromUTC="+0100")])
    assert local.administration == datetime(2020, 1, 15, 9, 15)


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


@pytest.mark.parametrize("date", ["", None])
def test_a_date_from_a_person_serves_images_whose_dates_were_blanked(date):
    raw = raw_header(make_slice(DecayCorrection="START", SeriesDate=date, AcquisitionDate=""))
    with pytest.raises(Refusal) as caught:
        suv_factor(pet_header([raw]))
    assert caught.value.reason.code == "pet.time_missing"
    assert "AcquisitionDate" in caught.value.reason.remedy
    header = pet_header([raw], {"AcquisitionDate": "2020-01-15"})
    assert header.series_start == datetime(2020, 1, 15, 10, 15)
    factor = suv_factor(header)
    assert factor.per_slice == suv_factor(pet_header([raw_header(make_slice(DecayCorrection="START"))])).per_slice
    assert [reason.text for reason in factor.reasons] == ["corrections.csv supplied (0008,0022) AcquisitionDate."]
    assert pet_header([raw_header(make_slice())], {"AcquisitionDate": "2020-01-16"}).series_start == header.series_start


def two_injections(**second: object) -> Dataset:
    image = make_slice()
    first = image.RadiopharmaceuticalInformationSequence[0]
    image.RadiopharmaceuticalInformationSequence = [first, changed(copy.deepcopy(first), second)]
    return image


def test_identical_copies_of_an_injection_are_one():
    once, twice = pet_header([raw_header(make_slice())]), pet_header([raw_header(two_injections())])
    assert twice == once
    written_otherwise = two_injections(RadionuclideTotalDose="1.5e8", RadionuclideHalfLife=None)
    assert pet_header([raw_header(written_otherwise)]) == once


def test_injections_that_differ_are_refused_until_corrections_give_what_holds():
    image = two_injections(RadionuclideTotalDose="75000000", RadiopharmaceuticalStartTime="093000")
    raw = raw_header(changed(image, {"DecayCorrection": "START"}))
    with pytest.raises(Refusal, match=r"RadionuclideTotalDose, .* RadiopharmaceuticalStartDateTime") as caught:
        suv_factor(pet_header([raw]))
    assert caught.value.reason.code == "pet.several_injections"
    corrections = {"RadionuclideTotalDose": "225000000", "RadiopharmaceuticalStartDateTime": "20200115091500"}
    with pytest.raises(Refusal, match="StartDateTime"):
        suv_factor(pet_header([raw], {"RadionuclideTotalDose": "225000000"}))
    decayed = 225e6 * 2 ** (-3600 / 4062.6)
    assert suv_factor(pet_header([raw], corrections)).per_slice == pytest.approx([71_000 / decayed], rel=1e-9)


def test_the_second_nuclide_of_a_header_is_not_taken_for_the_first():
    code = Dataset()
    code.CodeValue = "C-131A3"
    other = copy.deepcopy(code)
    other.CodeValue = "C-111A1"
    image = two_injections(RadionuclideHalfLife="6586.2")
    for item, nuclide in zip(image.RadiopharmaceuticalInformationSequence, (code, other), strict=True):
        item.RadionuclideCodeSequence = [nuclide]
    header = pet_header([raw_header(image)])
    assert (header.differing, header.half_life_s, header.nuclide_code) == ({"RadionuclideHalfLife"}, None, None)
    assert pet_header([raw_header(image)], {"RadionuclideHalfLife": "4062.6"}).differing == frozenset()


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
