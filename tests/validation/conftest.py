"""A bundle, and a segmentation that needs none."""

from __future__ import annotations

import numpy as np
import pytest

from nen_imaging.segmentation.bundle import Bundle
from nen_imaging.segmentation.segment import Segmentation
from nen_imaging.validation.run import Validation


@pytest.fixture
def bundle(tmp_path) -> Bundle:
    """A bundle in name; it has learnt from one patient."""
    learnt = [{"case": "ircadb17_lits44", "patient": "3D-IRCADb-01 #17", "licence": "", "networks": "liver"}]
    return Bundle("fake", tmp_path, "0" * 64, "none", {"version": "1", "training_data": learnt}, {})


@pytest.fixture
def network(monkeypatch):
    """Segment by HU alone, as the small body allows it; returns the shapes of the images that it saw."""
    seen = []

    def segment_volume(ct, _bundle, **_options):
        seen.append(ct.oriented("LPS").array.tobytes())
        tissue = (ct.array > 45) & (ct.array < 200)
        labels = np.where(tissue, np.where(ct.array < 80, 2, 1), 0).astype(np.uint8)
        if not (labels == 1).any():
            labels[:] = 0
        chance = np.where(labels == 2, 230, 10).astype(np.uint8)
        return Segmentation(ct.with_array(labels), ct.with_array(chance), (20.0, 18.0, 22.0), (), "cpu")

    monkeypatch.setattr("nen_imaging.segmentation.segment.segment_volume", segment_volume)
    return seen


@pytest.fixture
def validation(tmp_path, bundle, network) -> Validation:  # noqa: ARG001 - the network is patched
    return Validation(tmp_path / "results", "msd", bundle)
