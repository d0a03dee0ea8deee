import numpy as np
import pytest

from nen_imaging.phantom.anatomy import digital_patient
from nen_imaging.phantom.course import course, new_lesions
from nen_imaging.phantom.lesions import lesion_map


@pytest.fixture(scope="module")
def patient():
    return digital_patient(1, 4.0)


def load_percent(patient, lesions):
    return 100 * np.count_nonzero(lesions.instances) / patient.liver.array.sum()


@pytest.mark.parametrize("load", [0, 1, 10, 50, 75])
def test_the_load_is_met(patient, load):
    lesions = lesion_map(patient, new_lesions(patient, 15, np.random.default_rng(1)), load)
    assert load_percent(patient, lesions) == pytest.approx(load, abs=0.01)


def test_lesions_lie_in_the_liver_and_are_deepest_inside(patient):
    lesions = course(patient, [20], 3)[0]
    diseased = lesions.instances > 0
    assert not (diseased & ~patient.liver.array).any()
    in_liver = diseased[patient.liver.array]
    assert (lesions.depth[~in_liver] == 0).all()
    assert lesions.depth.max() > 0.8
    np.testing.assert_array_equal(lesions.edge_mm > 0, in_liver)
    assert {lesion.identity for lesion in lesions.lesions} == set(np.unique(lesions.instances)) - {0}


def test_identities_stay_while_lesions_grow(patient):
    small, large = course(patient, [5, 15], 7, count=4)
    kept = {lesion.identity for lesion in small.lesions} & {lesion.identity for lesion in large.lesions}
    assert kept == {lesion.identity for lesion in small.lesions}
    centres = [{lesion.identity: lesion.centre_mm for lesion in staging.lesions} for staging in (small, large)]
    assert all(centres[0][identity] == centres[1][identity] for identity in kept)
    assert all((large.instances == n).sum() > (small.instances == n).sum() for n in kept)


def test_lesions_appear_and_vanish_where_told(patient):
    stagings = course(patient, [20, 25, 15], 8, count=5, new_at={1: 3}, gone_at={2: 4})
    identities = [{lesion.identity for lesion in staging.lesions} for staging in stagings]
    assert identities[0] <= {1, 2, 3, 4, 5}
    assert identities[1] & {6, 7, 8}
    assert len(identities[2]) <= 4
    assert identities[2] <= {1, 2, 3, 4, 5, 6, 7, 8}
