"""The rows of the model card."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nen_imaging.segmentation.segment import Segmentation
from nen_imaging.training.evaluate import evaluate


@pytest.fixture
def found(case, monkeypatch):
    """The labels that the network is going to find, at first those of the truth, here with a lesion of 8 voxels."""
    labels = case.label.array.copy()
    labels[20:22, 20:22, 20:22] = 2

    def segment_volume(image, _bundle, **_options):
        return Segmentation(image.with_array(labels), image.with_array(labels), (), (), "cpu")

    monkeypatch.setattr("nen_imaging.training.evaluate.segment_volume", segment_volume)
    return labels


def test_a_row_holds_dice_and_loads(case, found):
    truth = case.label.with_array(found.copy())
    found[20:22, 20:22, 20] = 1
    row = evaluate(replace(case, label=truth), None)
    liver = np.count_nonzero(found)
    assert (row["scan"], row["liver_dice"], row["lesion_dice"]) == ("one", 1.0, round(2 * 4 / 12, 3))
    assert (row["load_percent"], row["true_load_percent"]) == (round(400 / liver, 2), round(800 / liver, 2))


def test_what_cannot_be_told_is_empty(case, found):
    assert evaluate(case, None)["lesion_dice"] == ""  # the truth has none
    row = evaluate(replace(case, lesions_known=False), None)
    assert (row["lesion_dice"], row["load_percent"], row["true_load_percent"]) == ("", "", "")
    found[:] = 0
    assert (evaluate(case, None)["liver_dice"], evaluate(case, None)["load_percent"]) == (0.0, "")
