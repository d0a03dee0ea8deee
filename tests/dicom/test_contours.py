"""Regions of an RT Structure Set as masks."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from nen_imaging.contract import Refusal
from nen_imaging.dicom.contours import Contours, mask_on, own_mask, read_contours
from nen_imaging.dicom.series import read_pet
from nen_imaging.measurement.peak import suv_peaks
from nen_imaging.phantom.dicom_writer import write_ct_series
from nen_imaging.phantom.rtstruct import write_rtstruct
from nen_imaging.volume import LPS_TO_RAS, Volume
from tests.dicom.oddities import opened, unpacked

AFFINE = LPS_TO_RAS @ np.array([[1.5, 0, 0, -30], [0, 1.5, 0, -20], [0, 0, 3.0, 40], [0, 0, 0, 1.0]])


def square(half_mm: float, z_mm: float, centre=(0.0, 0.0)) -> np.ndarray:
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half_mm + centre
    return np.column_stack([corners, np.full(4, z_mm)])


def test_a_mask_written_as_contours_comes_back_with_its_hole_and_its_second_island(tmp_path):
    mask = np.zeros((40, 30, 6), bool)
    mask[5:25, 4:24, 1:5] = True
    mask[10:18, 9:17, 2:4] = False
    mask[30:36, 10:15, 2] = True
    files = write_ct_series(tmp_path / "ct", Volume(np.zeros(mask.shape, np.int16), AFFINE))
    file = write_rtstruct(tmp_path / "rs.dcm", Volume(mask, AFFINE), files, "primary", "")
    (region,) = read_contours(pydicom.dcmread(file))
    assert region.name == "primary"
    np.testing.assert_array_equal(mask_on(region, Volume(np.zeros(mask.shape), AFFINE)), mask)


def test_without_an_image_a_region_has_its_own_grid_and_the_volume_drawn():
    rings = tuple(one for z in (10.0, 13.0, 16.0, 25.0) for one in (square(20, z), square(10, z)))
    found = own_mask(Contours("ring", rings))
    assert found.spacing_mm == pytest.approx([1, 1, 3])
    assert float(found.array.sum()) * found.voxel_volume_ml == pytest.approx(4 * 3 * (40**2 - 20**2) / 1000, rel=0.02)
    assert found.array.any(axis=(0, 1)).tolist() == [True, True, True, False, False, True]
    lps = (LPS_TO_RAS @ found.affine @ np.append(np.argwhere(found.array).mean(axis=0), 1))[:3]
    assert lps == pytest.approx([0, 0, 16], abs=0.5)


def test_a_region_drawn_across_the_body_is_read_as_well():
    coronal = tuple(square(12, y)[:, [0, 2, 1]] for y in (0.0, 4.0, 8.0))
    found = own_mask(Contours("coronal", coronal))
    assert float(found.array.sum()) * found.voxel_volume_ml == pytest.approx(3 * 4 * 24**2 / 1000, rel=0.05)


@pytest.mark.parametrize("digits", [2, 3])
@pytest.mark.parametrize(("spacing_mm", "count"), [(0.625, 161), (0.75, 240), (2.027, 240)])
def test_a_spacing_of_less_than_a_hundredth_leaves_no_slice_empty(spacing_mm, count, digits):
    depths = [round(-30 + spacing_mm * k, digits) for k in range(count)]
    found = own_mask(Contours("fine", tuple(square(20, z) for z in depths)))
    assert found.array.any(axis=(0, 1)).all()
    assert found.spacing_mm[2] == pytest.approx(spacing_mm, rel=1e-3)


@pytest.mark.parametrize(
    "outlines",
    [
        (square(9, 0.0),),
        (square(9, 0.0), square(9, 3.0)[:, [0, 2, 1]]),
        (square(9, 0.0), square(9, 1.0), square(9, 1e5)),
    ],
    ids=["one plane", "two directions", "far apart"],
)
def test_contours_that_enclose_no_volume_are_refused(outlines):
    with pytest.raises(Refusal) as caught:
        own_mask(Contours("odd", outlines))
    assert caught.value.reason.code == "region.unreadable"


def test_real_ring_with_holes_has_its_known_uptake(shared_data, tmp_path):
    """pet_siemens_body: 10477 voxels, SUVmax 16.106, mean 7.127, peak 14.717; the same by way of a grid of its own."""
    folder = unpacked(shared_data, "pet_siemens_body/pet_siemens_body", tmp_path)
    image = read_pet(opened(folder / "PET"))
    (region,) = read_contours(pydicom.dcmread(folder / "rtstruct_derived.dcm"))
    inside = mask_on(region, image.volume)
    assert suv_peaks(image.volume, inside)[1] == pytest.approx(14.716960, rel=1e-6)
    values = image.volume.array[inside]
    assert values.size == 10477
    assert float(values.max()) == pytest.approx(16.106176061, rel=1e-6)
    assert float(values.mean(dtype=float)) == pytest.approx(7.126817910, rel=1e-6)
    own = own_mask(region)
    assert float(own.array.sum()) * own.voxel_volume_ml == pytest.approx(442.56977, rel=0.005)
    refused = image.provenance["per_suvbw"]["sul_janmahasatian"]
    assert refused["code"] == "pet.height_missing"
