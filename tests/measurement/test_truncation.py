import numpy as np
import pytest

from nen_imaging.measurement.truncation import cut_faces
from nen_imaging.volume import Volume
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


@pytest.mark.parametrize(("codes", "face"), [("RSA", "back"), ("SAR", "left")])
def test_a_coronal_or_sagittal_scan_ends_with_its_content_too(codes, face):
    """Padding slices, and the black rows of a reformat that is shorter than it is wide."""
    ct, labels = scan(slice(4, 20), padding=4)
    coronal = [Volume(image.array, grid(image.shape, (2.0, 2.0, 6.0)).oriented(codes).affine) for image in (ct, labels)]
    assert cut_faces(*coronal) == [face]
    reformat = [Volume(image.array, image.affine @ np.diag([1, 3.0, 1, 1])) for image in (ct, labels)]
    assert cut_faces(*reformat) == ["bottom"]


@pytest.mark.parametrize("codes", ORIENTATIONS[::7])
def test_faces_are_named_for_the_patient_and_not_for_the_array(codes):
    ct, labels = scan(slice(10, 30))
    assert cut_faces(ct.oriented(codes), labels.oriented(codes)) == ["top"]
