"""Train a bundle from labelled CT."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nen_imaging.training.recipes import Recipe

HELP = "train a bundle from labelled CT by a recipe"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("recipe", type=Path, help="recipe, such as config/training/nen_liver.yaml")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the recipe's sources")
    parser.add_argument("--out", type=Path, help="run folder: checkpoints, logs (default: runs/<name of the recipe>)")
    parser.add_argument("--network", choices=("liver", "lesion"), help="train this one only, export nothing")
    parser.add_argument("--fold", type=int, metavar="N", help="without the patients of this fold of the recipe")
    parser.add_argument("--join", action="store_true", help="no training: calibrate and join the bundles of all folds")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoints of the run folder")
    parser.add_argument("--start-from", metavar="BUNDLE", help="begin from this bundle's weights (`models list`)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=1, help="threads of the network; samples take one more process")
    parser.add_argument("--models", type=Path, help="models folder to export to (default: <run folder>/models)")


def run(arguments: argparse.Namespace) -> int:
    """Train, export, print where the bundle lies."""
    import torch

    from nen_imaging.contract import ExitCode
    from nen_imaging.segmentation.bundle import find_bundle
    from nen_imaging.segmentation.infer import choose_device
    from nen_imaging.shipped import shipped
    from nen_imaging.training.recipes import load_recipe
    from nen_imaging.training.train import NETWORKS, train

    torch.set_num_threads(arguments.threads)
    recipe = load_recipe(arguments.recipe)
    folder = arguments.out or Path("runs") / recipe.name
    if arguments.join:
        return _join(recipe, folder, arguments)
    if arguments.fold:
        recipe, folder = recipe.for_fold(arguments.fold), folder / f"fold{arguments.fold}"
    device, note = choose_device(arguments.device)
    print(note or f"Training on {device}.")
    networks = (arguments.network,) if arguments.network else NETWORKS
    checkpoints = train(
        recipe,
        arguments.data,
        folder,
        networks=networks,
        resume=arguments.resume,
        start_from=find_bundle(arguments.start_from, shipped("models")) if arguments.start_from else None,
        device=device,
    )
    if not arguments.network and not arguments.fold:
        from nen_imaging.training.export import export_run

        bundle = export_run(recipe, checkpoints, arguments.data, arguments.models or folder / "models")
        print(f"Bundle {bundle.name} lies in {bundle.folder}.")
    return ExitCode.ALL_MEASURED


def _join(recipe: Recipe, folder: Path, arguments: argparse.Namespace) -> int:
    from nen_imaging.contract import ExitCode
    from nen_imaging.training.cross_validation import export_folds

    folds, joined = export_folds(recipe, folder, arguments.data, arguments.models or folder / "models")
    print(f"Bundles {', '.join(bundle.name for bundle in folds)} and {joined.name} lie in {joined.folder.parent}.")
    return ExitCode.ALL_MEASURED
