"""From labelled folders to a registered bundle that segments, with one command."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import yaml

from nen_imaging.cli.main import main
from nen_imaging.segmentation.bundle import Bundle, find_bundle, read_inference, verify
from nen_imaging.segmentation.calibration import Calibration, sigmoid
from nen_imaging.shipped import shipped
from nen_imaging.training.calibrate import Voxels, fit_lesions
from nen_imaging.training.data import training_data
from nen_imaging.training.recipes import Recipe, RecipeError, load_recipe
from nen_imaging.training.train import train


def test_one_command_trains_and_exports(data, recipe, tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(recipe.model_copy(update={"held_out": ["B"]}).model_dump(mode="json")))
    out = tmp_path / "run"
    assert main(["train", str(path), "--data", str(data), "--out", str(out), "--device", "cpu"]) == 0
    bundle = find_bundle(None, out / "models")
    verify(bundle)
    assert bundle.metadata["seen_patients"] == ["A"]
    assert [row["scan"] for row in bundle.metadata["results_on_held_out_patients"]] == [
        "three",
        "three synthetic 60 %",
        "three synthetic 15 %",
    ]
    card = (bundle.folder / "docs" / "README.md").read_text()
    assert "| one | A | CC BY 4.0 | liver, lesion |" in card and "three synthetic" in card
    assert "1 patients and 0 digital ones, 2 scans" in card and "Results on patients that the weights" in card
    definition = json.loads((bundle.folder / "configs" / "inference.json").read_text())["liver"]["network_def"]
    assert definition["_target_"] == "monai.networks.nets.UNet"
    assert read_inference(bundle).liver.patch == recipe.liver.patch


def drawn(share: float, gap: float, rng: np.random.Generator) -> Voxels:
    """A liver in which lesions have a logit of gap / 2, parenchyma of - gap / 2, both with a deviation of 1.2."""
    lesion = rng.random(20_000) < share
    logit = np.where(lesion, gap / 2, -gap / 2) + rng.normal(0, 1.2, lesion.size)
    return Voxels.of(logit.astype(np.float32), lesion, int(lesion.sum()), lesion.size)


def test_the_calibration_finds_the_shift_that_was_hidden():
    rng = np.random.default_rng(0)
    cases = [drawn(share, 6.0, rng) for share in (0.02, 0.2, 0.5)]
    found = fit_lesions([replace(case, logit=case.logit - 2) for case in cases])
    for case in cases:
        calibrated = found.lesion_logit(case.logit - 2, np.ones(case.logit.shape, bool))
        assert (calibrated >= 0).mean() == pytest.approx(case.lesion.mean(), rel=0.1)


def test_the_calibration_corrects_a_network_that_expects_the_same_load_in_everyone():
    rng = np.random.default_rng(0)
    cases = [drawn(share, 2.0, rng) for share in (0.05, 0.2, 0.5, 0.7)]
    found = fit_lesions(cases)
    everywhere = np.ones(cases[0].logit.shape, bool)
    plain = [(case.logit + fit_lesions(cases[2:3]).lesion_shift >= 0).mean() for case in cases]
    corrected = [(found.lesion_logit(case.logit, everywhere) >= 0).mean() for case in cases]
    true = np.array([case.lesion.mean() for case in cases])
    assert found.load_weight > 0
    assert np.abs(corrected - true).max() < 0.5 * np.abs(plain - true).max()


def test_the_interval_reaches_the_true_load_of_most_cases():
    rng = np.random.default_rng(0)
    shifts = rng.normal(0, 0.7, 20)
    cases = [drawn(0.3, 5.0, rng) for _ in shifts]
    cases = [replace(case, logit=case.logit + np.float32(shift)) for case, shift in zip(cases, shifts, strict=True)]
    found = fit_lesions(cases)
    everywhere = np.ones(cases[0].logit.shape, bool)
    held = []
    for case in cases:
        probability = sigmoid(found.lesion_logit(case.logit, everywhere))
        high, low = ((probability >= threshold).mean() for threshold in found.thresholds)
        held.append(low <= case.lesion.mean() <= high)
    assert 17 <= sum(held) <= 19


def test_a_case_without_liver_calibrates_nothing():
    assert fit_lesions([]) == Calibration()


def test_a_recipe_that_extends_another_holds_what_differs(recipe, tmp_path):
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    (tmp_path / "more.yaml").write_text("extends: base.yaml\nseed: 9\nlesion: {steps: 2}\n")
    lesion = recipe.lesion.model_copy(update={"steps": 2})
    assert load_recipe(tmp_path / "more.yaml") == recipe.model_copy(update={"seed": 9, "lesion": lesion})
    (tmp_path / "most.yaml").write_text("extends: more.yaml\nname: most\nfolds: 4\n")
    assert load_recipe(tmp_path / "most.yaml").lesion == lesion
    assert (load_recipe(tmp_path / "most.yaml").name, load_recipe(tmp_path / "most.yaml").fold_count) == ("most", 4)
    (tmp_path / "other.yaml").write_text("extends: most.yaml\nlesion: {network: {_target_: other.Network, width: 3}}\n")
    assert load_recipe(tmp_path / "other.yaml").lesion.network == {"_target_": "other.Network", "width": 3}
    (tmp_path / "self.yaml").write_text("extends: self.yaml\n")
    with pytest.raises(RecipeError, match="extends itself"):
        load_recipe(tmp_path / "self.yaml")
    (tmp_path / "lost.yaml").write_text("extends: nowhere.yaml\n")
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(tmp_path / "lost.yaml")


def test_the_shipped_recipes_are_valid_and_made_the_shipped_bundles():
    for file, name in (("nen_liver_start.yaml", "nen_liver_start"), ("nen_liver_folds.yaml", "nen_liver")):
        recipe, bundle = load_recipe(shipped("config") / "training" / file), find_bundle(name, shipped("models"))
        assert (recipe.name, Recipe.model_validate(bundle.metadata["recipe"])) == (name, recipe)


def test_the_weights_of_a_cross_validation_begin_from_none_of_its_patients():
    recipe = load_recipe(shipped("config") / "training" / "nen_liver_folds.yaml")
    folds = [set(fold) for fold in recipe.folds]
    seen = find_bundle("nen_liver_start", shipped("models")).metadata["seen_patients"]
    assert not set().union(*folds) & set(seen)
    assert sum(map(len, folds)) == len(set().union(*folds))


@pytest.mark.parametrize(
    "text, message",
    [
        ("name: x\nstep: 3\n", "step"),
        ("[", "cannot be read"),
        ("name: x\nliver: {spacing_mm: -1}\n", "liver.spacing_mm"),
    ],
)
def test_a_wrong_recipe_is_refused_with_its_key(text, message, tmp_path):
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_recipe(tmp_path / "recipe.yaml")


def test_what_the_first_weights_have_seen_is_seen(data, recipe, tmp_path):
    rows = [
        {"case": "one", "patient": "A", "licence": "own", "networks": "lesion"},
        {"case": "elsewhere", "patient": "C", "licence": "own", "networks": "liver"},
    ]
    begun = Bundle("first", tmp_path, "0" * 64, "own", {"training_data": rows}, {})
    later = recipe.beginning_from(begun)
    networks = {row["case"]: row["networks"] for row in training_data(later, data)}
    assert networks == {"elsewhere": "liver (before)"} | dict.fromkeys(("one", "two", "three"), "liver, lesion")
    assert later.model_dump() == recipe.model_dump()
    with pytest.raises(RecipeError, match="learnt from held-out patients, C"):
        train(later.model_copy(update={"held_out": ["C"]}), data, tmp_path / "run")
