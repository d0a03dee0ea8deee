"""Single attributes of a header as plain values."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from nen_imaging.dicom.attributes import number_of, numbers_of


def of(text: str) -> Dataset:
    image = Dataset()
    image.add_new(0x00281053, "LO", text)  # RescaleSlope as a file may hold it
    return image


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1.0), ("1.", 1.0), (".5", 0.5), ("+12", 12.0), ("-125.", -125.0), ("-.5e1", -5.0), (" 1.5E+2 ", 150.0)],
)
def test_every_decimal_string_of_dicom_is_a_number(text, number):
    assert number_of(of(text), "RescaleSlope") == number


@pytest.mark.parametrize("text", ["", ".", "-", "e5", "1,5", "nan", "inf", "1 mm", "1_0"])
def test_what_is_no_decimal_string_counts_as_missing(text):
    assert number_of(of(text), "RescaleSlope") is None


def test_numbers_are_all_there_or_none():
    image = Dataset()
    image.PixelSpacing = [".742187", "1."]
    assert numbers_of(image, "PixelSpacing", 2) == (0.742187, 1.0)
    assert numbers_of(image, "PixelSpacing", 3) == ()
