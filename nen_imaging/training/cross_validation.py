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
from nen_imaging.training.data import NETWORKS, NetworkName, held_out_cases, training_data
from nen_imaging.training.digital import digital_cases, unseen
from nen_imaging.training.evaluate import evaluate
from nen_imaging.training.export import Trained, write_bundle
from nen_imaging.training.recipes import Recipe, RecipeError

T = TypeVar("T")


def export_folds(
    recipe: Recipe,
    run: Path,
    data: Path,
    models_dir: Path,
    *,
    beside: Sequence[tuple[Recipe, Path]] = (),
    report: Callable[[str], None] = print,
) -> tuple[list[Bundle], Bundle]:
    """The bundles of all folds from `<run>/fold<N>`, and the bundle ``recipe.name`` that joins them.

    The joined one averages their logits. Together they have learnt from every patient, so its card shows the figures
    of the folds. ``beside`` are other recipes of the same folds and their runs: a fold averages its lesion network
    with theirs.

    Raises RecipeError where a fold is not trained yet, where other recipes do not fit, or where patients are held out
    of all folds: these would calibrate every fold, and judge it.
    """
    if recipe.held_out:
        raise RecipeError(
            f"Recipe {recipe.name} has folds; `held_out` must be empty, and names {recipe.held_out[0]!r}."
        )
    others = [other for other, _ in beside]
    for other in others:
        _require_fit(recipe, other)
    numbers = range(1, len(recipe.folds) + 1)
    networks = [_networks_of(recipe, run, beside, number) for number in numbers]
    recipes = [recipe.for_fold(number) for number in numbers]
    further = [[other.for_fold(number) for other in others] for number in numbers]
    rows = [_training_data([*ours, one], data) for one, ours in zip(recipes, further, strict=True)]

    def write(index: int, **known: Any) -> Bundle:  # noqa: ANN401 - passed on
        return write_bundle(recipes[index], networks[index], rows[index], models_dir, further=further[index], **known)

    bundles = [write(index) for index in range(len(numbers))]
    calibrations, joined = calibrate_folds(recipe, bundles, data, report=report)
    results: list[dict[str, Any]] = []
    for index, calibration in enumerate(calibrations):
        bundle = write(index, calibration=calibration)
        found = [evaluate(case, bundle) for case in held_out_cases(recipes[index], data)]
        bundles[index] = write(index, calibration=calibration, results=found)
        results += [{"fold": index + 1, **row} for row in found]
        report(f"fold {index + 1}: written")
    together: dict[NetworkName, list[Trained]] = {
        name: [one for fold in networks for one in fold[name]] for name in NETWORKS
    }
    every = _training_data([*others, recipe], data)
    return bundles, write_bundle(
        recipe, together, every, models_dir, further=others, calibration=joined, results=results, default=True
    )


def _require_fit(recipe: Recipe, other: Recipe) -> None:
    """Raise RecipeError unless lesion networks of both can be averaged, and hold out the same patients."""
    same = {
        "folds": (recipe.folds, other.folds),
        "held_out": (recipe.held_out, other.held_out),
        "scaling": (recipe.scaling, other.scaling),
        "lesion.spacing_mm": (recipe.lesion.spacing_mm, other.lesion.spacing_mm),
    }
    if differing := [key for key, (ours, theirs) in same.items() if ours != theirs]:
        raise RecipeError(f"Recipes {recipe.name} and {other.name} differ in `{differing[0]}`, and cannot be joined.")


def _networks_of(
    recipe: Recipe, run: Path, beside: Sequence[tuple[Recipe, Path]], number: int
) -> dict[NetworkName, list[Trained]]:
    """The networks of one fold."""

    def trained(one: Recipe, folder: Path, name: NetworkName) -> Trained:
        path = folder / f"fold{number}" / name / "checkpoint.pt"
        if not path.is_file():
            raise RecipeError(f"There is no {path}: train every fold first (`nen-imaging train ... --fold N`).")
        return Trained.of(getattr(one, name), path)

    lesion = [trained(one, folder, "lesion") for one, folder in ((recipe, run), *beside)]
    return {"liver": [trained(recipe, run, "liver")], "lesion": lesion}


def _training_data(recipes: Sequence[Recipe], data: Path) -> list[dict[str, str]]:
    """The rows of all recipes; what the last one says of a case counts."""
    rows = {row["case"]: row for recipe in recipes for row in training_data(recipe, data)}
    return sorted(rows.values(), key=lambda row: row["case"])


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
