"""Slices are put where their positions say, or refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydicom import dcmread

from nen_imaging.contract import Refusal
from nen_imaging.dicom.geometry import plane_of
from nen_imaging.dicom.image import read_image
from nen_imaging.dicom.segmentation_image import read_segments
from nen_imaging.phantom.dicom_writer import write_ct_series
from nen_imaging.validation.archives import opened
from nen_imaging.validation.masks import mask_on, png_slices, slices_of
from tests.validation.layouts import as_chaos, body, seg_of

CT, TRUTH = body()
LIVER = TRUTH.array > 0


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """The body's CT as files and as it is read again, with the plane of every slice."""
    folder = tmp_path_factory.mktemp("ct")
    files = write_ct_series(folder, CT)
    return files, read_image(folder).volume, [plane_of(dcmread(file, stop_before_pixels=True)) for file in files]


def test_slices_in_any_order(series):
    _, ct, planes = series
    slices = [(plane, LIVER[:, :, k]) for k, plane in enumerate(planes)]
    assert np.array_equal(mask_on(ct, slices[::-1]), LIVER)
    assert np.array_equal(mask_on(ct, slices[5:9]).any(axis=(0, 1)), [5 <= k < 9 for k in range(LIVER.shape[2])])


def test_a_slice_between_slices_is_refused(series):
    _, ct, planes = series
    moved = [(replace(planes[0], position_mm=planes[0].position_mm + 2.0), LIVER[:, :, 0])]
    with pytest.raises(Refusal, match=r"at \(-158.0, -118.0, -308.0\) mm lies on no slice"):
        mask_on(ct, moved)


@pytest.mark.parametrize("change", [{"along_row": np.array([0.0, 1.0, 0.0])}, {"row_spacing_mm": 7.0}])
def test_a_slice_that_lies_otherwise_in_its_plane_is_refused(series, change):
    _, ct, planes = series
    with pytest.raises(Refusal, match="lies on no slice"):
        mask_on(ct, [(replace(planes[0], **change), LIVER[:, :, 0])])


def test_a_mask_of_another_size_is_refused(series):
    _, ct, planes = series
    with pytest.raises(Refusal, match="lies on no slice"):
        mask_on(ct, [(planes[0], LIVER[1:, :, 0])])


def test_a_mask_on_a_grid_of_its_own(series):
    _, ct, _ = series
    whole = TRUTH.with_array(LIVER)
    part = whole.cropped(np.array([0, 0, 3]), np.array([*LIVER.shape[:2], 20]))
    assert np.array_equal(mask_on(ct, slices_of(part)), LIVER)


def test_segments_of_a_seg(series):
    files, ct, _ = series
    liver, mass = read_segments(seg_of(files, {"Liver": LIVER, "Mass": TRUTH.array == 2}))
    assert np.array_equal(mask_on(ct, slices_of(liver.mask)), LIVER)
    assert np.array_equal(mask_on(ct, slices_of(mass.mask)), TRUTH.array == 2)


def test_png_masks_need_one_per_slice(tmp_path):
    as_chaos(tmp_path, 1, CT, TRUTH)
    next((tmp_path / "1" / "Ground").iterdir()).unlink()
    with pytest.raises(Refusal, match="There are 26 slices, but 25 masks"):
        list(png_slices(tmp_path / "1" / "Ground", tmp_path / "1" / "DICOM_anon"))


def test_a_broken_archive_is_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"no archive")
    with pytest.raises(Refusal, match=r"a.zip cannot be unpacked"), opened(tmp_path / "a.zip"):
        pass
