"""Folds by patient: each run is judged on patients that neither its weights nor its calibration has seen."""

from __future__ import annotations

from itertools import chain

import pytest
import torch
import yaml

from nen_imaging.cli.main import main
from nen_imaging.contract import ExitCode
from nen_imaging.segmentation.bundle import BundleError, find_bundle, load_registry, read_inference
from nen_imaging.segmentation.infer import load_model, read_weights
from nen_imaging.training import cross_validation
from nen_imaging.training.cross_validation import calibrate_folds, export_folds
from nen_imaging.training.data import with_data
from nen_imaging.training.recipes import Recipe, RecipeError


@pytest.fixture
def folds(recipe):
    """Patients A and B, each held out once."""
    return recipe.model_copy(update={"folds": [["A"], ["B"]], "held_out": []})


def test_a_fold_leaves_its_patients_out(folds):
    assert folds.for_fold(2).held_out == ["B"]
    assert folds.for_fold(2).name.endswith("_fold2")
    with pytest.raises(RecipeError, match="has 2 folds; there is no fold 3"):
        folds.for_fold(3)


def test_patients_are_dealt_into_a_number_of_folds_by_their_names_alone(recipe):
    numbered = Recipe.model_validate({**recipe.model_dump(mode="json"), "folds": 3, "held_out": ["P7"]})
    patients = [f"P{number}" for number in range(40)]
    dealt = numbered.dealt(patients)
    assert sorted(chain(*dealt.folds)) == sorted(set(patients) - {"P7"})
    assert all(len(fold) > 5 for fold in dealt.folds)
    fewer = numbered.dealt(reversed(patients[10:]))
    assert [set(fold) - set(patients[:10]) for fold in dealt.folds] == [set(fold) for fold in fewer.folds]
    assert dealt.for_fold(2).held_out == ["P7", *dealt.folds[1]]
    assert Recipe.model_validate(dealt.model_dump(mode="json")) == dealt
    assert recipe.dealt(patients) == recipe
    with pytest.raises(RecipeError, match="No patient fell into fold"):
        numbered.dealt(["P1"])
    with pytest.raises(RecipeError, match="has 0 folds"):
        numbered.for_fold(1)


def test_who_is_in_which_fold_comes_from_the_data(data, recipe, tmp_path):
    """Patients without labelled lesions are in none: every run learns from them."""
    source = recipe.sources[0].model_copy(update={"lesions_unknown_in": ["three"]})
    numbered = recipe.model_copy(update={"sources": [source], "fold_count": 1})
    assert with_data(numbered, data, tmp_path / "cases").folds == [["A"]]


def test_every_fold_and_then_all_of_them_joined(data, folds, tmp_path, capsys):
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(folds.model_dump(mode="json")))
    command = ["train", str(path), "--data", str(data), "--out", str(tmp_path / "run"), "--device", "cpu"]
    assert main([*command, "--join"]) == ExitCode.USAGE
    assert "train every fold first" in capsys.readouterr().err
    assert [main([*command, "--fold", str(number)]) for number in (1, 2)] == [0, 0]
    assert main([*command, "--join"]) == 0
    models = tmp_path / "run" / "models"
    assert len(load_registry(models)) == 3
    first, second, joined = (find_bundle(name, models) for name in (*(f"{folds.name}_fold{n}" for n in (1, 2)), None))
    assert (first.metadata["seen_patients"], first.metadata["held_out_patients"]) == (["B"], ["A"])
    assert (joined.name, joined.metadata["seen_patients"]) == (folds.name, ["A", "B"])
    assert {row["fold"] for row in joined.metadata["results_on_held_out_patients"]} == {1, 2}
    cards = [(bundle.folder / "docs" / "README.md").read_text() for bundle in (first, joined)]
    assert ["Joined in this bundle they have seen all of these" in card for card in cards] == [False, True]
    assert "2 of 8 mm find the liver" in cards[1] and "1 of 8 mm find the liver" in cards[0]
    patch = folds.lesion.patch
    image = torch.randn(1, 3, *patch, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        logits = [load_model(bundle).lesion(image) for bundle in (first, second, joined)]
    torch.testing.assert_close(logits[2], (logits[0] + logits[1]) / 2, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(logits[0], logits[1])
    with pytest.raises(BundleError, match="averages several lesion networks"):
        read_weights(joined, "lesion")


def test_lesion_networks_of_another_recipe_stand_beside_those_of_each_fold(data, folds, tmp_path, capsys):
    narrow = {**folds.lesion.network, "channels": [4, 8]}
    lesion = folds.lesion.model_copy(update={"network": narrow, "patch": (32, 16, 16)})
    other = folds.model_copy(update={"name": "narrow", "lesion": lesion})
    paths = {one.name: tmp_path / f"{one.name}.yaml" for one in (folds, other)}
    for one in (folds, other):
        paths[one.name].write_text(yaml.safe_dump(one.model_dump(mode="json")))
        command = ["train", str(paths[one.name]), "--data", str(data), "--out", str(tmp_path / one.name)]
        only = [] if one is folds else ["--network", "lesion"]
        assert [main([*command, *only, "--device", "cpu", "--fold", str(number)]) for number in (1, 2)] == [0, 0]
    command = ["train", str(paths[folds.name]), "--data", str(data), "--out", str(tmp_path / folds.name), "--join"]
    assert main([*command, "--beside", str(paths["narrow"])]) == 0
    models = tmp_path / folds.name / "models"
    first, joined = (find_bundle(name, models) for name in (f"{folds.name}_fold1", None))
    widths = [network.network_def["channels"] for network in read_inference(joined).lesion.networks]
    assert widths == 2 * [folds.lesion.network["channels"], [4, 8]]
    assert len(read_inference(joined).liver.networks) == 2
    assert read_inference(first).lesion.patch == (32, 16, 16)
    assert [one["name"] for one in first.metadata["further_recipes"]] == ["narrow_fold1"]
    alone = export_folds(folds, tmp_path / folds.name, data, tmp_path / "alone", report=lambda _: None)[0][0]
    image = torch.randn(1, 3, 32, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        both, wide = (load_model(bundle).lesion(image) for bundle in (first, alone))
        thin = load_model(first).lesion.networks[1](image)
    torch.testing.assert_close(both, (wide + thin) / 2, rtol=1e-4, atol=1e-4)
    paths["narrow"].write_text(yaml.safe_dump({**other.model_dump(mode="json"), "folds": [["B"], ["A"]]}))
    assert main([*command, "--beside", str(paths["narrow"])]) == ExitCode.USAGE
    assert "differ in `folds`" in capsys.readouterr().err


def test_a_fold_is_calibrated_by_the_others(data, folds, monkeypatch):
    """Whatever a fold's own patients say, its calibration stays; theirs changes."""
    seen = []
    monkeypatch.setattr(cross_validation, "voxels_of", lambda case, _model, _shift: case.patient)
    monkeypatch.setattr(cross_validation, "liver_costs", lambda _case, _model: None)
    monkeypatch.setattr(cross_validation, "load_model", lambda bundle: bundle)

    def fit(cases):
        seen.append(set(cases))
        return cross_validation.Calibration()

    monkeypatch.setattr(cross_validation, "fit_lesions", fit)
    calibrate_folds(folds, ["first", "second"], data, report=lambda _: None)
    assert seen == [{"B"}, {"A"}, {"A", "B"}]


def test_patients_held_out_of_every_fold_are_refused(data, folds, tmp_path):
    with pytest.raises(RecipeError, match="must be empty, and names 'B'"):
        export_folds(folds.model_copy(update={"held_out": ["B"]}), tmp_path, data, tmp_path / "models")
