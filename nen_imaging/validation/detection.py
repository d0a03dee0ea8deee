"""Which lesions were found: components, one-to-one matches, counts by size, panoptic quality.

Our own rule: components touch by faces, edges or corners; matches are one to one, as many as possible, and of those
the ones with the largest total overlap. Nothing is merged, and no component is too small to count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from nen_imaging.measurement.diameters import in_plane_diameters
from nen_imaging.validation.components import Components, Labels, components_of
from nen_imaging.validation.statistics import Floats, ratio
from nen_imaging.validation.surface import Mask

THRESHOLDS = (0.0, 0.5)  # of IoU; a match lies above
_ABOVE_20 = float(np.nextafter(20.0, 21.0))  # 20 mm lie in the bin that names them
SIZE_BINS_MM = {"< 10 mm": (0.0, 10.0), "10-20 mm": (10.0, _ABOVE_20), "> 20 mm": (_ABOVE_20, float("inf"))}


@dataclass(frozen=True)
class FoundLesion:
    """One lesion of the truth or of the prediction.

    ``match_iou``: its overlap with its match, by threshold, 0 where it has none.
    """

    longest_diameter_mm: float
    volume_ml: float
    match_iou: dict[str, float]


@dataclass(frozen=True)
class Detection:
    """Every lesion of one case, in the truth and in the prediction."""

    truth: tuple[FoundLesion, ...]
    prediction: tuple[FoundLesion, ...]


@dataclass(frozen=True)
class Counts:
    """Matched lesions as seen from the truth and from the prediction (in a size bin they differ), and all of both.

    ``iou`` is the sum over the matches. Each is a number, or holds one for every resample of the cases; a figure is
    not-a-number where there is nothing to divide by.
    """

    found: Floats | float
    truth: Floats | float
    right: Floats | float
    prediction: Floats | float
    iou: Floats | float

    @property
    def recall(self) -> Floats:
        return ratio(self.found, self.truth)

    @property
    def precision(self) -> Floats:
        return ratio(self.right, self.prediction)

    @property
    def f1(self) -> Floats:
        """Harmonic mean of precision and recall; 0 where lesions are on one side alone."""
        harmonic = ratio(2 * self.precision * self.recall, self.precision + self.recall)
        return np.where(np.add(self.truth, self.prediction) > 0, np.nan_to_num(harmonic), np.nan)[()]

    @property
    def panoptic_quality(self) -> Floats:
        """Sum of the matches' IoU over TP + FP/2 + FN/2 (Kirillov et al., CVPR 2019), of all sizes together."""
        return ratio(self.iou, np.add(self.truth, self.prediction) / 2)


def detect(truth: Mask, prediction: Mask, affine: NDArray[np.floating]) -> Detection:
    """Match the lesions of a case.

    Parameters
    ----------
    truth, prediction
        Lesion masks of one shape, indexed (i, j, k).
    affine
        Index -> RAS millimetres, shape (4, 4); the longest diameter lies within a slice.
    """
    parts = components_of(truth, prediction, neighbours=26)
    matches = {f"{threshold:g}": match(parts, threshold) for threshold in THRESHOLDS}
    true_iou = {key: {t: iou for _, t, iou in pairs} for key, pairs in matches.items()}
    iou = {key: {p: iou for p, _, iou in pairs} for key, pairs in matches.items()}
    return Detection(
        _described(parts.truth, parts.truth_sizes, true_iou, affine),
        _described(parts.prediction, parts.prediction_sizes, iou, affine),
    )


def match(parts: Components, threshold: float) -> list[tuple[int, int, float]]:
    """Pairs (component of prediction, component of truth, IoU), counted from 0, with an IoU above the threshold."""
    iou = parts.iou
    gain = np.where(iou > threshold, 1 + iou, 0.0)  # one match more outweighs any overlap
    pairs = zip(*linear_sum_assignment(gain, maximize=True), strict=True)
    return [(int(p), int(t), float(iou[p, t])) for p, t in pairs if iou[p, t] > threshold]


def counts(cases: Iterable[Detection], threshold: float, size: str | None = None) -> Counts:
    """Counts over all cases at an IoU threshold, of one size bin if it is named.

    Within a bin recall counts the true lesions of that size, precision the predicted ones.
    """
    key = f"{threshold:g}"
    low, high = SIZE_BINS_MM[size] if size else (0.0, float("inf"))
    found = truth = right = prediction = 0
    iou = 0.0
    for case in cases:
        true_of_size, of_size = (
            [lesion for lesion in lesions if low <= lesion.longest_diameter_mm < high]
            for lesions in (case.truth, case.prediction)
        )
        found += sum(lesion.match_iou[key] > 0 for lesion in true_of_size)
        right += sum(lesion.match_iou[key] > 0 for lesion in of_size)
        truth, prediction = truth + len(true_of_size), prediction + len(of_size)
        iou += sum(lesion.match_iou[key] for lesion in true_of_size)
    return Counts(found, truth, right, prediction, iou)


def _described(
    labels: Labels, sizes: NDArray[np.int64], iou: dict[str, dict[int, float]], affine: NDArray[np.floating]
) -> tuple[FoundLesion, ...]:
    voxel_ml = float(abs(np.linalg.det(affine[:3, :3]))) / 1000
    return tuple(
        FoundLesion(
            in_plane_diameters(labels[box] == number + 1, affine).longest_mm,
            float(sizes[number]) * voxel_ml,
            {key: matched.get(number, 0.0) for key, matched in iou.items()},
        )
        for number, box in enumerate(ndimage.find_objects(labels))
    )
