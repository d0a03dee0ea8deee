"""What is done to a patch before a network learns from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nen_imaging.segmentation.preprocess import AIR_HU
from nen_imaging.training.augment import _cut, change_phase, make_variant
from nen_imaging.training.data import load_cases
from nen_imaging.training.recipes import LesionRecipe
from nen_imaging.training.samples import StepSamples


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


def plain(**changes):
    """A recipe that adds nothing but what is named."""
    return LesionRecipe(share=0.0, phase_share=0.0).model_copy(update=changes)


def test_the_recipe_asks_for_transplants_and_masses(case):
    dark = case.image.array.copy()
    label = case.label.array.copy()
    dark[20:26, 18:24, 16:22] -= 50
    label[20:26, 18:24, 16:22] = 2
    donor = replace(case, image=case.image.with_array(dark), label=case.label.with_array(label))
    healthy = replace(case, lesions_known=False)
    samples = StepSamples([donor, replace(donor, painted=True), healthy], None, "lesion")
    assert len(samples._donors) == 1  # a painted lesion is no real one

    def variant(recipe):
        return make_variant(case, recipe.model_copy(update={"share": -0.2}), np.random.default_rng(1), samples._donors)

    untouched = variant(plain())
    np.testing.assert_array_equal(untouched.hu, case.image.array)
    given = variant(plain(transplanted_share=1.0))
    assert (given.label == 2).any()
    beside = variant(plain(mass_share=1.0))
    assert (beside.hu != untouched.hu)[case.label.array == 0].any()
    np.testing.assert_array_equal(beside.label, case.label.array)


def test_a_fatty_liver_is_dark_about_its_vessels(case):
    """Vessels hold no fat; lesions, where they are few, do partly at most. What lies around the liver stays."""
    hu, label = case.image.array.astype(np.float32), case.label.array.copy()
    hu[15:33, 22:25, 18:21] += 70  # a vessel
    hu[20:26, 10:16, 16:22] -= 40
    label[20:26, 10:16, 16:22] = 2
    vessel = (slice(17, 31), 23, 19)
    lesion = (slice(22, 24), slice(12, 14), slice(18, 20))
    around = np.ones(label.shape, bool)
    around[np.s_[4:44, 3:37, 2:34]] = False
    for seed in range(8):
        fatty = change_phase(hu, label, np.random.default_rng(seed), LesionRecipe(fatty_share=1.0, wash_in_share=0.0))
        darker = hu - fatty
        parenchyma = float(np.median(darker[label == 1]))
        assert 14 < parenchyma < 61
        assert darker[vessel].max() < 2
        assert -1 < darker[lesion].mean() < parenchyma + 1
        np.testing.assert_allclose(fatty[around], hu[around], atol=0.01)
    full = np.where(label == 1, 2, label).astype(np.uint8)  # nothing but tumour: no brighter than the parenchyma
    darker = hu - change_phase(hu, full, np.random.default_rng(0), LesionRecipe(fatty_share=1.0, wash_in_share=0.0))
    assert darker[lesion].mean() > 14


def test_dice_fades_in_a_straight_line(recipe):
    fading = recipe.lesion.model_copy(update={"dice_weight": 1.0, "last_dice_weight": 0.2, "steps": 8})
    assert [fading.dice_weight_at(step) for step in (0, 4, 8)] == pytest.approx([1.0, 0.6, 0.2])
    assert recipe.lesion.dice_weight_at(3) == recipe.lesion.dice_weight


def test_bodies_without_a_liver_are_for_the_liver_network_alone(data, recipe):
    recipe = recipe.model_copy(update={"digital": recipe.digital.model_copy(update={"without_liver": 2})})
    names = {network: {case.name for case in load_cases(recipe, network, data)} for network in ("liver", "lesion")}
    assert names["liver"] - names["lesion"] == {"elsewhere1000", "elsewhere1001"}
