"""Variants change the image as they say, the same way each time, and leave the case alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nen_imaging.contract import Refusal
from nen_imaging.validation import VARIANTS
from nen_imaging.validation.cases import Case, LabelledCt
from nen_imaging.validation.variants import LOADS_PERCENT, varied
from nen_imaging.volume import Volume

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def content(*, lesions_labelled=True):
    """A liver of 110 HU in fat, a vessel of 160 and a lesion of 60 in it."""
    hu, truth = np.full((60, 60, 50), -100.0), np.zeros((60, 60, 50), np.uint8)
    hu[15:45, 15:45, 10:40], truth[15:45, 15:45, 10:40] = 110.0, 1
    hu[35:38, 15:45, 20:23] = 160.0
    hu[20:26, 20:26, 20:26], truth[20:26, 20:26, 20:26] = 60.0, 2
    noise = np.random.default_rng(0).normal(0, 5, hu.shape)
    ct = Volume((hu + noise).round().astype(np.int16), AFFINE)
    return LabelledCt(ct, Volume(truth, AFFINE), lesions_labelled=lesions_labelled)


PLAIN = content()
CASE = Case("one", content)
PARENCHYMA = (slice(30, 34), slice(30, 34), slice(30, 34))
VESSEL, LESION, FAT = (36, slice(18, 42), 21), (slice(22, 24),) * 3, (slice(0, 8),) * 3


def mean(changed, where):
    return float(changed.ct.array[where].mean())


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_is_the_same_each_time_and_another_for_another_case(name):
    first, again = varied(CASE, name).read(), varied(CASE, name).read()
    np.testing.assert_array_equal(first.ct.array, again.ct.array)
    np.testing.assert_array_equal(first.truth.array, again.truth.array)
    assert (first.ct.array != PLAIN.ct.array).any()
    assert first.ct.array.dtype == np.int16
    assert varied(CASE, name).variant == name
    if name in ("synthetic", "noisy"):
        other = varied(Case("two", content), name).read()
        assert (other.ct.array != first.ct.array).any()


def test_synthetic_lesions_reach_a_load_and_keep_those_that_are_there():
    truth = varied(CASE, "synthetic").read().truth.array
    load = 100 * (truth == 2).sum() / (truth > 0).sum()
    assert LOADS_PERCENT[0] - 3 < load < LOADS_PERCENT[1] + 5
    assert (truth[PLAIN.truth.array == 2] == 2).all()
    assert ((truth > 0) == (PLAIN.truth.array > 0)).all()


def test_what_was_known_of_the_truth_is_not_told_of_another_truth():
    case = Case("one", lambda: replace(content(), exact={"exact_load_percent": 1.0}))
    assert {name: bool(varied(case, name).read().exact) for name in VARIANTS} == dict.fromkeys(VARIANTS, True) | {
        "synthetic": False
    }


def test_unlabelled_lesions_leave_no_load_to_compare():
    case = Case("one", lambda: content(lesions_labelled=False))
    with pytest.raises(Refusal, match="not labelled"):
        varied(case, "synthetic").read()


def test_arterial_livers_are_pale_without_veins():
    changed = varied(CASE, "arterial").read()
    assert mean(changed, PARENCHYMA) == pytest.approx(mean(PLAIN, PARENCHYMA) - 30, abs=1)
    assert mean(changed, VESSEL) < mean(changed, PARENCHYMA) + 25 < mean(PLAIN, VESSEL) - 30
    assert mean(changed, FAT) == pytest.approx(mean(PLAIN, FAT), abs=0.1)


def test_about_half_of_arterial_patients_have_bright_lesions():
    bright = []
    for number in range(12):
        changed = varied(Case(f"patient {number}", content), "arterial").read()
        bright.append(mean(changed, LESION) > mean(changed, PARENCHYMA) + 20)
    assert 2 <= sum(bright) <= 10


def test_fat_darkens_the_liver_between_its_vessels():
    changed = varied(CASE, "fatty").read()
    assert mean(changed, PARENCHYMA) == pytest.approx(mean(PLAIN, PARENCHYMA) - 45, abs=1)
    assert mean(changed, LESION) == pytest.approx(mean(PLAIN, LESION) - 45, abs=1)
    assert mean(changed, VESSEL) == pytest.approx(mean(PLAIN, VESSEL), abs=5)


def test_noise_is_correlated_and_slices_are_thick():
    changed = varied(CASE, "noisy").read()
    liver = changed.ct.array[16:44, 16:34, 27:39].astype(float)
    assert liver.std() == pytest.approx(25, rel=0.15)
    assert np.corrcoef(liver[1:].ravel(), liver[:-1].ravel())[0, 1] > 0.1
