import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nen_imaging.measurement.diameters import (
    hull_volume_ml,
    in_plane_diameters,
    longest_3d_mm,
    sphere_diameter_mm,
)
from nen_imaging.volume import Volume, slice_axis, slice_plane
from tests.measurement.shapes import ORIENTATIONS, ellipsoid, grid, scanned_coronal


@pytest.mark.parametrize("spacing", [(0.7, 0.7, 1.0), (0.8, 0.8, 5.0), (1.0, 1.5, 2.5)])
@pytest.mark.parametrize(("a", "b"), [(10, 10), (15, 8), (6, 20)])
def test_an_ellipse_has_its_axes_as_diameters(spacing, a, b):
    volume = grid((80, 80, 11), spacing)
    found = in_plane_diameters(ellipsoid(volume, (a, b, 8)), volume.affine)
    assert found.longest_mm == pytest.approx(2 * max(a, b), abs=max(spacing[:2]))
    assert found.perpendicular_mm == pytest.approx(2 * min(a, b), abs=max(spacing[:2]))


def test_a_turned_ellipse_keeps_its_axes():
    volume = grid((90, 90, 3), (0.5, 0.5, 3))
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    place = (np.stack(np.indices(volume.shape), -1) @ volume.affine[:3, :3].T + volume.affine[:3, 3]) @ turn
    found = in_plane_diameters(((place / [18, 7, 5]) ** 2).sum(-1) <= 1, volume.affine)
    assert (found.longest_mm, found.perpendicular_mm) == pytest.approx((36, 14), abs=0.6)
    along = np.abs(found.longest_ends[1] - found.longest_ends[0]) / found.longest_mm
    assert along == pytest.approx([0.8, 0.6, 0], abs=0.06)


def test_end_points_span_the_diameters_and_stand_at_right_angles():
    volume = grid((60, 60, 9), (0.9, 0.9, 3))
    found = in_plane_diameters(ellipsoid(volume, (17, 9, 8), (3, -5, 2)), volume.affine)
    long, short = (ends[1] - ends[0] for ends in (found.longest_ends, found.perpendicular_ends))
    assert np.linalg.norm(long) == pytest.approx(found.longest_mm)
    assert np.linalg.norm(short) == pytest.approx(found.perpendicular_mm)
    assert long @ short == pytest.approx(0, abs=1e-6)
    assert found.longest_ends.mean(axis=0) == pytest.approx([-3, 5, 3], abs=1)  # LPS: x and y change sign


def test_the_slice_with_the_longest_diameter_counts():
    mask = np.zeros((9, 9, 3), bool)
    mask[2:5, 4, 0] = mask[1:8, 4, 1] = mask[3, 2:7, 2] = True
    found = in_plane_diameters(mask, np.eye(4))
    assert found.longest_mm == 7
    assert (found.longest_ends[:, 2] == 1).all()


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.8, 5.0)])
def test_a_single_voxel_is_as_long_as_it_is_wide(spacing):
    mask = np.ones((1, 1, 1), bool)
    assert in_plane_diameters(mask, np.diag([*spacing, 1])).longest_mm == pytest.approx(max(spacing[:2]))
    assert longest_3d_mm(mask, np.diag([*spacing, 1])) == pytest.approx(max(spacing))


@given(st.sampled_from(ORIENTATIONS), st.integers(0, 2**20))
@settings(max_examples=25, deadline=None)
def test_diameters_do_not_depend_on_how_the_array_is_laid_out(codes, seed):
    rng = np.random.default_rng(seed)
    mask = rng.random((6, 5, 4)) < 0.4
    mask[2, 2, 2] = True
    volume = Volume(mask, np.diag([0.7, 0.9, 3.0, 1]))
    turned = volume.oriented(codes)
    expected = in_plane_diameters(mask, volume.affine)
    found = in_plane_diameters(turned.array, turned.affine)
    assert found.longest_mm == pytest.approx(expected.longest_mm)
    assert longest_3d_mm(turned.array, turned.affine) == pytest.approx(longest_3d_mm(mask, volume.affine))


@given(st.floats(0.2, 4))
@settings(max_examples=10, deadline=None)
def test_diameters_scale_with_the_spacing(factor):
    volume = grid((20, 20, 5), (1, 1, 3))
    mask = ellipsoid(volume, (8, 5, 6))
    scaled = volume.affine @ np.diag([factor, factor, factor, 1])
    once, other = in_plane_diameters(mask, volume.affine), in_plane_diameters(mask, scaled)
    assert other.longest_mm == pytest.approx(factor * once.longest_mm)
    assert other.perpendicular_mm == pytest.approx(factor * once.perpendicular_mm)


@pytest.mark.parametrize("codes", ["RAS", "SRA", "LIP"])
@pytest.mark.parametrize(
    ("spacing", "plane", "axis"),
    [((0.7, 0.7, 5), "axial", "S"), ((0.7, 5, 0.7), "coronal", "A"), ((5, 0.7, 0.7), "sagittal", "R"),
     ((1, 1, 1), "axial", "S"), ((0.9, 0.9, 0.6), "axial", "S"), ((0.8, 1.0, 0.8), "axial", "S")],
)  # fmt: skip
def test_slices_run_across_the_widest_spacing_or_are_axial_where_spacings_are_nearly_even(spacing, plane, axis, codes):
    affine = grid((4, 4, 4), spacing).oriented(codes).affine
    opposite = {"R": "L", "A": "P", "S": "I"}[axis]
    assert codes[slice_axis(affine)] in (axis, opposite)
    assert slice_plane(affine) == plane


def test_a_coronal_series_is_measured_in_its_slices_as_an_axial_one_is():
    axial = grid((60, 60, 9), (0.8, 0.8, 6))
    mask = ellipsoid(axial, (17, 9, 14))
    coronal = scanned_coronal(axial)
    expected, found = (in_plane_diameters(mask, scan.affine) for scan in (axial, coronal))
    assert (found.longest_mm, found.perpendicular_mm) == (expected.longest_mm, expected.perpendicular_mm)
    assert found.longest_ends[0, 1] == found.longest_ends[1, 1]  # within one coronal slice


def test_nearly_even_voxels_are_measured_axially_however_they_were_reconstructed():
    volume = grid((50, 50, 60), (0.8, 1.0, 0.8))
    found = in_plane_diameters(ellipsoid(volume, (12, 9, 20)), volume.affine)
    assert found.longest_mm == pytest.approx(24, abs=1)


def test_a_sphere_has_its_diameter():
    volume = grid((60, 60, 60), (1, 1, 1))
    mask = ellipsoid(volume, (20, 20, 20))
    assert longest_3d_mm(mask, volume.affine) == pytest.approx(40, abs=1)
    assert sphere_diameter_mm(mask.sum() / 1000) == pytest.approx(40, abs=0.2)
    assert hull_volume_ml(mask, volume.affine) == pytest.approx(mask.sum() / 1000, rel=0.05)


def test_ibsi_digital_phantom_has_its_published_diameter(shared_data, tmp_path):
    """IBSI 1: maximum 3-D diameter 13.1 mm (mesh at one half), 74 voxels of 8 mm3."""
    import zipfile

    with zipfile.ZipFile(shared_data / "ibsi_phantoms" / "ibsi_1_digital_phantom.zip") as archive:
        archive.extractall(tmp_path)
    mask = np.asanyarray(nibabel.load(tmp_path / "nifti" / "mask" / "mask.nii.gz").dataobj) > 0
    assert mask.sum() == 74
    assert longest_3d_mm(mask, np.diag([2.0, 2, 2, 1])) == pytest.approx(13.1149, abs=1e-4)
