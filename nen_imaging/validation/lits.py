"""The two official conventions of LiTS, crashes and the relabelling slip excepted.

`isbi2017`: the program of February 2017, whose figures are the organisers' scores.txt (lesions alone, whole mask).
`codalab`: the MICCAI 2017 program in use since: lesions matched by merging, figures of the detected ones pooled over
all volumes. Where its current version crashes (no lesion in a reference), the branch `miccai` is followed.
Source: the programs at github.com/PatrickChrist/lits-challenge-scoring (090307d, 8b1ee00, b9d13be), run and compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nen_imaging.validation.components import Components, components_of
from nen_imaging.validation.metrics import LIVER, Overlap, lesions_of, liver_of
from nen_imaging.validation.surface import Mask, Spacing, Surface, surface_distances

ISBI2017 = ("dice", "voe", "rvd", "assd", "mssd")
CODALAB_MASK = ("dice", "jaccard", "voe", "rvd", "assd", "rmsd", "msd")
THRESHOLDS = (0.0, 0.5)
LARGE = 9001.0  # the program's penalty where nothing can be measured
PENALTY = {"dice": 0.0, "jaccard": 0.0, "voe": 1.0, "rvd": LARGE, "assd": LARGE, "rmsd": LARGE, "msd": LARGE}


def isbi2017(truth: NDArray[Any], prediction: NDArray[Any], spacing_mm: Spacing) -> dict[str, float]:
    """The five lesion figures of one volume.

    Empty masks, as the program had them: both empty scores 1, 0, 0, 0, 0; without true lesions one voxel at the first
    corner stands for them; a missed lesion scores Dice 0, but both distances 0.

    Parameters
    ----------
    truth, prediction
        Label maps (1 liver, 2 lesion) of one shape.
    spacing_mm
        Along the arrays' axes.
    """
    true_lesion, lesion = lesions_of(truth), lesions_of(prediction)
    if not true_lesion.any():
        if not lesion.any():
            return dict(zip(ISBI2017, (1.0, 0.0, 0.0, 0.0, 0.0), strict=True))
        true_lesion = true_lesion.copy()
        true_lesion[0, 0, 0] = True
    overlap = Overlap.of(true_lesion, lesion)
    if not lesion.any():
        return dict(zip(ISBI2017, (0.0, 1.0, -1.0, 0.0, 0.0), strict=True))
    assd = surface_distances(true_lesion, lesion, spacing_mm, Surface.EDGES).assd_mm
    mssd = surface_distances(true_lesion, lesion, spacing_mm, Surface.FACES).msd_mm
    return dict(zip(ISBI2017, (overlap.dice, overlap.voe, overlap.rvd, assd, mssd), strict=True))


@dataclass(frozen=True)
class CodalabVolume:
    """What one volume adds to the set's figures.

    ``detected``, ``predicted``, ``true``: lesions, the first by IoU threshold; ``lesions``: figures of each group
    detected at 0.5; ``lesion_overlap``, ``liver_overlap``: (common voxels, voxels of both masks); ``burden_error``:
    true minus predicted share of lesion in the liver, None without a true liver.
    """

    detected: dict[str, int]
    predicted: int
    true: int
    lesions: list[dict[str, float]]
    liver: dict[str, float]
    lesion_dice: float
    liver_dice: float
    lesion_overlap: tuple[int, int]
    liver_overlap: tuple[int, int]
    burden_error: float | None


def codalab_volume(truth: NDArray[Any], prediction: NDArray[Any], spacing_mm: Spacing) -> CodalabVolume:
    """Score one volume; parameters as of `isbi2017`."""
    true_lesion, lesion = lesions_of(truth), lesions_of(prediction)
    true_liver, liver = liver_of(truth), liver_of(prediction)
    parts = components_of(true_lesion, lesion, neighbours=6)
    groups = {threshold: correspond(parts, threshold) for threshold in THRESHOLDS}
    lesions = Overlap.of(true_lesion, lesion)
    livers = Overlap.of(true_liver, liver)
    has_liver = bool((prediction == LIVER).any()) and bool(livers.truth)
    return CodalabVolume(
        detected={f"{threshold:g}": found.detected for threshold, found in groups.items()},
        predicted=len(parts.prediction_sizes),
        true=len(parts.truth_sizes),
        lesions=[] if groups[0.5].detected <= 0 else _figures_of_groups(parts, groups[0.5], spacing_mm),
        liver=_figures(true_liver, liver, spacing_mm) if has_liver else dict(PENALTY),
        lesion_dice=1.0 if lesions.truth + lesions.prediction == 0 else lesions.dice,
        liver_dice=livers.dice if has_liver else 0.0,
        lesion_overlap=(lesions.both, lesions.truth + lesions.prediction),
        liver_overlap=(livers.both, livers.truth + livers.prediction) if has_liver else (0, livers.truth),
        burden_error=_burden_error(lesions, livers, has_liver=has_liver) if livers.truth else None,
    )


@dataclass(frozen=True)
class Correspondence:
    """Groups of merged predictions (labels) with the merged references (labels) they stand for."""

    groups: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    detected: int
    """Groups above the threshold as the program counts them: a dropped group of merged references costs one each."""


def correspond(parts: Components, threshold: float) -> Correspondence:
    """Merge what belongs together and keep the groups whose IoU lies above the threshold.

    References that one prediction covers best are merged; then every prediction goes to the reference it shares most
    with, and predictions on one reference are merged. Ties go to the first.
    """
    shared = parts.shared.copy()
    best_prediction = shared.argmax(axis=0) if shared.size else np.zeros(shared.shape[1], int)
    members: dict[int, tuple[int, ...]] = {}
    for row in range(shared.shape[0]):
        together = tuple(np.flatnonzero((shared[row] > 0) & (best_prediction == row)).tolist())
        if together:
            first, rest = together[0], list(together[1:])
            shared[:, first] += shared[:, rest].sum(axis=1)
            shared[:, rest] = 0
            members[first] = together
    rows_of: dict[int, list[int]] = {}
    for row in np.flatnonzero(shared.any(axis=1)).tolist():
        rows_of.setdefault(int(shared[row].argmax()), []).append(row)
    kept, detected = [], len(rows_of)
    for reference, rows in sorted(rows_of.items()):
        references = members.get(reference, (reference,))
        common = int(shared[rows, reference].sum())
        union = int(parts.prediction_sizes[rows].sum() + parts.truth_sizes[list(references)].sum()) - common
        if common / union > threshold:
            kept.append((tuple(row + 1 for row in rows), tuple(one + 1 for one in references)))
        else:
            detected -= len(references)
    return Correspondence(tuple(kept), detected)


def codalab_scores(volumes: Sequence[CodalabVolume]) -> dict[str, float]:
    """The 24 figures of a set; ValueError without a volume."""
    if not volumes:
        raise ValueError("There is no volume to score.")
    scores: dict[str, float] = {}
    for threshold, suffix in ((0.5, ""), (0.0, "_greater_zero")):
        found = sum(volume.detected[f"{threshold:g}"] for volume in volumes)
        predicted, true = (sum(getattr(volume, name) for volume in volumes) for name in ("predicted", "true"))
        scores[f"lesion_precision{suffix}"] = found / predicted if predicted else 0.0
        scores[f"lesion_recall{suffix}"] = found / true if true else 0.0
    lesions = [lesion for volume in volumes for lesion in volume.lesions]
    for structure, rows in (("lesion", lesions), ("liver", [volume.liver for volume in volumes])):
        scores |= {f"{structure}_{name}": _mean(row[name] for row in rows or [PENALTY]) for name in CODALAB_MASK}
        scores[f"{structure}_dice_per_case"] = _mean(getattr(volume, f"{structure}_dice") for volume in volumes)
        common, total = np.sum([getattr(volume, f"{structure}_overlap") for volume in volumes], axis=0)
        scores[f"{structure}_dice_global"] = float(2 * common / total) if total else 0.0
    errors = [volume.burden_error for volume in volumes if volume.burden_error is not None]
    scores["RMSE_Tumorburden"] = float(np.sqrt(np.mean(np.square(errors)))) if errors else float("nan")
    scores["MAXERROR_Tumorburden"] = max(errors, default=float("nan"))
    return scores


def _figures(truth: Mask, prediction: Mask, spacing_mm: Spacing) -> dict[str, float]:
    overlap = Overlap.of(truth, prediction)
    distances = surface_distances(truth, prediction, spacing_mm, Surface.EDGES)
    values = (overlap.dice, overlap.jaccard, overlap.voe, overlap.rvd)
    return dict(zip(CODALAB_MASK, (*values, distances.assd_mm, distances.rmsd_mm, distances.msd_mm), strict=True))


def _figures_of_groups(parts: Components, found: Correspondence, spacing_mm: Spacing) -> list[dict[str, float]]:
    true_boxes, boxes = ndimage.find_objects(parts.truth), ndimage.find_objects(parts.prediction)
    figures = []
    for predictions, references in found.groups:
        used = [boxes[one - 1] for one in predictions] + [true_boxes[one - 1] for one in references]
        box = tuple(
            slice(min(part[axis].start for part in used), max(part[axis].stop for part in used)) for axis in range(3)
        )
        truth, prediction = np.isin(parts.truth[box], references), np.isin(parts.prediction[box], predictions)
        figures.append(_figures(truth, prediction, spacing_mm))
    return figures


def _burden_error(lesions: Overlap, livers: Overlap, *, has_liver: bool) -> float:
    return lesions.truth / livers.truth - (lesions.prediction / livers.prediction if has_liver else LARGE)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
