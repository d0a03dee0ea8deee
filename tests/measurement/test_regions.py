"""A reader's volume outside the liver is measured as a lesion is, on whatever grid it was drawn."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nen_imaging.config import Config
from nen_imaging.contract import VOI_COLUMNS
from nen_imaging.measurement import uptake
from nen_imaging.measurement.reader import read_reader, read_reader_region
from nen_imaging.measurement.shift import Shift
from nen_imaging.measurement.uptake import measure_uptake
from nen_imaging.stage import StageError, sha256_of
from nen_imaging.volume import Volume, write_nifti

CT_AFFINE, PET_AFFINE = np.diag([3.0, 3, 3, 1]), np.diag([4.0, 4, 4, 1])


def ball(shape, affine, centre_mm, radius_mm) -> np.ndarray:
    place = np.indices(shape).reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3]
    return (np.linalg.norm(place - centre_mm, axis=1) <= radius_mm).reshape(shape)


def make_staging():
    """A cube of liver (SUV 5) and, 100 mm away, a ball of SUV 30 in a background of 1."""
    labels = np.zeros((80, 40, 40), np.uint8)
    labels[4:34, 5:35, 5:35] = 1
    suv = np.ones((60, 30, 30), np.float32)
    suv[3:26, 4:27, 4:27] = 5
    suv[ball(suv.shape, PET_AFFINE, [180, 60, 60], 16)] = 30
    return Volume(np.where(labels, 60, 40).astype(np.int16), CT_AFFINE), Volume(suv, PET_AFFINE), labels


def test_a_region_on_a_fine_grid_of_its_own_has_the_uptake_of_its_place():
    ct, suv, labels = make_staging()
    fine = np.diag([1.0, 1, 1, 1])
    fine[:3, 3] = [150, 30, 30]
    mask = Volume(ball((60, 60, 60), fine, [180, 60, 60], 12), fine)
    found = measure_uptake(
        ct=ct, suv=suv, labels=ct.with_array(labels), instances=ct.with_array(np.zeros(ct.shape, np.uint16)),
        options=Config().options_of("uptake"), regions=[("primary", "ileum", mask)],
    )  # fmt: skip
    (row,) = found.regions
    assert tuple(row) == VOI_COLUMNS
    assert (row["voi"], row["organ"], row["suv_max"]) == ("primary", "ileum", 30)
    assert row["suv_mean"] == pytest.approx(30, abs=0.01)
    assert row["volume_ml"] == pytest.approx(4 / 3 * np.pi * 1.2**3, rel=0.02)
    assert row["tumour_to_liver_max"] == pytest.approx(6, rel=0.01)
    assert row["status"] == "positive" or "shift" in row["status_reason"]
    assert found.lesions == []
    assert found.organs["totals"]["hottest_lesion"] is None


def test_a_shift_of_the_pet_says_nothing_about_a_region_drawn_on_it(monkeypatch):
    ct, suv, labels = make_staging()
    monkeypatch.setattr(uptake, "measure_shift", lambda *_, **__: Shift(0.0, 0.0, 17.0, 17.0, 2.0))
    masks = [Volume(ball(grid.shape, grid.affine, [180, 60, 60], 8), grid.affine) for grid in (suv, ct)]
    found = measure_uptake(
        ct=ct, suv=suv, labels=ct.with_array(labels), instances=ct.with_array(np.zeros(ct.shape, np.uint16)),
        options=Config().options_of("uptake"), regions=[("one", "spine", mask) for mask in masks],
    )  # fmt: skip
    on_pet, on_ct = found.regions
    assert (on_pet["status"], on_pet["pet_shift_mm"]) == ("positive", 0)
    assert on_ct["status"] == "not evaluable"
    assert "17 mm apart" in on_ct["status_reason"]


def test_a_region_is_read_only_as_the_index_saw_it(tmp_path):
    write_nifti(tmp_path / "voi_1.nii.gz", Volume(np.ones((2, 2, 2), np.uint8), np.eye(4)))
    row = {"name": "n", "organ": "", "note": "", "file": "voi_1.nii.gz", "sha256": sha256_of(tmp_path / "voi_1.nii.gz")}
    (tmp_path / "reader.json").write_text(json.dumps({"mask": None, "lesions": [], "voi": [row]}))
    (region,) = read_reader(tmp_path / "reader.json").regions
    assert read_reader_region(tmp_path, region).array.all()
    write_nifti(tmp_path / "voi_1.nii.gz", Volume(np.zeros((2, 2, 2), np.uint8), np.eye(4)))
    with pytest.raises(StageError, match="run again"):
        read_reader_region(tmp_path, region)
