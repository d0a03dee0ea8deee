"""What is done to a patch before a network learns from it."""

from __future__ import annotations

import numpy as np
import torch

from nen_imaging.segmentation.preprocess import AIR_HU
from nen_imaging.training.augment import _cut


def test_beyond_a_cut_there_is_air_and_no_liver():
    """Most patches stay whole; of the others a box is kept as it was."""
    hu, ones = torch.full((20, 20, 20), 60.0), torch.ones((20, 20, 20))
    rng = np.random.default_rng(0)
    kept_shares = []
    for _ in range(60):
        cut, liver, lesion = _cut(hu, ones, ones, rng)
        kept = liver > 0
        assert ((cut == 60.0) == kept).all() and ((cut == AIR_HU) == ~kept).all()
        torch.testing.assert_close(liver, lesion)
        where = kept.nonzero()
        assert kept.sum() == (where.max(0).values - where.min(0).values + 1).prod()
        kept_shares.append(float(kept.float().mean()))
    assert 20 <= sum(share == 1 for share in kept_shares) <= 50
    assert min(kept_shares) < 0.4
