"""Labelled CT in folders -> cases in memory."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from nen_imaging.segmentation.preprocess import ORIENTATION
from nen_imaging.training.cases import LIVER, Case
from nen_imaging.training.digital import digital_cases
from nen_imaging.training.recipes import Recipe, RecipeError, SourceRecipe
from nen_imaging.volume import Volume, read_nifti, require_same_grid

NetworkName = Literal["liver", "lesion"]


def load_cases(recipe: Recipe, network: NetworkName, root: Path, *, held_out: bool = False) -> list[Case]:
    """The cases one network learns from, or those of the held-out patients.

    A patient is held out with all its scans: `patient` in a source's `index.csv` or a case's `info.json` says who is
    who (without one each case is its own patient); `licence` there goes into the model card.

    Raises RecipeError if a source is missing, or nothing is left to learn from.
    """
    cases = [
        case
        for source in recipe.sources
        for case in _cases_of(source, network, root)
        if (case.patient in recipe.held_out) == held_out
    ]
    if not held_out:
        cases += digital_cases(recipe.digital, getattr(recipe, network).spacing_mm)
    if not cases:
        raise RecipeError(f"No case for the {network} network in {root}: check `sources` and `held_out` of the recipe.")
    return cases


def held_out_cases(recipe: Recipe, root: Path) -> list[Case]:
    """Every scan of the held-out patients once, in the form of the lesion network where there is one."""
    found = {case.name: case for case in load_cases(recipe, "liver", root, held_out=True)}
    fine = {case.name: case for case in load_cases(recipe, "lesion", root, held_out=True)}
    return [case for _, case in sorted((found | fine).items())]


def training_data(recipe: Recipe, root: Path) -> list[dict[str, str]]:
    """One row per scan for the model card: case, patient, licence, and the networks that learn from it."""
    rows: dict[str, dict[str, str]] = {}
    networks: tuple[NetworkName, NetworkName] = ("liver", "lesion")
    for network in networks:
        for case in load_cases(recipe, network, root):
            row = {"case": case.name, "patient": case.patient, "licence": case.licence, "networks": ""}
            known = rows.setdefault(case.name, row)
            known["networks"] = ", ".join(filter(None, [known["networks"], network]))
    return sorted(rows.values(), key=lambda row: row["case"])


def _cases_of(source: SourceRecipe, network: NetworkName, root: Path) -> Iterator[Case]:
    folder = root / source.folder
    if not folder.is_dir():
        raise RecipeError(f"Source {folder} is missing. Give the folder that holds it with --data.")
    index = _index(folder / "index.csv")
    for case_folder in sorted(path for path in folder.iterdir() if path.is_dir()):
        name = case_folder.name
        form = next(
            (case_folder / form for form in source.forms.get(network, []) if (case_folder / form).is_dir()), None
        )
        if form is None or name in source.leave_out.get(network, []):
            continue
        image, label = _read(form)
        known = source.lesions_known and name not in source.lesions_unknown_in
        facts = _facts(case_folder / "info.json") | index.get(name, {})
        licence = str(facts.get("licence", "not stated"))
        yield Case(name, facts.get("patient", name), image, label, known, source.weight, licence)


def _index(path: Path) -> dict[str, dict[str, str]]:
    """Rows of a source's index by case; empty where it has none."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row["case"]: row for row in csv.DictReader(file)}


def _facts(path: Path) -> dict[str, str]:
    facts: dict[str, str] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return facts


def _read(form: Path) -> tuple[Volume, Volume]:
    image = read_nifti(form / "image.nii.gz")
    if (form / "label.nii.gz").is_file():
        label = read_nifti(form / "label.nii.gz")
        classes = label.array.astype(np.uint8)
    else:
        label = read_nifti(form / "organs.nii.gz")
        classes = np.equal(label.array, LIVER).astype(np.uint8)
    require_same_grid(image, label)
    image = image.with_array(np.asarray(image.array, np.float32).round().astype(np.int16)).oriented(ORIENTATION)
    return image, label.with_array(classes).oriented(ORIENTATION)
