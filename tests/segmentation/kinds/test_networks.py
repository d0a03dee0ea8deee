"""From the networks' logits to liver and lesions, by all that the bundle's calibration says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from nen_imaging.segmentation.bundle import read_inference
from nen_imaging.segmentation.calibration import Calibration
from nen_imaging.segmentation.kinds.networks import _organ
from nen_imaging.segmentation.two_stage import FineView
from nen_imaging.volume import Volume

BALL = np.linalg.norm(np.indices((64, 64, 64)) - 31.5, axis=0) < 26


@pytest.fixture
def view() -> FineView:
    """A liver with a lesion that is sure in its middle and one that is not."""
    lesion = np.full(BALL.shape, -6.0, np.float32)
    lesion[20:30, 24:40, 24:40] = 0.5
    lesion[36:46, 24:40, 24:40] = 0.5
    lesion[40, 30:34, 30:34] = 3.0
    liver = (12 * (gaussian_filter(BALL.astype(np.float32), 1) - 0.5)).astype(np.float32)
    grid = Volume(np.full(BALL.shape, 100, np.int16), np.diag([-2.0, -2.0, 2.0, 1.0]))
    return FineView(grid, liver, lesion, BALL.astype(np.float32), np.ones(BALL.shape, bool), 100.0)


def lesions(view: FineView, tiny_bundle, **calibration) -> list[bool]:
    """Which of the two lesions is found."""
    inference = read_inference(tiny_bundle)
    inference = inference.model_copy(update={"calibration": inference.calibration.model_copy(update=calibration)})
    organ = _organ(view, inference)
    assert organ is not None
    found = organ.lesion.array >= 0.5
    return [bool(found[25, 32, 32]), bool(found[41, 32, 32])]


def test_a_lesion_that_is_sure_nowhere_is_none(view, tiny_bundle):
    assert lesions(view, tiny_bundle) == [True, True]
    assert lesions(view, tiny_bundle, lesion_peak=0.9) == [False, True]


def test_lesions_are_found_by_the_shifted_logit(view, tiny_bundle):
    assert lesions(view, tiny_bundle, lesion_shift=-1.0) == [False, False]
    assert lesions(view, tiny_bundle, lesion_shift=2.0, lesion_peak=0.9) == [True, True]


def test_more_than_the_load_of_the_patient_asks_for_vanishes(view, tiny_bundle):
    """The expected load is low, so that its logit, weighed, lowers that of every voxel."""
    assert lesions(view, tiny_bundle, load_weight=1.0) == [False, False]


def test_a_low_load_does_not_lower_its_own_small_lesions_further():
    """Both livers count as one with a load of 30 %."""
    empty, small = np.full(100, -6.0, np.float32), np.r_[np.full(98, -6.0), 2.0, 2.0].astype(np.float32)
    calibration = Calibration(load_weight=1.0)
    inside = np.ones(100, bool)
    lowered = [float((logit - calibration.lesion_logit(logit, inside))[0]) for logit in (empty, small)]
    assert lowered == pytest.approx([np.log(0.7 / 0.3)] * 2, abs=1e-4)
