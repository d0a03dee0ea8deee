"""Synthetic lesions reach their load, stay in the liver, and the label says where they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nen_imaging.training.lesions import add_lesions, add_masses, draw_appearance, draw_load
from nen_imaging.training.recipes import LesionRecipe

RECIPE = LesionRecipe()


def add(case, seed, load, recipe=RECIPE, label=None):
    label = case.label.array if label is None else label
    image = case.image.array.astype(np.float32)
    return add_lesions(image, label, case.image.spacing_mm, np.random.default_rng(seed), recipe, load_percent=load)


@pytest.mark.parametrize("load", [3.0, 20.0, 50.0, 75.0])
def test_the_load_is_reached(case, load):
    reached = []
    for seed in range(8):
        _, label = add(case, seed, load)
        reached.append(100 * (label == 2).sum() / (label > 0).sum())
    assert np.median(reached) == pytest.approx(load, rel=0.3)
    assert max(reached) < 100


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), load=st.floats(0.5, 75.0))
def test_lesions_stay_in_the_liver_and_change_nothing_else(case, seed, load):
    image, label = add(case, seed, load)
    outside = case.label.array == 0
    np.testing.assert_array_equal(label > 0, case.label.array > 0)
    np.testing.assert_array_equal(image[outside], case.image.array[outside])
    assert np.isfinite(image).all()


def test_dark_lesions_are_dark_and_bright_ones_bright_where_the_label_says(case):
    plain = {"rim_share": 0.0, "necrosis_share": 0.0, "calcified_share": 0.0}
    for share, sign in ((0.0, -1), (1.0, 1)):
        image, label = add(case, 4, 25.0, LesionRecipe(hyperdense_share=share, **plain))
        difference = image[label == 2].mean() - image[label == 1].mean()
        assert sign * difference > 8


def test_existing_lesions_are_kept_and_inputs_unchanged(case):
    label = case.label.array.copy()
    label[22:26, 18:22, 16:20] = 2
    before = label.copy()
    _, found = add(case, 1, 15.0, label=label)
    assert (found[before == 2] == 2).all()
    np.testing.assert_array_equal(label, before)


def test_no_liver_no_lesions(case):
    image, label = add(case, 0, 30.0, label=np.zeros_like(case.label.array))
    assert not label.any()
    np.testing.assert_array_equal(image, case.image.array)


def test_sizes_span_millimetres_to_centimetres(case):
    from scipy.ndimage import label as components

    few = [add(case, seed, 40.0)[1] == 2 for seed in range(12)]
    counts = [components(mask)[1] for mask in few]
    assert min(counts) <= 2 and max(counts) >= 6


def test_high_loads_are_drawn_as_often_as_asked():
    rng = np.random.default_rng(0)
    loads = np.array([draw_load(RECIPE, rng) for _ in range(2000)])
    assert (loads > RECIPE.high_load_percent[0]).mean() == pytest.approx(RECIPE.high_load_share, abs=0.04)
    assert loads.max() > 70 and loads.min() < 0.3


def test_a_training_begins_with_plain_dark_lesions_and_ends_with_the_recipe():
    begin, half, end = (RECIPE.at(hardness) for hardness in (0.0, 0.5, 1.0))
    assert end == RECIPE
    assert begin.hyperdense_share == begin.phase_share == 0
    assert begin.hypodense_hu[1] < half.hypodense_hu[1] < end.hypodense_hu[1]
    looks = [draw_appearance(begin, np.random.default_rng(seed)) for seed in range(50)]
    assert max(look.contrast_hu for look in looks) <= begin.hypodense_hu[1]


def test_large_loads_are_never_bright():
    looks = [draw_appearance(RECIPE, np.random.default_rng(seed), load_percent=40.0) for seed in range(60)]
    assert max(look.contrast_hu for look in looks) < 0
    few = [draw_appearance(RECIPE, np.random.default_rng(seed), load_percent=5.0) for seed in range(60)]
    assert max(look.contrast_hu for look in few) > 0


def test_masses_beside_the_liver_leave_it_alone(case):
    hu = case.image.array.astype(np.float32)
    changed = add_masses(hu, case.label.array, case.image.spacing_mm, np.random.default_rng(2), LesionRecipe())
    np.testing.assert_array_equal(changed[case.label.array > 0], hu[case.label.array > 0])
    assert (np.abs(changed - hu) > 5).sum() * case.image.voxel_volume_ml > 1
    np.testing.assert_array_equal(hu, case.image.array)


def test_no_liver_no_masses_beside_it(case):
    nothing = np.zeros_like(case.label.array)
    hu = case.image.array.astype(np.float32)
    found = add_masses(hu, nothing, case.image.spacing_mm, np.random.default_rng(0), LesionRecipe())
    np.testing.assert_array_equal(found, hu)
