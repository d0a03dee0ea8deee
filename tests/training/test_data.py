"""Cases are read with their patients, and a training step always gives the same sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nen_imaging.training.augment import UNLABELLED_WEIGHT, make_variant
from nen_imaging.training.data import held_out_cases, load_cases, training_data
from nen_imaging.training.recipes import RecipeError
from nen_imaging.training.samples import StepSamples


def test_a_held_out_patient_is_left_out_with_all_scans(data, recipe):
    recipe = recipe.model_copy(update={"held_out": ["A"]})
    assert [case.name for case in load_cases(recipe, "liver", data)] == ["three"]
    assert [case.name for case in held_out_cases(recipe, data)] == ["one", "two"]
    assert [row["patient"] for row in training_data(recipe, data)] == ["B"]


def test_a_scan_in_two_forms_is_one_row_that_names_each_network_once(data, recipe):
    twice = recipe.model_copy(update={"sources": recipe.sources * 2})
    assert training_data(twice, data) == training_data(recipe, data)
    assert {row["networks"] for row in training_data(twice, data)} == {"liver, lesion"}


def test_the_liver_of_an_organ_map_is_the_label(data, recipe):
    cases = {case.name: case for case in load_cases(recipe, "liver", data)}
    np.testing.assert_array_equal(cases["three"].label.array, cases["one"].label.array)
    assert not cases["three"].has_lesions


def test_a_missing_source_is_named(tmp_path, recipe):
    with pytest.raises(RecipeError, match=r"set is missing.*--data"):
        load_cases(recipe, "liver", tmp_path)


def test_nothing_to_learn_from_is_refused(data, recipe):
    recipe = recipe.model_copy(update={"held_out": ["A", "B"]})
    with pytest.raises(RecipeError, match="held_out"):
        load_cases(recipe, "lesion", data)


@pytest.mark.parametrize("network, channels", [("liver", 1), ("lesion", 3)])
def test_the_sample_of_a_step_does_not_depend_on_those_before(network, channels, case, recipe):
    in_turn = StepSamples([case, case], recipe, network)
    all_samples = [in_turn[step] for step in range(6)]
    alone = StepSamples([case, case], recipe, network)[5]
    for key in ("input", "target", "weight"):
        np.testing.assert_array_equal(alone[key].numpy(), all_samples[5][key].numpy())
    assert alone["input"].shape == (channels, 16, 16, 16)
    assert alone["target"].shape == alone["weight"].shape == (2, 16, 16, 16)
    assert not np.array_equal(all_samples[4]["input"].numpy(), all_samples[5]["input"].numpy())


def test_lesions_are_part_of_the_liver_in_every_target(case, recipe):
    samples = StepSamples([case], recipe, "lesion")
    targets = [samples[step]["target"].numpy() for step in range(0, 40, 4)]
    assert any(target[1].any() for target in targets)
    assert all((target[0] >= target[1]).all() for target in targets)


def test_a_liver_with_unlabelled_lesions_weighs_less_for_lesions(case, recipe):
    known, unknown = (
        StepSamples([replace(case, lesions_known=labelled)], recipe, "liver") for labelled in (True, False)
    )
    for step in range(6):
        inside = known[step]["target"][0] > 0
        ratio = unknown[step]["weight"][1] / known[step]["weight"][1]
        torch.testing.assert_close(ratio[inside], torch.full_like(ratio[inside], UNLABELLED_WEIGHT))
        assert (ratio[~inside] == 1).all()


def test_the_reference_is_the_parenchymas_at_a_high_load(case, recipe):
    label = case.label.array.copy()
    label[:, :24][label[:, :24] > 0] = 2
    assert (label == 2).sum() > 0.55 * (label > 0).sum()
    hu = np.where(label == 2, case.image.array - 60, case.image.array).astype(np.int16)
    full = replace(case, image=case.image.with_array(hu), label=case.label.with_array(label))
    plain = recipe.lesions.model_copy(update={"share": 0.0, "phase_share": 0.0})
    assert make_variant(full, plain, np.random.default_rng(0)).reference_hu == pytest.approx(100, abs=6)
