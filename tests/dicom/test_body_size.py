"""Body sizes against values computed by hand from the papers' formulas."""

from __future__ import annotations

import pytest

from nen_imaging.dicom import body_size


@pytest.mark.parametrize(
    ("size", "sex", "expected"),
    [  # 71 kg, 1.63 m: the patient of a public PET whose figures are published
        (body_size.lean_body_mass_james_kg, "M", 53.814255),
        (body_size.lean_body_mass_120_kg, "M", 55.332112),
        (body_size.lean_body_mass_janmahasatian_kg, "M", 52.855973),
        (body_size.ideal_body_weight_kg, "M", 59.66),
        (body_size.body_surface_m2, "M", 1.765986),
        (body_size.lean_body_mass_james_kg, "F", 47.889606),
        (body_size.lean_body_mass_120_kg, "F", 47.889606),
        (body_size.ideal_body_weight_kg, "F", 55.51),
    ],
)
def test_formulas(size, sex, expected):
    assert size(71.0, 1.63, sex) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("sex", ["O", None, ""])
def test_another_sex_takes_the_mean(sex):
    size = body_size.lean_body_mass_janmahasatian_kg
    both = (size(71, 1.63, "M") + size(71, 1.63, "F")) / 2
    assert body_size.for_sex(size, 71, 1.63, sex) == pytest.approx(both)
    assert body_size.for_sex(size, 71, 1.63, "F") == size(71, 1.63, "F")
