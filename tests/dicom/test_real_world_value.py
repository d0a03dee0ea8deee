"""Real world value mappings check the factor and never make it."""

from __future__ import annotations

import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence as DicomSequence

from nen_imaging.dicom.real_world_value import check_mapping


def make_mapping(slope: float, unit: str = "{SUVbw}g/ml", *, nested: bool = True) -> Dataset:
    code, mapping, reference, dataset = Dataset(), Dataset(), Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator = unit, "UCUM"
    mapping.MeasurementUnitsCodeSequence = DicomSequence([code])
    mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = slope, 0.0
    (reference if nested else dataset).RealWorldValueMappingSequence = DicomSequence([mapping])
    if nested:
        dataset.ReferencedImageRealWorldValueMappingSequence = DicomSequence([reference])
    return dataset


@pytest.mark.parametrize("nested", [True, False])
def test_an_equal_slope_confirms_and_a_wrong_one_is_told_with_its_ratio(nested):
    assert check_mapping(make_mapping(4.2111e-4, nested=nested), 4.2111007e-4).agrees
    slipped = check_mapping(make_mapping(4.2111e-7, nested=nested), 4.2111007e-4)
    assert not slipped.agrees
    assert "1000 times too small" in slipped.text
    assert "factor of 0.5" in check_mapping(make_mapping(8e-4), 4e-4).text


def test_other_units_and_no_slope_say_nothing():
    assert check_mapping(make_mapping(1e-4, "{SUVibw}g/ml"), 4e-4) is None
    assert check_mapping(make_mapping(0.0), 4e-4) is None
    assert check_mapping(Dataset(), 4e-4) is None
