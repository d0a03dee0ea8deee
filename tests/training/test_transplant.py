"""Lesions of one patient in the liver of another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nen_imaging.training.transplant import lesions_of, transplant
from tests.training.conftest import make_liver


@pytest.fixture
def donor(case):
    """Two lesions, 40 and 50 HU darker than their parenchyma, and a speck that is too small."""
    hu, label = case.image.array.copy(), case.label.array.copy()
    for box, contrast in (((slice(20, 25),) * 3, 40), ((slice(28, 31), slice(16, 20), slice(18, 22)), 50)):
        hu[box] -= contrast
        label[box] = 2
    label[15, 20, 18] = 2
    small = case.image.with_array(hu)
    return replace(case, image=small, label=case.label.with_array(label))


def test_a_donors_lesions_are_its_components_against_its_own_parenchyma(donor):
    lesions = lesions_of(donor)
    assert [int(lesion.mask.sum()) for lesion in lesions] == [1, 125, 48]
    contrasts = [float(lesion.contrast_hu[lesion.mask > 0].mean()) for lesion in lesions[1:]]
    assert contrasts == pytest.approx([-40, -50], abs=3)


def test_a_liver_without_lesions_gives_none(case):
    assert lesions_of(case) == []


@pytest.mark.parametrize("seed", range(6))
def test_transplanted_lesions_lie_in_the_liver_and_change_nothing_else(donor, seed):
    image, label = make_liver(seed=9)
    before = image.array.astype(np.float32)
    hu, found = transplant(before, label.array, image.spacing_mm, [lesions_of(donor)[1:]], np.random.default_rng(seed))
    assert ((found > 0) == (label.array > 0)).all()
    assert (found == 2).any()
    assert (hu[label.array == 0] == before[label.array == 0]).all()
    assert hu[found == 2].mean() < 100 - 15
    assert (before == image.array).all()


def test_lesions_that_are_there_stay(donor):
    label = donor.label.array
    hu = donor.image.array.astype(np.float32)
    changed, found = transplant(hu, label, donor.image.spacing_mm, [lesions_of(donor)], np.random.default_rng(1))
    assert (found[label == 2] == 2).all()
    np.testing.assert_array_equal(changed[label == 2], hu[label == 2])


def test_nobody_gives_nothing_changes(case):
    hu, label = transplant(
        case.image.array.astype(np.float32), case.label.array, case.image.spacing_mm, [], np.random.default_rng(0)
    )
    np.testing.assert_array_equal(hu, case.image.array)
    np.testing.assert_array_equal(label, case.label.array)
