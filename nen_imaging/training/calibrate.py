"""Fit a bundle's calibration on patients that its weights have not seen: real lesions, and synthetic high loads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from nen_imaging.segmentation.calibration import Calibration, expected_share, logit_of, sigmoid
from nen_imaging.segmentation.infer import Model
from nen_imaging.segmentation.preprocess import box_around
from nen_imaging.segmentation.two_stage import floats, look
from nen_imaging.segmentation.uncertainty import overlap
from nen_imaging.training.cases import LESION, Case
from nen_imaging.training.lesions import add_lesions
from nen_imaging.training.recipes import LesionRecipe
from nen_imaging.volume import resample

Floats = NDArray[np.float32]

LIVER_SHIFTS = np.arange(-2.5, 1.01, 0.5)
LESION_SHIFTS = np.arange(-2.0, 3.01, 0.25)
LOAD_WEIGHTS = np.round(np.arange(0.0, 1.21, 0.1), 1)
TOTAL_SHIFTS = np.arange(-4.0, 4.01, 0.5)  # at which lesions are found; between them their size is interpolated
PEAK_LOGIT = 2.0  # that a lesion rises above the threshold somewhere: most specks that do not are none
SCALES = (0.5, 0.6, 0.75, 0.9, 1.0, 1.2, 1.5)
CALIBRATION_LOADS = ((60, 15), (20, 50), (45, 70), (30, 5), (8, 35))  # percent, of synthetic lesions in held-out livers
CALIBRATION_HARDNESS = 0.5  # of synthetic lesions: what nobody could see says nothing about a threshold
CALIBRATION_PATIENTS = 12  # digital ones, if the recipe trains with any
SMALLEST_INTERVAL = 0.2  # few cases can all be right by chance
_LOAD_TOLERANCE = 5.0  # points of load that weigh as much as a Dice of zero, for a liver without lesions
_BIAS_WEIGHT = 0.25  # of the mean relative load error, signs kept
_BIAS_ABOVE_PERCENT = 1.0  # the true load from which it counts: of a lower one no large error can be negative


@dataclass(frozen=True)
class Voxels:
    """Lesion logits, ascending, in the voxels of the liver that was found, and which of them are truly lesion.

    ``true_lesion`` and ``true_liver`` are the sizes of the true masks, in voxels. ``found``, of shape (shifts, 2), are
    at each of `TOTAL_SHIFTS` the size of the lesions that rise to `PEAK_LOGIT` somewhere, and of their overlap with
    the true ones; without it every voxel counts that reaches the threshold.
    """

    logit: Floats
    lesion: NDArray[np.bool_]
    true_lesion: int
    true_liver: int
    found: Floats | None = None

    @classmethod
    def of(
        cls, logit: Floats, lesion: NDArray[np.bool_], true_lesion: int, true_liver: int, found: Floats | None = None
    ) -> Voxels:
        """Voxels in any order."""
        order = np.argsort(logit)
        return cls(logit[order], lesion[order], true_lesion, true_liver, found)

    @property
    def true_load_percent(self) -> float:
        """Of the true masks."""
        return 100.0 * self.true_lesion / max(1, self.true_liver)

    def lesions_at(self, shift: float) -> tuple[float, float]:
        """Size of what is called lesion when that is added to the logit, and of its overlap with true lesions."""
        if self.found is None:
            first = int(np.searchsorted(self.logit, np.float32(-shift)))
            return self.logit.size - first, int(self.lesion_from[first])
        size, overlapping = (float(np.interp(shift, TOTAL_SHIFTS, column)) for column in self.found.T)
        return size, overlapping

    @cached_property
    def lesion_from(self) -> NDArray[np.int64]:
        """How many of the voxels from each on are truly lesion; one entry more than voxels."""
        return np.append(np.cumsum(self.lesion[::-1])[::-1], 0)


def with_synthetic(
    cases: Iterable[Case], recipe: LesionRecipe, loads_percent: Sequence[tuple[float, ...]], seed: int
) -> Iterator[Case]:
    """Each case as it is, and with synthetic lesions up to each load of one row of the list, rows in turn."""
    for number, case in enumerate(cases):
        yield case
        for load in loads_percent[number % len(loads_percent)]:
            rng = np.random.default_rng([seed, number, round(10 * load)])
            image, label = add_lesions(
                floats(case.image),
                case.label.array.astype(np.uint8),
                case.image.spacing_mm,
                rng,
                recipe.at(CALIBRATION_HARDNESS),
                load_percent=load,
            )
            hu = case.image.with_array(image.round().astype(np.int16))
            name = f"{case.name} synthetic {load:g} %"
            yield replace(case, name=name, image=hu, label=case.label.with_array(label))


def fit(cases: Sequence[Case], digital: Sequence[Case], model: Model, device: str = "cpu") -> Calibration:
    """The shift with the best livers, and with it the calibration of lesions.

    Where a liver ends, real ones say alone; lesions of digital patients count like others. Cases in which no liver is
    found are left out; if that are all, nothing is calibrated.
    """
    costs = [cost for case in cases if (cost := liver_costs(case, model, device)) is not None]
    if not costs:
        return Calibration()
    liver_shift = best_liver_shift(costs)
    voxels = [found for case in (*cases, *digital) if (found := voxels_of(case, model, liver_shift, device))]
    return fit_lesions(voxels).model_copy(update={"liver_shift": liver_shift})


def best_liver_shift(costs: Sequence[Floats]) -> float:
    """Of `LIVER_SHIFTS` the one that costs least over all cases, see `liver_costs`; 0 without a case."""
    return float(LIVER_SHIFTS[int(np.argmin(np.mean(costs, axis=0)))]) if costs else 0.0


def fit_lesions(cases: Sequence[Voxels]) -> Calibration:
    """Shift and load weight that cost least, see below; with these the likeliest scale, and the interval.

    The cost is lost Dice plus relative load error, its size on average and, with less weight, its bias: many loads that
    are all a little too low cost more than as many errors to both sides.
    """
    if not cases:
        return Calibration()
    shares = [logit_of(expected_share(case.logit)) for case in cases]
    above = np.array([case.true_load_percent > _BIAS_ABOVE_PERCENT for case in cases])

    def cost(shift: float, weight: float) -> float:
        errors = [_errors(case, shift + weight * share) for case, share in zip(cases, shares, strict=True)]
        lost, load = np.array(errors).T
        bias = abs(load[above].mean()) if above.any() else 0.0
        return float(lost.mean() + np.abs(load).mean() + _BIAS_WEIGHT * bias)

    shift, weight = min(product(LESION_SHIFTS.tolist(), LOAD_WEIGHTS.tolist()), key=lambda pair: cost(*pair))
    candidates = [Calibration(lesion_shift=shift, load_weight=weight, lesion_scale=scale) for scale in SCALES]
    likeliest = min(candidates, key=lambda one: float(np.mean([_surprise(case, one) for case in cases])))
    peak = round(float(sigmoid(np.array(PEAK_LOGIT * likeliest.lesion_scale))), 2)
    return likeliest.model_copy(update={"interval_logit": _interval(cases, likeliest), "lesion_peak": peak})


def _interval(cases: Sequence[Voxels], calibration: Calibration, level: float = 0.9) -> float:
    """How far from 0 the threshold lies that makes a case's load the true one, in that share of cases.

    As in split conformal prediction (Vovk et al.), but that the same cases chose the shift. A liver without lesions has
    no such threshold; the interval's other terms are for it.
    """
    needed = [
        abs(float(np.quantile(calibration.lesion_logit(case.logit, np.ones(case.logit.shape, bool)), 1 - share)))
        for case in cases
        if 0 < (share := case.true_load_percent / 100) < 1
    ]
    if not needed:
        return calibration.interval_logit
    return max(SMALLEST_INTERVAL, float(np.quantile(needed, level)))


def liver_costs(case: Case, model: Model, device: str = "cpu") -> Floats | None:
    """Lost Dice plus relative error of the volume at each of `LIVER_SHIFTS`; None where no liver is found."""
    view = look(case.image, model, device)
    if view is None:
        return None
    true = np.greater(resample(case.label, view.grid.shape, view.grid.affine, nearest=True).array, 0)
    volume = max(1, int(true.sum()))
    livers = (view.organ(float(shift))[0] >= 0.5 for shift in LIVER_SHIFTS)
    return np.array(
        [1 - overlap(liver, true) + abs(int(liver.sum()) - volume) / volume for liver in livers], np.float32
    )


def voxels_of(case: Case, model: Model, liver_shift: float, device: str = "cpu") -> Voxels | None:
    """What a case says about the lesion logit; None where no liver is found, or its lesions are not all known."""
    if not case.lesions_known:
        return None
    view = look(case.image, model, device)
    if view is None:
        return None
    liver = view.organ(liver_shift)[0] >= 0.5
    if not liver.any():
        return None
    true = resample(case.label, view.grid.shape, view.grid.affine, nearest=True).array
    lesion = np.equal(true, LESION)
    return Voxels.of(
        view.lesion_logit[liver],
        lesion[liver],
        int(lesion.sum()),
        int(np.greater(true, 0).sum()),
        _found(view.lesion_logit, liver, lesion),
    )


def _found(logit: Floats, liver: NDArray[np.bool_], lesion: NDArray[np.bool_]) -> Floats:
    """See `Voxels.found`; all three are images."""
    from skimage.filters import apply_hysteresis_threshold

    start, stop = box_around(liver, np.zeros(3, int))
    box = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    inside, lesion = np.where(liver[box], logit[box], -np.inf), lesion[box]
    masks = (apply_hysteresis_threshold(inside, -shift, PEAK_LOGIT - shift) for shift in TOTAL_SHIFTS)
    return np.array([[int(mask.sum()), int((mask & lesion).sum())] for mask in masks], np.float32)


def _errors(case: Voxels, shift: float) -> tuple[float, float]:
    """Lost Dice, and the relative load error with its sign.

    Neither exceeds 1: a liver that took in what is none, half of it called lesion, would outweigh the others.
    """
    size, overlapping = case.lesions_at(shift)
    lost = 1.0 - 2.0 * overlapping / max(1, size + case.true_lesion) if case.true_lesion else 0.0
    true_load = case.true_load_percent
    error = (100.0 * size / case.logit.size - true_load) / (_LOAD_TOLERANCE + true_load)
    return lost, float(np.clip(error, -1.0, 1.0))


def _surprise(case: Voxels, calibration: Calibration) -> float:
    """Mean negative log-likelihood."""
    logit = calibration.lesion_logit(case.logit, np.ones(case.logit.shape, bool))
    probability = np.clip(sigmoid(logit), 1e-4, 1 - 1e-4)
    return float(-np.log(np.where(case.lesion, probability, 1 - probability)).mean())
