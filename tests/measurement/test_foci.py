"""Foci outside the liver: the ileal primary of a digital patient, and spots in organs that are made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nen_imaging.config import Config
from nen_imaging.measurement.uptake import measure_uptake
from nen_imaging.phantom.anatomy import digital_patient
from nen_imaging.phantom.organs import Organ
from nen_imaging.phantom.primary import with_primary
from nen_imaging.phantom.staging import staging
from nen_imaging.volume import LPS_TO_RAS
from tests.measurement.shapes import ellipsoid

OPTIONS = Config().options_of("uptake")


@pytest.fixture(scope="module", params=[3, 11])
def patient(request):
    return with_primary(digital_patient(request.param, 4.0))


@pytest.fixture(scope="module")
def scan(patient):
    return staging(patient.anatomy, 20, 1, with_pet=True)


def measure(scan, suv=None, **options):
    return measure_uptake(
        ct=scan.ct, suv=suv or scan.suv, labels=scan.labels, instances=scan.instances, options=OPTIONS | options
    )


def place_mm(row) -> np.ndarray:
    return LPS_TO_RAS[:3, :3] @ [row["x_mm"], row["y_mm"], row["z_mm"]]


def centre_mm(volume) -> np.ndarray:
    return volume.affine[:3, :3] @ np.argwhere(volume.array).mean(axis=0) + volume.affine[:3, 3]


def test_the_primary_is_the_only_candidate(patient, scan):
    found = measure(scan)
    (row,) = found.foci
    assert np.linalg.norm(place_mm(row) - centre_mm(patient.mask)) < 12
    assert row["suv_max"] == pytest.approx(24, rel=0.4)
    assert row["may_be"].startswith("soft tissue")
    assert found.organs["foci"]["candidates"] == 1
    assert found.organs["totals"] == measure(scan, suv=without(scan, patient.mask)).organs["totals"]


def without(scan, mask):
    """The PET with muscle in place of a region and all around it."""
    place = np.stack(np.indices(scan.suv.shape), -1) @ scan.suv.affine[:3, :3].T + scan.suv.affine[:3, 3]
    near = np.linalg.norm(place - centre_mm(mask), axis=-1) < 35
    return scan.suv.with_array(np.where(near, np.float32(0.7), scan.suv.array))


def test_a_focus_in_bone_is_called_so(patient, scan):
    spine = patient.anatomy.organs.array == Organ.BONE
    places = np.argwhere(spine) @ patient.anatomy.organs.affine[:3, :3].T + patient.anatomy.organs.affine[:3, 3]
    low = places[places[:, 2] < places[:, 2].min() + 25]
    suv = without(scan, patient.mask)
    spot = ellipsoid(suv, (9, 9, 9), low.mean(axis=0))
    found = measure(scan, suv=suv.with_array(np.where(spot, np.float32(15), suv.array)))
    (row,) = found.foci
    assert np.linalg.norm(place_mm(row) - low.mean(axis=0)) < 10
    assert row["volume_ml"] == pytest.approx(4 / 3 * np.pi * 0.9**3, rel=0.35)


def test_without_a_liver_to_compare_with_none_is_looked_for(scan):
    found = measure(scan, minimum_reference_ml=5000.0)
    assert found.foci == []
    assert found.organs["foci"] == {"refused": "no reference in the liver"}
