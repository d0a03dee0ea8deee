"""Fit a bundle's calibration on patients that its weights have not seen: real lesions, and synthetic high loads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nen_imaging.segmentation.bundle import Calibration
from nen_imaging.segmentation.infer import Model
from nen_imaging.segmentation.two_stage import FineView, floats, look, sigmoid
from nen_imaging.training.cases import LESION, Case
from nen_imaging.training.lesions import add_lesions
from nen_imaging.training.recipes import LesionRecipe
from nen_imaging.volume import Volume, resample

Floats = NDArray[np.float32]

SHIFTS = np.arange(-1.5, 3.01, 0.25)
SCALES = (0.5, 0.6, 0.75, 0.9, 1.0, 1.2, 1.5)
_LOAD_TOLERANCE = 2.0  # points of load that weigh as much as a Dice of zero, for a liver without lesions


@dataclass(frozen=True)
class Voxels:
    """The network's lesion logits, and the truth, in the voxels of one true liver."""

    logit: Floats
    lesion: NDArray[np.bool_]


def with_synthetic(
    cases: Iterable[Case], recipe: LesionRecipe, loads_percent: tuple[float, ...], seed: int
) -> Iterator[Case]:
    """Each case as it is, and with synthetic lesions up to one load of the list, in turn."""
    for number, case in enumerate(cases):
        yield case
        rng = np.random.default_rng([seed, number])
        load = loads_percent[number % len(loads_percent)]
        image, label = add_lesions(
            floats(case.image), case.label.array.astype(np.uint8), case.image.spacing_mm, rng, recipe, load_percent=load
        )
        hu = case.image.with_array(image.round().astype(np.int16))
        yield replace(case, name=f"{case.name} synthetic", image=hu, label=case.label.with_array(label))


def voxels_of(case: Case, model: Model, device: str = "cpu") -> Voxels | None:
    """What the network says in a case's liver; None where no liver is found."""
    view = look(case.image, model, device)
    return None if view is None else _inside(view, case.label)


def _inside(view: FineView, label: Volume) -> Voxels:
    truth = resample(label, view.grid.shape, view.grid.affine, nearest=True).array
    liver = np.greater(truth, 0)
    return Voxels(view.lesion_logit[liver], np.equal(truth, LESION)[liver])


def fit(cases: list[Voxels]) -> Calibration:
    """The shift with the least sum of lost Dice and relative load error, then the likeliest scale."""
    shift = min(SHIFTS.tolist(), key=lambda value: np.mean([_cost(case, value) for case in cases]))
    scale = min(
        SCALES,
        key=lambda value: np.mean(
            [_surprise(case, Calibration(lesion_shift=shift, lesion_scale=value)) for case in cases]
        ),
    )
    return Calibration(lesion_shift=shift, lesion_scale=scale)


def _cost(case: Voxels, shift: float) -> float:
    found = case.logit + shift >= 0
    loads = [100.0 * float(mask.mean()) for mask in (found, case.lesion)]
    dice = 2.0 * float((found & case.lesion).sum()) / max(1, int(found.sum() + case.lesion.sum()))
    lost = 1.0 - dice if case.lesion.any() else 0.0
    return lost + abs(loads[0] - loads[1]) / (_LOAD_TOLERANCE + loads[1])


def _surprise(case: Voxels, calibration: Calibration) -> float:
    """Mean negative log-likelihood."""
    probability = np.clip(sigmoid(calibration.applied_to(case.logit)), 1e-4, 1 - 1e-4)
    return float(-np.log(np.where(case.lesion, probability, 1 - probability)).mean())
