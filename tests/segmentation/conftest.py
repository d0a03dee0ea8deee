"""Bundles of untrained networks, made in moments."""

from __future__ import annotations

import numpy as np
import pytest

from nen_imaging.training.export import random_bundle
from nen_imaging.volume import Volume


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory):
    """Untrained networks that call half of a torso liver: where means nothing, but it must be the same everywhere."""
    return random_bundle(tmp_path_factory.mktemp("models"), seed=3)


@pytest.fixture(scope="session")
def torso() -> Volume:
    """A cylinder of soft tissue in air with a brighter ball on the patient's right, LPS, 6 mm."""
    shape = np.array([34, 30, 33])
    index = np.indices(shape).transpose(1, 2, 3, 0) - (shape - 1) / 2
    body = (index[..., 0] / 15) ** 2 + (index[..., 1] / 12) ** 2 < 1
    ball = ((index + np.array([6, 0, -2])) ** 2).sum(-1) < 49
    hu = np.where(ball, 110, np.where(body, 40, -1000)).astype(np.int16)
    affine = np.diag([-6.0, -6.0, 6.0, 1.0])
    affine[:3, 3] = 100, 80, -200
    return Volume(hu, affine)
