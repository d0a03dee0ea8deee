"""Labelled CT in folders -> cases in memory."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nen_imaging.segmentation.preprocess import ORIENTATION
from nen_imaging.stage import read_record
from nen_imaging.training.cases import LIVER, Case
from nen_imaging.training.digital import LICENCE, digital_cases, digital_names
from nen_imaging.training.elsewhere import bodies_without_liver
from nen_imaging.training.prepare import LICENCES, form_of, prepared_cases
from nen_imaging.training.recipes import Recipe, RecipeError, SourceRecipe
from nen_imaging.volume import read_nifti, require_same_grid

NetworkName = Literal["liver", "lesion"]
NETWORKS: tuple[NetworkName, NetworkName] = ("liver", "lesion")


@dataclass(frozen=True)
class Scan:
    """A case of a source, not yet read: `form` is the folder with its image and label."""

    name: str
    patient: str
    form: Path
    lesions_known: bool
    weight: float
    licence: str


def with_data(recipe: Recipe, root: Path, cases: Path) -> Recipe:
    """The recipe as it is for this data: data sets as their prepared cases, `folds` as lists of patients.

    Patients whose lesions are labelled in no scan are in no fold: every run learns from them.
    """
    sources = [
        source.model_copy(update={"prepared": prepared_cases(source, recipe, root, cases)})
        if source.dataset
        else source
        for source in recipe.sources
    ]
    recipe = recipe.model_copy(update={"sources": sources})
    return recipe.dealt(
        scan.patient for network in NETWORKS for scan in scans(recipe, network, root) if scan.lesions_known
    )


def scans(recipe: Recipe, network: NetworkName, root: Path) -> list[Scan]:
    """Every scan that the recipe's sources have for a network, those of held-out patients too.

    Raises RecipeError if a source is missing.
    """
    return [scan for source in recipe.sources for scan in _scans_of(source, recipe, network, root)]


def load_cases(recipe: Recipe, network: NetworkName, root: Path, *, held_out: bool = False) -> list[Case]:
    """The cases one network learns from, or those of the held-out patients.

    A patient is held out with all its scans: `patient` in a source's `index.csv` or a case's `info.json` says who is
    who (without one each case is its own patient); `licence` there goes into the model card. A data set tells both.

    Raises RecipeError if a source is missing, or nothing is left to learn from.
    """
    cases = [_read(scan) for scan in scans(recipe, network, root) if (scan.patient in recipe.held_out) == held_out]
    if not held_out:
        spacing_mm = getattr(recipe, network).spacing_mm
        cases += digital_cases(recipe.digital, spacing_mm)
        if network == "liver":
            digital = recipe.digital
            cases += bodies_without_liver(digital.without_liver, digital.first_seed, spacing_mm, digital.weight)
    if not cases:
        raise RecipeError(f"No case for the {network} network in {root}: check `sources` and `held_out` of the recipe.")
    return cases


def held_out_cases(recipe: Recipe, root: Path) -> list[Case]:
    """Every scan of the held-out patients once, in the form of the lesion network where there is one."""
    found = {case.name: case for case in load_cases(recipe, "liver", root, held_out=True)}
    fine = {case.name: case for case in load_cases(recipe, "lesion", root, held_out=True)}
    return [case for _, case in sorted((found | fine).items())]


def training_data(recipe: Recipe, root: Path) -> list[dict[str, str]]:
    """One row per scan for the model card: case, patient, licence, and the networks that learn from it.

    Scans that only the bundle whose weights it began from has learnt from are among them.
    """
    rows: dict[str, dict[str, str]] = {}
    for network in NETWORKS:
        real = [(scan.name, scan.patient, scan.licence) for scan in scans(recipe, network, root)]
        digital = [(name, name, LICENCE) for name in digital_names(recipe.digital)]
        learnt = dict.fromkeys([*(one for one in real if one[1] not in recipe.held_out), *digital])  # forms of one scan
        for name, patient, licence in learnt:
            row = {"case": name, "patient": patient, "licence": licence, "networks": ""}
            known = rows.setdefault(name, row)
            known["networks"] = ", ".join(filter(None, [known["networks"], network]))
    before = {row["case"]: {**row, "networks": f"{row['networks']} (before)"} for row in recipe.learnt_before}
    return sorted({**before, **rows}.values(), key=lambda row: row["case"])


def _scans_of(source: SourceRecipe, recipe: Recipe, network: NetworkName, root: Path) -> Iterator[Scan]:
    forms = [form_of(recipe, network)] if source.dataset else source.forms.get(network, [])
    for folder, facts in _folders_of(source, root):
        form = next((folder / form for form in forms if (folder / form).is_dir()), None)
        if form is None or folder.name in source.leave_out.get(network, []):
            continue
        known = source.lesions_known and folder.name not in source.lesions_unknown_in
        yield Scan(
            name=f"{source.label}_{folder.name}" if source.dataset else folder.name,
            patient=str(facts.get("patient", folder.name)),
            form=form,
            lesions_known=known and bool(facts.get("lesions_known", True)),
            weight=source.weight,
            licence=source.licence or str(facts.get("licence", "not stated")),
        )


def _folders_of(source: SourceRecipe, root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The folder of each case of a source, in order, and what is known of the case."""
    if source.dataset:
        if source.prepared is None:
            raise RecipeError(f"The cases of {source.label} are not prepared.")
        licence = LICENCES.get(source.dataset, "not stated")
        yield from ((folder, {"licence": licence, **read_record(folder).facts}) for folder in source.prepared)
        return
    folder = root / source.folder
    if not folder.is_dir():
        raise RecipeError(f"Source {folder} is missing. Give the folder that holds it with --data.")
    index = _index(folder / "index.csv")
    for case in sorted(path for path in folder.iterdir() if path.is_dir()):
        yield case, {**_facts(case / "info.json"), **index.get(case.name, {})}


def _index(path: Path) -> dict[str, dict[str, str]]:
    """Rows of a source's index by case; empty where it has none."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row["case"]: row for row in csv.DictReader(file)}


def _facts(path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return facts


def _read(scan: Scan) -> Case:
    image = read_nifti(scan.form / "image.nii.gz")
    if (scan.form / "label.nii.gz").is_file():
        label = read_nifti(scan.form / "label.nii.gz")
        classes = label.array.astype(np.uint8)
    else:
        label = read_nifti(scan.form / "organs.nii.gz")
        classes = np.equal(label.array, LIVER).astype(np.uint8)
    require_same_grid(image, label)
    image = image.with_array(np.asarray(image.array, np.float32).round().astype(np.int16)).oriented(ORIENTATION)
    label = label.with_array(classes).oriented(ORIENTATION)
    return Case(scan.name, scan.patient, image, label, scan.lesions_known, scan.weight, scan.licence)
