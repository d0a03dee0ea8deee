"""The body's edge on PET and CT: an independent word on the shift across the body."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from nen_imaging.measurement.body_edge import fit_body, held_against_body
from nen_imaging.measurement.lesion_uptake import References
from nen_imaging.measurement.organs import Abdomen
from nen_imaging.measurement.reference import Uptake
from nen_imaging.measurement.shift import Shift
from nen_imaging.measurement.uptake import _reasons
from tests.measurement.shapes import ellipsoid, grid

LIVER = Shift(0.0, 0.0, 8.0, 8.0, 2.0)


def abdomen(*, cut=0):
    """A body of soft tissue under a layer of fat, on a thin table; the CT's field of view ends ``cut`` voxels early."""
    volume = grid((110, 90, 30), (3.0,) * 3)
    hu = np.full(volume.shape, -1000.0)
    hu[ellipsoid(volume, (140, 100, 1e6))] = -100
    hu[ellipsoid(volume, (120, 80, 1e6))] = 50
    hu[10:100, 8] = 100
    seen = volume.with_array(hu.astype(np.float32)).cropped(np.array([cut, 0, 0]), np.array(volume.shape))
    return Abdomen(seen, np.zeros(seen.shape, bool))


def pet(moved_mm, *, noise=0.15, level=1.0):
    """The same body, moved (RAS), with a hot organ near its right edge; PET voxels of 4 mm."""
    volume = grid((110, 90, 24), (4.0,) * 3)
    moved = np.array(moved_mm, float)
    suv = 0.25 * ellipsoid(volume, (140, 100, 1e6), moved) + 0.5 * ellipsoid(volume, (120, 80, 1e6), moved)
    suv[ellipsoid(volume, (30, 40, 30), moved + np.array([85, 0, 0]))] = 15
    suv = ndimage.gaussian_filter(level * suv, 6 / 2.355 / 4) + np.random.default_rng(0).normal(0, noise, suv.shape)
    return volume.with_array(np.clip(suv, 0, None).astype(np.float32))


@pytest.mark.parametrize("moved_mm", [(0, 0, 0), (6, 0, 8), (-5, 9, 0)])
@pytest.mark.parametrize("cut", [0, 25])
def test_a_known_shift_is_found_across_the_body_also_where_the_ct_cuts_it(moved_mm, cut):
    fit = fit_body(pet(moved_mm), abdomen(cut=cut), fwhm_mm=6.0)
    assert fit.moved_mm == pytest.approx([-moved_mm[0], -moved_mm[1], 0], abs=1.0)


def test_without_a_body_or_its_edge_nothing_is_told():
    assert "shows no body" in fit_body(pet((0, 0, 0), noise=0, level=0), abdomen(), fwhm_mm=6.0)
    snow = pet((0, 0, 0)).with_array(np.random.default_rng(1).random((110, 90, 24), np.float32))
    assert "not seen" in fit_body(snow, abdomen(), fwhm_mm=6.0)
    assert "not seen" in fit_body(pet((40, 0, 0)), abdomen(), fwhm_mm=6.0)
    assert held_against_body(LIVER, pet((40, 0, 0)), abdomen(), fwhm_mm=6.0) == LIVER


def test_what_agrees_leaves_the_uncertainty_and_what_disagrees_raises_it():
    agreed = held_against_body(LIVER, pet((0, 0, 0)), abdomen(), fwhm_mm=6.0)
    assert (agreed.length_mm, agreed.uncertainty_mm) == (8.0, 2.0)
    assert agreed.apart_mm < 1
    moved = held_against_body(LIVER, pet((-12, 4, 0)), abdomen(), fwhm_mm=6.0)
    assert moved.uncertainty_mm == pytest.approx(np.hypot(12, 4), abs=1)
    assert moved.length_mm == 8.0
    assert [round(moved.body_x_mm), round(moved.body_y_mm)] == [12, -4]
    unknown = replace(LIVER, x_mm=None, y_mm=None, length_mm=None, uncertainty_mm=None)
    known = held_against_body(unknown, pet((-12, 4, 0)), abdomen(), fwhm_mm=6.0)
    assert (known.length_mm, known.uncertainty_mm, round(known.body_x_mm)) == (None, None, 12)


@pytest.mark.parametrize(
    ("shift", "codes", "text"),
    [
        (replace(LIVER, body_x_mm=3.0, body_y_mm=-4.0), [], ""),
        (replace(LIVER, body_x_mm=9.0, body_y_mm=-12.0), ["pet.shift_unknown"], "15 mm apart"),
        (replace(LIVER, length_mm=14.0, body_x_mm=9.0, body_y_mm=9.0), ["pet.shifted", "pet.shift_unknown"], "13 mm"),
        (Shift(None, None, None, None, None, "not measured: no edge", body_x_mm=3.0, body_y_mm=4.0),
         ["pet.shift_unknown"], "body's edge lies 5 mm off"),
    ],
)  # fmt: skip
def test_a_staging_is_warned_where_the_edges_disagree_or_only_the_bodys_is_known(shift, codes, text):
    reasons = _reasons(References(Uptake(6.0, 1.0, 500.0), Uptake(), Uptake(), shift), 1.0)
    assert [reason.code for reason in reasons] == codes
    assert text in " ".join(reason.text for reason in reasons)
