"""The picture of a case."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from nen_imaging.validation.overlay import draw_overlay
from tests.validation.layouts import body

CT, TRUTH = body()
_NEAR = 60  # of 255, summed over the channels: what a thin line keeps of its colour


def has_colour(pixels, colour):
    wanted = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    return bool((np.abs(pixels[24:].astype(int) - wanted).sum(axis=-1) < _NEAR).any())  # below the legend


@pytest.mark.parametrize("with_ct", [True, False])
def test_both_contours_are_drawn(tmp_path, with_ct):
    prediction = TRUTH.with_array(np.roll(TRUTH.array, 3, axis=0))
    draw_overlay(tmp_path / "a.png", CT if with_ct else None, TRUTH, prediction)
    pixels = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
    assert all(has_colour(pixels, colour) for colour in ("#7ee787", "#ff7ab6", "#ffd33d", "#ff5c38"))


def test_a_missed_liver_leaves_the_truth_alone(tmp_path):
    draw_overlay(tmp_path / "a.png", CT, TRUTH, TRUTH.with_array(np.zeros_like(TRUTH.array)))
    pixels = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
    assert has_colour(pixels, "#7ee787")
    assert not has_colour(pixels, "#ff7ab6")


def test_the_picture_does_not_depend_on_the_order_of_the_axes(tmp_path):
    prediction = TRUTH.with_array(np.roll(TRUTH.array, 3, axis=0))
    for name, codes in (("a", "LPS"), ("b", "SAR")):
        draw_overlay(tmp_path / f"{name}.png", *(volume.oriented(codes) for volume in (CT, TRUTH, prediction)))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_liver_that_was_found_exactly_is_shown_where_it_is_large(tmp_path):
    draw_overlay(tmp_path / "a.png", CT, TRUTH, TRUTH)
    pixels = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
    assert all(has_colour(panel, "#ff7ab6") for panel in np.array_split(pixels, 4, axis=1))
