from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nen_imaging.longitudinal.registration import RegistrationLimits, assess, liver_of, register, same_place
from nen_imaging.volume import Volume

LIMITS = RegistrationLimits()
REFERENCE = np.array([[-3.0, 0, 0, 120], [0, -3.0, 0, 100], [0, 0, 3.0, -90], [0, 0, 0, 1]])
TURNED = np.array([[0, 0, 3.5, -130], [0, -3.0, 0, 110], [3.0, 0, 0, -80], [0, 0, 0, 1]])


def liver_like(affine, shape, matrix=None):
    """A lopsided liver with two dark lesions; `matrix` maps reference points to this patient's points."""
    back = np.linalg.inv(matrix if matrix is not None else np.eye(4)) @ affine
    x, y, z = (back[:3, :3] @ np.indices(shape).reshape(3, -1) + back[:3, 3:]).reshape(3, *shape)
    right = ((x - 30) / 62) ** 2 + (y / 50) ** 2 + (z / 58) ** 2 < 1
    left = ((x + 30) / 60) ** 2 + ((y - 12) / 30) ** 2 + ((z - 18) / 28) ** 2 < 1
    inside = right | left
    hu = np.where(inside, 105.0, 20.0)
    for centre, radius in (((45, -10, 5), 16), ((-35, 12, 20), 11)):
        hu[np.linalg.norm(np.stack([x, y, z], -1) - centre, axis=-1) < radius] = 55
    return liver_of(Volume(hu.astype(np.int16), affine), Volume(inside.astype(np.uint8), affine))


def moved(turn=(5, -4, 7), scale=(1.04, 0.96, 1.03), shift=(14, -9, 25)):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix() @ np.diag(scale)
    matrix[:3, 3] = shift
    return matrix


@pytest.fixture(scope="module")
def reference():
    return liver_like(REFERENCE, (80, 66, 60))


def error_mm(reference, found, true):
    places = np.argwhere(reference.mask.array)
    points = np.c_[places, np.ones(len(places))] @ reference.mask.affine.T
    return np.linalg.norm((points @ (found - true).T)[:, :3], axis=1)


def test_a_liver_that_lies_otherwise_on_another_grid_is_found(reference):
    true = moved()
    found = register(reference, liver_like(TURNED, (60, 76, 80), true), LIMITS)
    assert error_mm(reference, found.matrix, true).max() < 4.0
    assert found.trusted
    assert found.liver_dice > 0.95
    assert np.linalg.det(found.matrix[:3, :3]) == pytest.approx(1.04 * 0.96 * 1.03, rel=0.04)


def test_the_same_input_gives_the_same_bytes(reference):
    other = liver_like(REFERENCE, (80, 66, 60), moved(shift=(0, 10, 0)))
    first, second = (register(reference, other, LIMITS).matrix for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_a_wrong_alignment_is_not_trusted_and_says_why(reference):
    matrix = np.eye(4)
    matrix[0, 3] = 60
    found = assess(reference, reference, matrix, LIMITS)
    assert not found.trusted
    assert "liver Dice" in found.reason
    assert "mm apart" in found.reason


def test_a_liver_cut_by_the_image_is_judged_where_it_is_seen(reference):
    whole = reference.mask.shape
    stop = np.array([whole[0], whole[1], whole[2] * 6 // 10])
    cut = type(reference)(*(part.cropped(np.zeros(3, int), stop) for part in (reference.hu, reference.mask)))
    assert assess(reference, cut, np.eye(4), LIMITS).liver_dice > 0.97


def test_the_reference_lies_on_itself(reference):
    found = same_place(reference)
    assert found.trusted
    assert assess(reference, reference, found.matrix, LIMITS).liver_dice == 1.0
    assert found.match_uncertainty_mm == pytest.approx(4.0)


def test_an_empty_mask_is_named():
    empty = Volume(np.zeros((4, 4, 4), np.uint8), np.eye(4))
    with pytest.raises(ValueError, match="liver mask is empty"):
        liver_of(empty, empty)
