"""Tiny labelled CT on disk and in memory."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

from nen_imaging.training.cases import Case
from nen_imaging.training.recipes import LesionRecipe, NetworkRecipe, Recipe
from nen_imaging.volume import Volume, write_nifti

NETWORK = {
    "_target_": "monai.networks.nets.UNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 2,
    "channels": [8, 16],
    "strides": [2],
    "norm": ["batch", {"track_running_stats": False}],
}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def make_liver(shape=(48, 40, 36), spacing_mm=4.0, seed=0) -> tuple[Volume, Volume]:
    """An ellipsoid of liver at 100 HU with noise in a body at 30 HU, and its label; LPS."""
    middle = (np.array(shape) - 1) / 2
    index = (np.indices(shape).transpose(1, 2, 3, 0) - middle) / middle
    liver = ((index / [0.7, 0.7, 0.8]) ** 2).sum(-1) < 1
    noise = np.random.default_rng(seed).normal(0, 8, shape)
    affine = np.diag([-spacing_mm, -spacing_mm, spacing_mm, 1.0])
    hu = (np.where(liver, 100, 30) + noise).round().astype(np.int16)
    return Volume(hu, affine), Volume(liver.astype(np.uint8), affine)


@pytest.fixture
def case() -> Case:
    image, label = make_liver()
    return Case("one", "A", image, label, lesions_known=True)


@pytest.fixture
def recipe() -> Recipe:
    """Two networks so small that a step takes milliseconds."""
    return Recipe(
        name="tiny",
        seed=5,
        sources=[{"folder": "set", "forms": {"liver": ["whole"], "lesion": ["whole"]}}],
        lesions=LesionRecipe(share=0.8),
        liver=NetworkRecipe(spacing_mm=8.0, patch=(16, 16, 16), network=NETWORK, steps=6, checkpoint_every=3),
        lesion=NetworkRecipe(
            spacing_mm=6.0, patch=(16, 16, 16), network={**NETWORK, "in_channels": 3}, steps=6, checkpoint_every=3
        ),
    )


@pytest.fixture
def data(tmp_path):
    """Three scans of two patients; the third with an organ map instead of a label."""
    rows = [("one", "A"), ("two", "A"), ("three", "B")]
    for number, (name, _) in enumerate(rows):
        image, label = make_liver(seed=number)
        form = tmp_path / "data" / "set" / name / "whole"
        form.mkdir(parents=True)
        write_nifti(form / "image.nii.gz", image)
        organs = label.with_array(np.where(label.array > 0, 1, 4).astype(np.uint8))
        write_nifti(
            form / ("organs.nii.gz" if name == "three" else "label.nii.gz"), organs if name == "three" else label
        )
    with (tmp_path / "data" / "set" / "index.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("case", "patient", "licence"), *((*row, "CC BY 4.0") for row in rows)])
    return tmp_path / "data"
