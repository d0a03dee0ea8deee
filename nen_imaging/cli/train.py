"""Train a bundle from labelled CT."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nen_imaging.cli.checks import whole_number

if TYPE_CHECKING:
    from nen_imaging.training.processes import Processes
    from nen_imaging.training.recipes import Recipe

HELP = "train a bundle from labelled CT by a recipe"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("recipe", type=Path, help="recipe, such as config/training/nen_liver.yaml")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the recipe's sources")
    parser.add_argument("--out", type=Path, help="run folder: checkpoints, logs (default: runs/<name of the recipe>)")
    parser.add_argument("--cases", type=Path, help="where data sets' cases are prepared (default: <run folder>/cases)")
    parser.add_argument("--network", choices=("liver", "lesion"), help="train this one only, export nothing")
    parser.add_argument("--fold", type=int, metavar="N", help="without the patients of this fold of the recipe")
    parser.add_argument("--join", action="store_true", help="no training: calibrate and join the bundles of all folds")
    parser.add_argument(
        "--beside",
        type=Path,
        action="append",
        default=[],
        metavar="RECIPE",
        help="with --join: another recipe of the same folds, whose lesion networks are averaged with these; its run "
        "folder lies beside this one",
    )
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoints of the run folder")
    parser.add_argument("--start-from", metavar="BUNDLE", help="begin from this bundle's weights (`models list`)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=whole_number, default=1, help="threads of the network")
    parser.add_argument(
        "--workers",
        type=int,
        choices=(1, 2, 3, 6),
        help="processes that make samples, or prepare cases, beside it (default: 1, with a GPU 3)",
    )
    parser.add_argument("--models", type=Path, help="models folder to export to (default: <run folder>/models)")


def run(arguments: argparse.Namespace) -> int:
    """Train, export, print where the bundle lies."""
    import torch

    from nen_imaging.contract import ExitCode
    from nen_imaging.segmentation.bundle import find_bundle
    from nen_imaging.segmentation.infer import choose_device
    from nen_imaging.shipped import shipped
    from nen_imaging.training.processes import ALONE, joined
    from nen_imaging.training.recipes import load_recipe
    from nen_imaging.training.train import NETWORKS, train

    torch.set_num_threads(arguments.threads)
    recipe = load_recipe(arguments.recipe)
    folder = arguments.out or Path("runs") / recipe.name
    device, note = choose_device(arguments.device)
    workers = arguments.workers or (1 if device == "cpu" else 3)
    start_from = find_bundle(arguments.start_from, shipped("models")) if arguments.start_from else None
    if start_from:
        recipe = recipe.beginning_from(start_from)
    if arguments.join:
        return _join(_with_data(recipe, folder, arguments, ALONE, workers, print), folder, arguments)
    with joined(device) as processes:
        report = partial(print, flush=True) if processes.first else _nothing
        together = f", {processes.count} processes together" if processes.count > 1 else ""
        report(note or f"Training on {device}{together}.")
        recipe = _with_data(recipe, folder, arguments, processes, workers, report)
        if arguments.fold:
            recipe, folder = recipe.for_fold(arguments.fold), folder / f"fold{arguments.fold}"
        checkpoints = train(
            recipe,
            arguments.data,
            folder,
            networks=(arguments.network,) if arguments.network else NETWORKS,
            resume=arguments.resume,
            start_from=start_from,
            processes=processes,
            workers=workers,
            report=report,
        )
    if processes.first and not arguments.network and not arguments.fold:
        from nen_imaging.training.export import export_run

        bundle = export_run(recipe, checkpoints, arguments.data, arguments.models or folder / "models")
        print(f"Bundle {bundle.name} lies in {bundle.folder}.")
    return ExitCode.ALL_MEASURED


def _with_data(
    recipe: Recipe,
    folder: Path,
    arguments: argparse.Namespace,
    processes: Processes,
    workers: int,
    report: Callable[[str], None],
) -> Recipe:
    """The first process prepares the cases of data sets; all then know them, and who is in which fold."""
    from nen_imaging.training.data import with_data
    from nen_imaging.training.prepare import prepare

    cases = arguments.cases or folder / "cases"
    if processes.first:
        prepare(recipe, arguments.data, cases, workers=workers, report=report)
    processes.wait()
    return with_data(recipe, arguments.data, cases)


def _nothing(_: str) -> None:
    """What the other processes report."""


def _join(recipe: Recipe, folder: Path, arguments: argparse.Namespace) -> int:
    from nen_imaging.contract import ExitCode
    from nen_imaging.training.cross_validation import export_folds
    from nen_imaging.training.processes import ALONE
    from nen_imaging.training.recipes import load_recipe

    beside = []
    for path in arguments.beside:
        other = load_recipe(path)
        run = folder.parent / other.name
        beside.append((_with_data(other, run, arguments, ALONE, 1, print), run))
    models = arguments.models or folder / "models"
    folds, joined = export_folds(recipe, folder, arguments.data, models, beside=beside)
    print(f"Bundles {', '.join(bundle.name for bundle in folds)} and {joined.name} lie in {joined.folder.parent}.")
    return ExitCode.ALL_MEASURED
