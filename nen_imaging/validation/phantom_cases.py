"""Digital patients as a data set: their truth is exact, so an error can be split into where it comes from."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from nen_imaging.validation.cases import Case, ImportOptions, LabelledCt, labelled

PATIENTS = 10
FIRST_SEED = 5000  # training draws its digital patients from 1000 on
SPACING_MM = (2.0, 2.0, 1.0)
SLICE_MM = 3.0
LARGEST_LOAD_PERCENT = 60.0
HIGH_LOADS_PERCENT = (50.0, 75.0)


def phantom_cases(root: Path) -> list[Case]:
    """Ten patients with loads from none to massive; nothing is looked for in ``root``."""
    del root
    return _patients(FIRST_SEED, LARGEST_LOAD_PERCENT * np.linspace(0, 1, PATIENTS) ** 2)  # half of them below 15 %


def high_load_cases(root: Path) -> list[Case]:
    """Ten other patients whose livers are mostly tumour; nothing is looked for in ``root``."""
    del root
    return _patients(FIRST_SEED + PATIENTS, np.linspace(*HIGH_LOADS_PERCENT, PATIENTS))


def _patients(first_seed: int, loads: NDArray[np.floating]) -> list[Case]:
    seeds = range(first_seed, first_seed + len(loads))
    return [
        Case(f"digital{seed}", partial(read_phantom, seed, float(load)), known_as=(f"digital{seed}",))
        for seed, load in zip(seeds, loads, strict=True)
    ]


def read_phantom(
    seed: int,
    load_percent: float,
    spacing_mm: tuple[float, float, float] = SPACING_MM,
    slice_mm: float = SLICE_MM,
    **_import_ct: Unpack[ImportOptions],
) -> LabelledCt:
    """Scan a digital patient with slices thicker than the grid it was drawn on.

    ``exact`` holds the load on that grid (``exact_load_percent``), and the load of labels taken at the middle of each
    slice, without any averaging over its thickness (``sampled_load_percent``).
    """
    from nen_imaging.phantom.anatomy import digital_patient
    from nen_imaging.phantom.course import course
    from nen_imaging.phantom.scanner import CtScanner
    from nen_imaging.phantom.staging import staging

    anatomy = digital_patient(seed, spacing_mm)
    count = int(np.clip(load_percent, 3, 25))
    lesions = course(anatomy, [load_percent], seed, count=count)[0]
    scanned = staging(anatomy, load_percent, seed, lesions=lesions, scanner=CtScanner(slice_thickness_mm=slice_mm))
    liver = anatomy.liver.array.astype(bool)
    lesion = liver & (lesions.instances > 0)
    step = round(slice_mm / spacing_mm[2])
    middle = (slice(None), slice(None), slice(step // 2, None, step))
    exact = {
        "exact_load_percent": 100 * float(lesion.sum() / liver.sum()),
        "sampled_load_percent": 100 * float(lesion[middle].sum() / liver[middle].sum()),
    }
    return labelled(scanned.ct, scanned.labels, exact=exact)


def split_of_error(exact: dict[str, float], true_percent: float, predicted_percent: float) -> dict[str, float]:
    """The error of a load in points, split so that the parts add up to it.

    ``discretisation``: labels at the middle of each slice against the patient as drawn; ``partial_volume``: the truth
    on slices of full thickness against those; ``segmentation``: the prediction against that truth.
    """
    sampled, drawn = exact["sampled_load_percent"], exact["exact_load_percent"]
    return {
        "discretisation": sampled - drawn,
        "partial_volume": true_percent - sampled,
        "segmentation": predicted_percent - true_percent,
    }
