"""Digital patients as labelled cases: high loads and whole bodies, of which real labelled CT has few."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nen_imaging.segmentation.preprocess import ORIENTATION
from nen_imaging.training.cases import Case
from nen_imaging.training.recipes import DigitalRecipe

LICENCE = "made by this project"


def unseen(recipe: DigitalRecipe, patients: int) -> DigitalRecipe:
    """Patients after those of the recipe; none if it has none."""
    first_seed = recipe.first_seed + recipe.patients
    return recipe.model_copy(update={"patients": patients if recipe.patients else 0, "first_seed": first_seed})


def digital_names(recipe: DigitalRecipe) -> list[str]:
    """What the recipe's patients are called."""
    return [f"digital{recipe.first_seed + number}" for number in range(recipe.patients)]


def digital_cases(recipe: DigitalRecipe, spacing_mm: float) -> Iterator[Case]:
    """Paint the recipe's patients, one staging each, at a spacing; loads are spread evenly from 0 to 75 %."""
    from nen_imaging.phantom.anatomy import digital_patient
    from nen_imaging.phantom.scanner import CtScanner
    from nen_imaging.phantom.staging import staging
    from nen_imaging.phantom.tissue import Phase

    phases = [*[Phase.PORTAL_VENOUS] * 5, Phase.ARTERIAL]
    for number, (name, load) in enumerate(zip(digital_names(recipe), np.linspace(0, 75, recipe.patients), strict=True)):
        seed = recipe.first_seed + number
        anatomy = digital_patient(seed, spacing_mm)
        scanner = CtScanner(fwhm_mm=1.5, noise_hu=8.0 + 4.0 * (number % 4))
        scanned = staging(anatomy, float(load), seed, phases[number % 6], scanner=scanner)
        image = scanned.ct.with_array(np.asarray(scanned.ct.array).round().astype(np.int16)).oriented(ORIENTATION)
        label = scanned.labels.with_array(scanned.labels.array.astype(np.uint8)).oriented(ORIENTATION)
        yield Case(name, name, image, label, True, recipe.weight, LICENCE, painted=True)
