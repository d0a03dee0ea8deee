"""Trained networks -> a bundle folder, registered: 16-bit safetensors, configuration, metadata, model card, licence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nen_imaging.segmentation.bundle import (
    INFERENCE,
    METADATA,
    Bundle,
    Inference,
    NetworkFile,
    NetworkInference,
    register_bundle,
)
from nen_imaging.segmentation.calibration import Calibration
from nen_imaging.training.digital import LICENCE as DIGITAL_LICENCE
from nen_imaging.training.recipes import NetworkRecipe, Recipe

if TYPE_CHECKING:
    import torch

    from nen_imaging.training.data import NetworkName

LICENCE = "CC BY-NC-SA 4.0 (research, non-commercial)"
_LICENCE_TEXT = """Weights in this folder: Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International
(https://creativecommons.org/licenses/by-nc-sa/4.0/legalcode).

Licences of the images that they were trained on may exclude commercial use: configs/metadata.json names each.
No image and no part of one is contained. The program that runs them has a licence of its own, in the top folder.
"""
_INTENDED_USE = (
    "Research: liver and liver lesions on portal venous CT of adults, as a draft that a physician looks at. "
    "Not a medical device; not for diagnosis or treatment decisions."
)


@dataclass(frozen=True)
class Trained:
    """A network as its recipe describes it, with the weights of a run."""

    recipe: NetworkRecipe
    weights: Mapping[str, torch.Tensor]

    @classmethod
    def of(cls, recipe: NetworkRecipe, checkpoint: Path) -> Trained:
        """The averaged weights of a checkpoint."""
        import torch

        return cls(recipe, torch.load(checkpoint, map_location="cpu", weights_only=True)["ema"])


def write_bundle(
    recipe: Recipe,
    networks: Mapping[NetworkName, Sequence[Trained]],
    training_data: list[dict[str, Any]],
    models_dir: Path,
    *,
    calibration: Calibration | None = None,
    results: list[dict[str, Any]] | None = None,
    further: Sequence[Recipe] = (),
    most_undecided_share: float = 0.5,
    default: bool = False,
) -> Bundle:
    """Write and register the bundle `<models_dir>/<recipe.name>`.

    Of the networks `liver` and `lesion` there are one or several each, whose logits are averaged;
    ``training_data`` is one row per scan (see `data.training_data`), ``results`` one per scan of a held-out patient
    (see `evaluate.evaluate`), ``further`` are the recipes that made some of the networks beside ``recipe``.
    """
    from safetensors.torch import save_file

    from nen_imaging.segmentation.infer import build_network
    from nen_imaging.segmentation.networks import weights_once

    folder = models_dir / recipe.name
    for name in ("configs", "models", "docs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for old in folder.glob("models/*.safetensors"):
        old.unlink()
    for name, trained in networks.items():
        for number, one in enumerate(trained, start=1):
            once = weights_once(build_network(one.recipe.network), one.weights)
            half = {key: value.detach().cpu().half().contiguous() for key, value in once.items()}
            save_file(half, folder / _weight_file(name, number))
    inference = Inference(
        scaling=recipe.scaling,
        liver=_inference_of("liver", networks["liver"]),
        lesion=_inference_of("lesion", networks["lesion"]),
        calibration=calibration or Calibration(),
        most_undecided_share=most_undecided_share,
    )
    _write(folder / INFERENCE, inference.model_dump(mode="json"))
    _write(folder / METADATA, _metadata(recipe, further, training_data, results or []))
    (folder / "LICENSE").write_text(_LICENCE_TEXT, "utf-8")
    (folder / "docs" / "README.md").write_text(_card(recipe, networks, training_data, results or []), "utf-8")
    return register_bundle(models_dir, folder, name=recipe.name, licence=LICENCE, default=default)


def random_bundle(models_dir: Path, seed: int = 0, *, name: str = "random", liver_shift: float = 0.0) -> Bundle:
    """A tiny bundle of untrained networks, for tests of everything but the numbers.

    ``liver_shift`` is added to the liver's logit: a large one makes everything liver.
    """
    import torch

    from nen_imaging.segmentation.infer import build_network

    definition: dict[str, Any] = {
        "_target_": "monai.networks.nets.UNet",
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 2,
        "channels": [4, 8],
        "strides": [2],
        "norm": ["batch", {"track_running_stats": False}],
    }
    liver = NetworkRecipe(spacing_mm=6.0, patch=(32, 32, 32), network=definition, steps=1)
    lesion = NetworkRecipe(spacing_mm=4.0, patch=(32, 32, 32), network={**definition, "in_channels": 3}, steps=1)
    recipe = Recipe(name=name, sources=[], liver=liver, lesion=lesion)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        networks: dict[NetworkName, list[Trained]] = {
            "liver": [Trained(liver, build_network(liver.network).state_dict())],
            "lesion": [Trained(lesion, build_network(lesion.network).state_dict())],
        }
    for (one,) in networks.values():
        bias = [key for key in one.weights if key.endswith("bias")][-1]
        one.weights[bias][0] += liver_shift
    return write_bundle(recipe, networks, [], models_dir, most_undecided_share=1e9)  # they are undecided everywhere


def _weight_file(name: str, number: int) -> str:
    return f"models/{name}{'' if number == 1 else f'_{number}'}.safetensors"


def _inference_of(name: str, trained: Sequence[Trained]) -> NetworkInference:
    """The networks of a stage see patches that hold the patch of each of them."""
    files = [
        NetworkFile(network_def=one.recipe.network, weights=_weight_file(name, number))
        for number, one in enumerate(trained, start=1)
    ]
    i, j, k = np.max([one.recipe.patch for one in trained], axis=0).tolist()
    return NetworkInference(
        network_def=files[0].network_def,
        weights=files[0].weights,
        further=tuple(files[1:]),
        spacing_mm=trained[0].recipe.spacing_mm,
        patch=(i, j, k),
    )


def _metadata(
    recipe: Recipe, further: Sequence[Recipe], training_data: list[dict[str, Any]], results: list[dict[str, Any]]
) -> dict[str, Any]:
    import monai
    import torch

    return {
        "version": "0.1.0",
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__.split("+")[0],
        "name": recipe.name,
        "task": "Liver and liver lesions on CT",
        "intended_use": _INTENDED_USE,
        "copyright": LICENCE,
        "labels": {"0": "background", "1": "liver", "2": "lesion"},
        "seen_patients": sorted({row["patient"] for row in training_data}),
        "training_data": training_data,
        "held_out_patients": recipe.held_out,
        "results_on_held_out_patients": results,
        "recipe": recipe.model_dump(mode="json"),
        "further_recipes": [one.model_dump(mode="json") for one in further],
    }


def _card(
    recipe: Recipe,
    networks: Mapping[NetworkName, Sequence[Trained]],
    training_data: list[dict[str, Any]],
    results: list[dict[str, Any]],
) -> str:
    """The model card, in Markdown."""
    licences = sorted({row["licence"] for row in training_data})
    digital, real = (
        len({row["patient"] for row in training_data if (row["licence"] == DIGITAL_LICENCE) == painted})
        for painted in (True, False)
    )
    coarse, fine = len(networks["liver"]), len(networks["lesion"])
    lines = [
        f"# {recipe.name}",
        "",
        _INTENDED_USE,
        "",
        f"MONAI networks in two stages: {coarse} of {recipe.liver.spacing_mm:g} mm find the liver in the whole scan, "
        f"{fine} of {recipe.lesion.spacing_mm:g} mm draw its edge and the lesions in its box; of several the mean "
        "logit counts. `configs/inference.json` holds all that decides a number.",
        "",
        "## Licence",
        "",
        f"Weights: {LICENCE}. Training data: {'; '.join(licences) or 'none'}.",
        "",
        "## Seen patients",
        "",
        f"{real} patients and {digital} digital ones, {len(training_data)} scans; "
        "a figure on any of them says nothing about new patients.",
        "",
        "| scan | patient | licence | networks |",
        "| --- | --- | --- | --- |",
        *(f"| {row['case']} | {row['patient']} | {row['licence']} | {row['networks']} |" for row in training_data),
        "",
        *_results(results),
        "",
        "## Limits",
        "",
        "- Few patients, most with few tumours; high loads were learned from synthetic lesions only.",
        "- Arterial, native and low-dose CT were simulated, hardly seen; cirrhosis, ascites, resected livers hardly.",
        "- Spacing of the sources named btcv is a guess; they teach where the liver is, not how large.",
        "- Children, and anatomy that is mirrored, were never seen.",
        "",
    ]
    return "\n".join(lines)


def _results(results: list[dict[str, Any]]) -> list[str]:
    heading = "## Results on patients that the weights have not seen"
    if not results:
        return [heading, "", "None yet: do not use this bundle for anything but tests."]
    columns = list(results[0])
    of_folds = [
        "## Results of the folds on patients that their weights have not seen",
        "",
        "Each scan by the networks of its fold. Joined in this bundle they have seen all of these patients.",
    ]
    return [
        *(of_folds if "fold" in columns else [heading]),
        "",
        "They chose the calibration (a few numbers) and steered the recipe (`training-log.md`), so these are "
        "optimistic; few scans, no claim of accuracy.",
        "",
        "| " + " | ".join(columns) + " |",
        "|" + " --- |" * len(columns),
        *("| " + " | ".join(str(row[column]) for column in columns) + " |" for row in results),
    ]


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


def export_run(
    recipe: Recipe, checkpoints: Mapping[NetworkName, Path], data: Path, models_dir: Path, *, default: bool = False
) -> Bundle:
    """Export a trained run: calibrate on the held-out patients, write, measure them, write again with the figures.

    Without held-out patients nothing is calibrated or measured, and the card says so.
    """
    from nen_imaging.segmentation.infer import load_model
    from nen_imaging.training.calibrate import CALIBRATION_LOADS, CALIBRATION_PATIENTS, fit, with_synthetic
    from nen_imaging.training.data import held_out_cases, training_data
    from nen_imaging.training.digital import digital_cases, unseen
    from nen_imaging.training.evaluate import evaluate

    networks: dict[NetworkName, list[Trained]] = {
        name: [Trained.of(getattr(recipe, name), path)] for name, path in checkpoints.items()
    }
    rows = training_data(recipe, data)
    bundle = write_bundle(recipe, networks, rows, models_dir, default=default)
    if not recipe.held_out:
        return bundle
    cases = list(with_synthetic(held_out_cases(recipe, data), recipe.lesions, CALIBRATION_LOADS, recipe.seed))
    digital = list(digital_cases(unseen(recipe.digital, CALIBRATION_PATIENTS), recipe.lesion.spacing_mm))
    calibration = fit(cases, digital, load_model(bundle))
    bundle = write_bundle(recipe, networks, rows, models_dir, calibration=calibration, default=default)
    results = [evaluate(case, bundle) for case in (*cases, *digital)]
    return write_bundle(recipe, networks, rows, models_dir, calibration=calibration, results=results, default=default)
