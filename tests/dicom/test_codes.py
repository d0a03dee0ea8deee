"""Known words, and nothing else, from codes and free text."""

from __future__ import annotations

import pytest

from nen_imaging.dicom.codes import manufacturer_of, nuclide_of, scanner_of, tracer_of


@pytest.mark.parametrize(
    ("code", "text", "name"),
    [
        ("C-111A1", None, "18F"),
        ("C-131A3", "^68^Galium", "68Ga"),
        (None, "Ga-68 DOTATOC", "68Ga"),
        (None, "177 Lutetium", "177Lu"),
        (None, "FDG -- fluorodeoxyglucose", "18F"),
        (None, "Cu64", "64Cu"),
        ("C-99999", None, None),
        (None, None, None),
    ],
)
def test_nuclides(code, text, name):
    nuclide = nuclide_of(code, text)
    assert (nuclide.name if nuclide else None) == name


def test_a_code_outweighs_a_text():
    assert nuclide_of("C-131A3", "F-18").name == "68Ga"


@pytest.mark.parametrize(
    ("text", "name"),
    [("Ga-68 DOTATOC", "DOTATOC"), ("68Ga-DOTA-TATE", "DOTATATE"), ("FDG -- fluorodeoxyglucose", "FDG"), ("Ann", None)],
)
def test_tracers(text, name):
    assert tracer_of(text) == name


def test_manufacturers_and_scanners_are_known_words_only():
    assert manufacturer_of("GE MEDICAL SYSTEMS") == "GE"
    assert manufacturer_of("Philips Medical Systems") == "PHILIPS"
    assert manufacturer_of("Jones Ann Genevieve") is None
    assert scanner_of("Discovery ST") == "Discovery ST"
    assert scanner_of("LightSpeed16") == "LightSpeed"
    assert scanner_of("Jones Ann") is None
