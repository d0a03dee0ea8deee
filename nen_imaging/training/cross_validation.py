"""The runs of a cross-validation: each calibrated on what the others held out, and all of them joined in one bundle.

A run's own held-out patients judge it, so they may not calibrate it as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from nen_imaging.segmentation.bundle import Bundle
from nen_imaging.segmentation.calibration import Calibration
from nen_imaging.segmentation.infer import load_model
from nen_imaging.training.calibrate import (
    CALIBRATION_LOADS,
    CALIBRATION_PATIENTS,
    Floats,
    Voxels,
    best_liver_shift,
    fit_lesions,
    liver_costs,
    voxels_of,
    with_synthetic,
)
from nen_imaging.training.cases import Case
from nen_imaging.training.data import held_out_cases, training_data
from nen_imaging.training.digital import digital_cases, unseen
from nen_imaging.training.evaluate import evaluate
from nen_imaging.training.export import Weights, load_weights, write_bundle
from nen_imaging.training.recipes import Recipe, RecipeError
from nen_imaging.training.train import NETWORKS

T = TypeVar("T")


def export_folds(
    recipe: Recipe, run: Path, data: Path, models_dir: Path, *, report: Callable[[str], None] = print
) -> tuple[list[Bundle], Bundle]:
    """The bundles of all folds from `<run>/fold<N>`, and the bundle ``recipe.name`` that joins them.

    The joined one averages their logits. Together they have learnt from every patient, so its card shows the figures
    of the folds.

    Raises RecipeError where a fold is not trained yet, or patients are held out of all of them: these would calibrate
    every fold, and judge it.
    """
    if recipe.held_out:
        raise RecipeError(
            f"Recipe {recipe.name} has folds; `held_out` must be empty, and names {recipe.held_out[0]!r}."
        )
    folds = range(1, len(recipe.folds) + 1)
    weights = [_weights_of(run / f"fold{number}") for number in folds]
    recipes = [recipe.for_fold(number) for number in folds]
    rows = [training_data(one, data) for one in recipes]
    bundles = [
        write_bundle(one, states, seen, models_dir) for one, states, seen in zip(recipes, weights, rows, strict=True)
    ]
    calibrations, joined = calibrate_folds(recipe, bundles, data, report=report)
    results: list[dict[str, Any]] = []
    for number, (one, states, seen, calibration) in enumerate(zip(recipes, weights, rows, calibrations, strict=True)):
        bundle = write_bundle(one, states, seen, models_dir, calibration=calibration)
        found = [evaluate(case, bundle) for case in held_out_cases(one, data)]
        bundles[number] = write_bundle(one, states, seen, models_dir, calibration=calibration, results=found)
        results += [{"fold": number + 1, **row} for row in found]
        report(f"fold {number + 1}: written")
    together: dict[str, list[Weights]] = {name: [states[name][0] for states in weights] for name in NETWORKS}
    every = training_data(recipe, data)
    return bundles, write_bundle(recipe, together, every, models_dir, calibration=joined, results=results, default=True)


def _weights_of(run: Path) -> dict[str, list[Weights]]:
    paths: dict[str, Path] = {name: run / name / "checkpoint.pt" for name in NETWORKS}
    if missing := [str(path) for path in paths.values() if not path.is_file()]:
        raise RecipeError(f"There is no {missing[0]}: train every fold first (`nen-imaging train ... --fold N`).")
    return {name: [load_weights(path)] for name, path in paths.items()}


def calibrate_folds(
    recipe: Recipe, bundles: Sequence[Bundle], data: Path, *, report: Callable[[str], None] = print
) -> tuple[list[Calibration], Calibration]:
    """A calibration for the bundle of every fold, from the patients that the others held out; and one from all.

    Digital patients, which no run has seen, are dealt out to the runs.
    """
    digital = list(digital_cases(unseen(recipe.digital, CALIBRATION_PATIENTS), recipe.lesion.spacing_mm))
    costs: list[list[Floats]] = []
    for number, bundle in enumerate(bundles, start=1):
        model = load_model(bundle)
        held_out = held_out_cases(recipe.for_fold(number), data)
        costs.append([cost for case in held_out if (cost := liver_costs(case, model)) is not None])
        report(f"fold {number}: {len(held_out)} scans held out")
    shifts = [best_liver_shift(_but(costs, number)) for number in range(len(bundles))]
    voxels: list[list[Voxels]] = []
    for number, (bundle, shift) in enumerate(zip(bundles, shifts, strict=True)):
        model = load_model(bundle)
        cases: list[Case] = [
            *with_synthetic(
                held_out_cases(recipe.for_fold(number + 1), data), recipe.lesions, CALIBRATION_LOADS, recipe.seed
            ),
            *digital[number :: len(bundles)],
        ]
        voxels.append([found for case in cases if (found := voxels_of(case, model, shift))])
        report(f"fold {number + 1}: {len(cases)} scans with synthetic lesions and digital patients")
    by_fold = [
        fit_lesions(_but(voxels, number)).model_copy(update={"liver_shift": shift})
        for number, shift in enumerate(shifts)
    ]
    shift = best_liver_shift([cost for fold in costs for cost in fold])
    return by_fold, fit_lesions([one for fold in voxels for one in fold]).model_copy(update={"liver_shift": shift})


def _but(folds: Sequence[Sequence[T]], left_out: int) -> list[T]:
    """The content of all folds but one."""
    return [one for number, fold in enumerate(folds) if number != left_out for one in fold]
