"""Order, gaps, duplicates, tilt and affine of a series."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from scipy.spatial.transform import Rotation

from nen_imaging.contract import Refusal
from nen_imaging.dicom.geometry import Arrangement, Plane, arrange, plane_of
from nen_imaging.dicom.regrid import build_volume
from nen_imaging.dicom.series import read_ct
from nen_imaging.phantom.dicom_writer import write_ct_series
from nen_imaging.volume import LPS_TO_RAS, Volume, require_same_grid
from tests.dicom.datasets import changed
from tests.itk import from_itk

AXIS_ORDERS = [
    np.array([[sign * (axis == row) for axis, sign in zip(axes, signs, strict=True)] for row in range(3)], float)
    for axes in itertools.permutations(range(3))
    for signs in itertools.product((1.0, -1.0), repeat=3)
]


def make_planes(
    depths_mm: Sequence[float], *, rotation: np.ndarray | None = None, lean: float = 0.0, spacing_mm: float = 0.8
) -> list[Plane]:
    """Slices at given depths along their normal; each moved down its columns by `lean` mm per mm of depth."""
    axes = np.eye(3) if rotation is None else rotation
    return [
        Plane(depth * axes[:, 2] + lean * depth * axes[:, 1], axes[:, 0], axes[:, 1], spacing_mm, spacing_mm, 16, 16)
        for depth in depths_mm
    ]


def arranged(planes: list[Plane], **options: float) -> Arrangement:
    return arrange(planes, list(range(len(planes))), **options)


def refusal_of(planes: list[Plane], contents: list[object] | None = None) -> tuple[str, str]:
    with pytest.raises(Refusal) as caught:
        arrange(planes, contents or list(range(len(planes))))
    return caught.value.reason.code, caught.value.reason.text


def read_back(folder, **options):
    return read_ct(((file.name, file.open("rb")) for file in sorted(folder.iterdir())), **options)


@pytest.mark.parametrize("axes", AXIS_ORDERS, ids=lambda axes: "".join(f"{int(x):+d}" for x in axes @ [1, 2, 3]))
def test_each_of_48_axis_orders_is_placed_as_simpleitk_places_it(axes, tmp_path):
    affine = np.eye(4)
    affine[:3, :3] = axes * [0.7, 1.1, 2.5]
    affine[:3, 3] = [-12.5, 33.0, 104.25]
    array = np.random.default_rng(3).integers(-1000, 1000, (5, 6, 4)).astype(np.int16)
    write_ct_series(tmp_path, Volume(array, affine), slice_order="shuffled")

    mine = read_back(tmp_path).volume.oriented("RAS")

    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path))
    theirs = from_itk(SimpleITK.ReadImage(names)).oriented("RAS")
    require_same_grid(mine, theirs, tolerance_mm=1e-4)
    np.testing.assert_array_equal(mine.array, theirs.array)
    np.testing.assert_array_equal(mine.array, Volume(array, affine).oriented("RAS").array)


@settings(max_examples=25, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    spacing_mm=st.floats(0.5, 8.0),
    count=st.integers(3, 30),
    seed=st.integers(0, 1000),
)
def test_any_oblique_stack_in_any_order_keeps_every_pixel_at_its_place(angles, spacing_mm, count, seed):
    rotation = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    planes = make_planes(np.arange(count) * spacing_mm, rotation=rotation)
    shuffled = np.random.default_rng(seed).permutation(count)
    arrangement = arranged([planes[n] for n in shuffled])

    assert [int(shuffled[n]) for n in arrangement.order] == list(range(count))
    assert not arrangement.tilted
    plane = planes[count - 1]
    point = (
        plane.position_mm + 3 * plane.column_spacing_mm * plane.along_row + 5 * plane.row_spacing_mm * plane.down_column
    )
    np.testing.assert_allclose(
        (arrangement.affine @ [3, 5, count - 1, 1])[:3], (LPS_TO_RAS @ [*point, 1])[:3], atol=1e-6 * count * spacing_mm
    )


def test_missing_slices_are_named_with_their_gap():
    depths = [3.0 * n for n in range(20) if n not in (12, 13, 14)]
    code, text = refusal_of(make_planes(depths))
    assert code == "slices.missing"
    assert text == "slices 13-15 missing: gap of 12.0 mm after z=33.0, expected 3.0 mm"


def test_one_missing_slice_of_several_gaps_is_named_by_its_number_in_the_whole_series():
    depths = [3.0 * n for n in range(20) if n not in (4, 11, 12)]
    code, text = refusal_of(make_planes(depths))
    assert code == "slices.missing"
    assert text.startswith("slice 5 missing: gap of 6.0 mm after z=9.0")
    assert "slices 12-13 missing: gap of 9.0 mm after z=30.0" in text


def test_identical_copies_are_dropped_and_said():
    planes = make_planes([0, 3, 3, 6, 9])
    arrangement = arrange(planes, ["a", "b", "b", "c", "d"])
    assert arrangement.order == (0, 1, 3, 4)
    assert [reason.code for reason in arrangement.reasons] == ["slices.duplicate"]


def test_different_slices_at_one_place_are_refused():
    code, text = refusal_of(make_planes([0, 3, 3, 6, 9]), ["a", "b", "x", "c", "d"])
    assert code == "slices.conflict"
    assert "z = 3.00 mm" in text


def test_uneven_slices_are_refused_with_the_largest_deviation_and_resampled_when_asked():
    depths = np.array([0, 3, 6, 9, 13, 16, 19, 22.0])
    code, text = refusal_of(make_planes(depths))
    assert code == "slices.uneven"
    assert "from 3.00 to 4.00 mm" in text

    arrangement = arrange(make_planes(depths), list(range(8)), resample_uneven=True)
    slices = [np.full((16, 16), 10 * depth, np.float32) for depth in depths]
    volume = build_volume(slices, arrangement, outside=-1)
    assert [reason.code for reason in arrangement.reasons] == ["slices.resampled"]
    np.testing.assert_allclose(volume.array[8, 8], 30.0 * np.arange(8), atol=1e-3)  # linear in depth stays linear


def test_a_single_missing_slice_is_interpolated_when_asked_and_a_larger_gap_never():
    depths = [3.0 * n for n in range(20) if n not in (4, 11)]
    arrangement = arrange(make_planes(depths), depths, resample_uneven=True)
    assert "one every 3 mm; up to 6 mm lay between two" in arrangement.reasons[0].text
    volume = build_volume([np.full((16, 16), 10 * depth, np.float32) for depth in depths], arrangement, outside=-1)
    np.testing.assert_allclose(volume.array[8, 8], 30.0 * np.arange(20), atol=1e-3)
    with pytest.raises(Refusal, match=r"slices 5-6 missing: gap of 9\.0 mm"):
        arrange(make_planes(depths[:4] + depths[5:]), depths[:4] + depths[5:], resample_uneven=True)


def test_rounded_positions_are_even():
    depths = np.round(np.arange(200) * 2 / 3, 2)
    arrangement = arranged(make_planes(depths))
    assert arrangement.slice_spacing_mm == pytest.approx(2 / 3, abs=1e-4)
    assert not arrangement.uneven


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_slices_are_refused(count):
    assert refusal_of(make_planes(np.arange(count) * 3.0))[0] == "slices.too_few"


def test_copies_do_not_make_a_volume():
    assert refusal_of(make_planes([0, 0, 0, 3]), ["a", "a", "a", "b"])[0] == "slices.too_few"


def test_slices_of_other_orientation_or_size_are_refused():
    turned = make_planes([9.0], rotation=Rotation.from_euler("x", 90, degrees=True).as_matrix())
    assert refusal_of(make_planes([0, 3, 6]) + turned)[0] == "geometry.inconsistent"
    assert refusal_of(make_planes([0, 3, 6]) + make_planes([9.0], spacing_mm=0.9))[0] == "geometry.inconsistent"


def test_a_tilted_stack_is_straightened():
    """A ball in a stack leaning by 15 degrees lies, after import, where it was in the patient."""
    lean = np.tan(np.radians(15))
    planes = make_planes(np.arange(12) * 2.0, lean=lean)
    centre = np.array([6.4, 9.0, 11.0])  # LPS, mm
    index = np.arange(16) * 0.8

    def slice_pixels(plane: Plane) -> np.ndarray:
        x, y = np.meshgrid(index + plane.position_mm[0], index + plane.position_mm[1], indexing="ij")
        return np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (plane.position_mm[2] - centre[2]) ** 2) / 18)

    arrangement = arranged(planes)
    volume = build_volume([slice_pixels(plane) for plane in planes], arrangement, outside=0.0)

    assert [reason.code for reason in arrangement.reasons] == ["slices.tilted"]
    assert "15.0 degrees" in arrangement.reasons[0].text
    assert volume.shape[1] > 16  # nothing is cut off
    directions = volume.affine[:3, :3] / volume.spacing_mm
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-9)
    weights = volume.array / volume.array.sum()
    mean_index = [float((weights * axis).sum()) for axis in np.indices(volume.shape)]
    place = LPS_TO_RAS @ volume.affine @ [*mean_index, 1]
    np.testing.assert_allclose(place[:3], centre, atol=0.3)


def test_slices_moved_sideways_at_random_are_no_tilt():
    planes = make_planes([0.0, 3.0, 6.0, 9.0, 12.0])
    planes[2] = dataclasses.replace(planes[2], position_mm=np.array([0.0, 5.0, 6.0]))
    assert refusal_of(planes)[0] == "geometry.inconsistent"


def make_dataset(**changes: object) -> Dataset:
    image = Dataset()
    image.ImagePositionPatient, image.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    image.PixelSpacing, image.Rows, image.Columns = [0.9, 0.7], 4, 5
    return changed(image, changes)


def test_pixel_spacing_is_between_rows_first():
    plane = plane_of(make_dataset())
    assert (plane.row_spacing_mm, plane.column_spacing_mm) == (0.9, 0.7)


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_missing_geometry_is_refused_by_name(keyword):
    with pytest.raises(Refusal, match=keyword) as caught:
        plane_of(make_dataset(**{keyword: None}))
    assert caught.value.reason.code == "geometry.missing"


def test_rounded_cosines_are_made_right_angled_and_wrong_ones_refused():
    plane = plane_of(make_dataset(ImageOrientationPatient=[0.999, 0.005, 0, 0, 1, 0.003]))
    assert abs(plane.along_row @ plane.down_column) < 1e-12
    assert np.linalg.norm(plane.along_row) == pytest.approx(1, abs=1e-12)
    with pytest.raises(Refusal) as caught:
        plane_of(make_dataset(ImageOrientationPatient=[1, 0, 0, 0.7, 0.7, 0]))
    assert caught.value.reason.code == "geometry.inconsistent"
