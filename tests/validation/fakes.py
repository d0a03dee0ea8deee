"""A bundle in name, and a segmentation that needs none."""

from __future__ import annotations

import numpy as np

from nen_imaging.segmentation.bundle import Bundle
from nen_imaging.segmentation.segment import Segmentation


def fake_bundle(folder) -> Bundle:
    """It has learnt from one patient."""
    learnt = [{"case": "ircadb17_lits44", "patient": "3D-IRCADb-01 #17", "licence": "", "networks": "liver"}]
    return Bundle("fake", folder, "0" * 64, "none", {"version": "1", "training_data": learnt}, {})


def patch_network(monkeypatch) -> list:
    """Segment by HU alone, as the small body allows it; returns the list of the images that it is going to see."""
    seen = []

    def segment_volume(ct, _bundle, **_options):
        seen.append(ct)
        tissue = (ct.array > 45) & (ct.array < 200)
        labels = np.where(tissue, np.where(ct.array < 80, 2, 1), 0).astype(np.uint8)
        if not (labels == 1).any():
            labels[:] = 0
        chance = np.where(labels == 2, 230, 10).astype(np.uint8)
        return Segmentation(ct.with_array(labels), ct.with_array(chance), (20.0, 18.0, 22.0), (), "cpu")

    monkeypatch.setattr("nen_imaging.segmentation.segment.segment_volume", segment_volume)
    return seen
