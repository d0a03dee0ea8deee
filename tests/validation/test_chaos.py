"""The convention of CHAOS."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nen_imaging.validation.chaos import chaos_figures, chaos_score
from nen_imaging.volume import read_nifti
from tests.validation.shapes import SPACING_MM, ball, textbook_distances


def test_the_published_figures_of_the_sample(shared_data):
    folder = shared_data / "chaos_scoring"
    truth, prediction = (read_nifti(folder / f"{name}.nii.gz") for name in ("ground", "segmentation"))
    found = chaos_figures(truth.array > 0, prediction.array > 0, truth.spacing_mm)
    assert [f"{found[name]:.3f}" for name in ("dice", "ravd_percent", "assd_mm")] == ["0.978", "0.665", "0.734"]
    assert found["mssd_mm"] == 14.0
    expected = json.loads((folder / "EXPECTED.json").read_text())["reproduced"]["scores"]["mean"]
    assert chaos_score(found) == pytest.approx(expected, abs=1e-9)


def test_a_small_twin_of_the_sample():
    """A ball cut by the first slice, as the sample's liver is: the cut is no surface."""
    truth, prediction = ball((24, 22, 14), (11, 11, 1), 8, SPACING_MM), ball((24, 22, 14), (12, 10, 1), 7, SPACING_MM)
    found = chaos_figures(truth, prediction, SPACING_MM)
    there, back = textbook_distances(truth, prediction, SPACING_MM, connectivity=1, beyond=1)
    both = np.concatenate([there, back])
    assert found["assd_mm"] == pytest.approx(both.mean())
    assert found["mssd_mm"] == pytest.approx(both.max())
    assert found["dice"] == pytest.approx(2 * (truth & prediction).sum() / (truth.sum() + prediction.sum()))
    assert found["ravd_percent"] == pytest.approx(100 * (truth.sum() - prediction.sum()) / truth.sum())


def test_scores_end_at_their_limits():
    perfect = {"dice": 1.0, "ravd_percent": 0.0, "assd_mm": 0.0, "mssd_mm": 0.0}
    assert chaos_score(perfect) == 100
    assert chaos_score({"dice": 0.79, "ravd_percent": 6.0, "assd_mm": 16.0, "mssd_mm": 61.0}) == 0


def test_an_empty_mask_has_the_worst_figures():
    mask = ball((8, 8, 4), (4, 4, 2), 3)
    found = chaos_figures(mask, np.zeros_like(mask), SPACING_MM)
    assert found == {"dice": 0.0, "ravd_percent": 100.0, "assd_mm": 12.0, "mssd_mm": 12.0}
    assert chaos_score(found) == pytest.approx((100 * (1 - 12 / 15) + 100 * (1 - 12 / 60)) / 4)
