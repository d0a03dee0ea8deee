"""The loop learns, and a resumed run ends where an uninterrupted one does."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

from nen_imaging.segmentation import infer
from nen_imaging.segmentation.infer import build_network
from nen_imaging.training.loop import segmentation_loss, train_network
from nen_imaging.training.recipes import NetworkRecipe, RecipeError
from nen_imaging.training.samples import StepSamples


def weights(checkpoint):
    return torch.load(checkpoint, weights_only=True)["ema"]


def test_a_resumed_run_equals_an_uninterrupted_one(case, recipe, tmp_path):
    def run(folder, **options):
        samples = StepSamples([case], recipe, "liver")
        return train_network(recipe.liver, samples, tmp_path / folder, seed=1, workers=0, **options)

    whole = weights(run("whole"))
    run("parts", stop_at=3)
    parts = weights(run("parts", resume=True))
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        torch.testing.assert_close(value, parts[name], rtol=0, atol=0)
    with (tmp_path / "parts" / "log.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["3", "6"]


def test_another_recipe_cannot_resume(case, recipe, tmp_path):
    samples = StepSamples([case], recipe, "liver")
    train_network(recipe.liver, samples, tmp_path, seed=1, workers=0, stop_at=3)
    other = recipe.liver.model_copy(update={"learning_rate": 1.0})
    with pytest.raises(RecipeError, match="another recipe"):
        train_network(other, samples, tmp_path, seed=1, workers=0, resume=True)
    with pytest.raises(RecipeError, match="no checkpoint"):
        train_network(recipe.liver, samples, tmp_path / "elsewhere", seed=1, workers=0, resume=True)


class OneSample:
    """A bright ball with a dark core, always the same."""

    def __getitem__(self, step):
        radius = np.sqrt(((np.indices((16, 16, 16)).transpose(1, 2, 3, 0) - 7.5) ** 2).sum(-1))
        ball, core = torch.from_numpy(radius < 6).float(), torch.from_numpy(radius < 3).float()
        target = torch.stack([ball, core])
        return {"input": (ball - 0.6 * core)[None], "target": target, "weight": torch.ones_like(target)}

    def __len__(self):
        return 80


def test_the_loop_overfits_one_sample(recipe, tmp_path):
    network = NetworkRecipe(
        spacing_mm=1, patch=(16, 16, 16), network=recipe.liver.network, steps=80, learning_rate=2e-2, warm_up_steps=5,
        ema=0.9, checkpoint_every=20,
    )  # fmt: skip
    losses = []
    train_network(network, OneSample(), tmp_path, seed=0, workers=0, report=lambda _, loss: losses.append(loss))
    assert losses[-1] < 0.25 * losses[0]


@pytest.mark.parametrize(("fast", "kind"), [(True, torch.bfloat16), (False, torch.float32)])
def test_16_bits_only_where_the_device_is_fast_with_them(recipe, tmp_path, monkeypatch, fast, kind):
    """A CPU without instructions for them took 15 to 40 times as long for a step."""
    kinds = set()

    def build(definition):
        network = build_network(definition)
        network.register_forward_hook(lambda _, __, logits: kinds.add(logits.dtype))
        return network

    monkeypatch.setattr(infer, "bf16_is_fast", lambda _: fast)
    monkeypatch.setattr(infer, "build_network", build)
    train_network(recipe.liver, OneSample(), tmp_path, seed=0, workers=0, stop_at=1)
    assert kinds == {kind}


def test_the_loss_is_least_for_the_truth():
    target = OneSample()[0]["target"][None]
    right, wrong = 10 * (2 * target - 1), 10 * (1 - 2 * target)
    weight = torch.ones_like(target)
    assert segmentation_loss(right, target, weight) < 0.01 < segmentation_loss(0 * right, target, weight)
    assert segmentation_loss(wrong, target, weight) > segmentation_loss(0 * right, target, weight)


def test_without_dice_an_uncertain_voxel_gets_its_true_probability_and_with_it_more():
    target = (torch.rand(1, 2, 20, 20, 20, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    steepness = []
    for dice_weight in (0.0, 1.0):
        logit = torch.tensor(float(torch.logit(target.mean())), requires_grad=True)
        segmentation_loss(logit.expand(target.shape), target, torch.ones_like(target), dice_weight).backward()
        steepness.append(float(logit.grad))
    assert abs(steepness[0]) < 1e-6
    assert steepness[1] < -0.01


def test_training_goes_on_from_weights(case, recipe, tmp_path):
    samples = StepSamples([case], recipe, "liver")
    begun = weights(train_network(recipe.liver, samples, tmp_path / "one", seed=1, workers=0))
    still = recipe.liver.model_copy(update={"learning_rate": 0.0})
    after = weights(train_network(still, samples, tmp_path / "two", seed=2, workers=0, weights=begun))
    for name, value in begun.items():
        torch.testing.assert_close(after[name], value)
    with pytest.raises(RecipeError, match="do not fit"):
        train_network(recipe.lesion, samples, tmp_path / "three", seed=1, workers=0, weights=begun)
