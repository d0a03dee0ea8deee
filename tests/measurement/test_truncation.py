import numpy as np
import pytest

from nen_imaging.measurement.truncation import cut_faces
from tests.measurement.shapes import ORIENTATIONS, grid


def scan(z_of_liver, padding=0, lateral=False):
    """A CT (HU) of noise and its labels, with `padding` empty slices at both ends."""
    labels = grid((40, 40, 30), (2.0, 2.0, 2.0))
    labels.array[0 if lateral else 10 : 30, 10:30, z_of_liver] = 1
    hu = np.random.default_rng(0).normal(50, 40, labels.shape)
    if padding:
        hu[:, :, :padding] = hu[:, :, -padding:] = -1000
    return labels.with_array(hu), labels


def test_a_whole_liver_is_not_cut():
    assert cut_faces(*scan(slice(1, 29))) == []


@pytest.mark.parametrize(("z", "face"), [(slice(0, 20), "bottom"), (slice(10, 30), "top")])
def test_the_cut_face_is_named(z, face):
    assert cut_faces(*scan(z)) == [face]


def test_a_lateral_edge_counts_too():
    assert cut_faces(*scan(slice(5, 20), lateral=True)) == ["left"]


def test_padding_is_not_the_end_of_the_scan():
    assert cut_faces(*scan(slice(4, 20), padding=4)) == ["bottom"]


def test_a_few_voxels_at_the_edge_are_no_cut():
    ct, labels = scan(slice(5, 20))
    labels.array[20:24, 20:26, :5] = 1  # 24 voxels of 4 mm2
    assert cut_faces(ct, labels) == []


@pytest.mark.parametrize("codes", ORIENTATIONS[::7])
def test_faces_are_named_for_the_patient_and_not_for_the_array(codes):
    ct, labels = scan(slice(10, 30))
    assert cut_faces(ct.oriented(codes), labels.oriented(codes)) == ["top"]
