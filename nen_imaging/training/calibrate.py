"""Fit a bundle's calibration on patients that its weights have not seen: real lesions, and synthetic high loads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product

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

COARSE_WEIGHTS = (0.0, 0.15, 0.3, 0.45, 0.6)
SHIFTS = np.arange(-1.5, 3.01, 0.25)
SCALES = (0.5, 0.6, 0.75, 0.9, 1.0, 1.2, 1.5)
_LOAD_TOLERANCE = 2.0  # points of load that weigh as much as a Dice of zero, for a liver without lesions


@dataclass(frozen=True)
class Voxels:
    """The lesion logits of both networks, and the truth, in the voxels of one true liver."""

    fine: Floats
    coarse: Floats
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
    """What both networks say in a case's liver; None where they find no liver."""
    view = look(case.image, model, device)
    return None if view is None else _inside(view, case.label)


def _inside(view: FineView, label: Volume) -> Voxels:
    truth = resample(label, view.grid.shape, view.grid.affine, nearest=True).array
    liver = np.greater(truth, 0)
    return Voxels(view.lesion_logit[liver], view.coarse_lesion_logit[liver], np.equal(truth, LESION)[liver])


def fit(cases: list[Voxels]) -> Calibration:
    """The fusion weight and shift with the least sum of lost Dice and relative load error, then the likeliest scale."""

    def cost(weight: float, shift: float) -> float:
        return float(np.mean([_cost(case, weight, shift) for case in cases]))

    weights = COARSE_WEIGHTS if any(np.ptp(case.coarse) > 0 for case in cases) else (0.0,)
    weight, shift = min(product(weights, SHIFTS.tolist()), key=lambda pair: cost(*pair))
    scale = min(SCALES, key=lambda value: np.mean([_surprise(case, weight, shift, value) for case in cases]))
    return Calibration(coarse_weight=weight, lesion_shift=shift, lesion_scale=scale)


def _logit(case: Voxels, weight: float, shift: float) -> Floats:
    return np.asarray((1 - weight) * case.fine + weight * case.coarse + shift, np.float32)


def _cost(case: Voxels, weight: float, shift: float) -> float:
    found = _logit(case, weight, shift) >= 0
    loads = [100.0 * float(mask.mean()) for mask in (found, case.lesion)]
    dice = 2.0 * float((found & case.lesion).sum()) / max(1, int(found.sum() + case.lesion.sum()))
    lost = 1.0 - dice if case.lesion.any() else 0.0
    return lost + abs(loads[0] - loads[1]) / (_LOAD_TOLERANCE + loads[1])


def _surprise(case: Voxels, weight: float, shift: float, scale: float) -> float:
    """Mean negative log-likelihood."""
    probability = np.clip(sigmoid(_logit(case, weight, shift) * np.float32(scale)), 1e-4, 1 - 1e-4)
    return float(-np.log(np.where(case.lesion, probability, 1 - probability)).mean())
