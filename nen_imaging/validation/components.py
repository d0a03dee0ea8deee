"""Separate lesions of two label maps, and how much each of one shares with each of the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nen_imaging.validation.surface import Box, Mask, union_box

Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Components:
    """Components of truth and prediction, numbered from 1, in the box that holds them all.

    ``shared[p, t]``: voxels that component ``p + 1`` of the prediction and ``t + 1`` of the truth have in common.
    """

    truth: Labels
    prediction: Labels
    truth_sizes: NDArray[np.int64]
    prediction_sizes: NDArray[np.int64]
    shared: NDArray[np.int64]
    box: Box | None

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of every pair, shape as ``shared``."""
        union = self.prediction_sizes[:, None] + self.truth_sizes[None, :] - self.shared
        return self.shared / union


def components_of(truth: Mask, prediction: Mask, *, neighbours: int) -> Components:
    """Separate both masks; ``neighbours`` is 6 (faces), 18 (and edges) or 26 (and corners)."""
    structure = ndimage.generate_binary_structure(3, {6: 1, 18: 2, 26: 3}[neighbours])
    box = union_box(truth, prediction)
    cut = box or (slice(0, 1),) * 3  # nothing to separate in one voxel, either
    true_labels, true_count = ndimage.label(truth[cut], structure)
    labels, count = ndimage.label(prediction[cut], structure)
    both = (labels > 0) & (true_labels > 0)
    pairs = (labels[both] - 1) * true_count + true_labels[both] - 1
    shared = np.bincount(pairs, minlength=count * true_count).reshape(count, true_count)
    return Components(
        true_labels,
        labels,
        np.bincount(true_labels.ravel(), minlength=true_count + 1)[1:],
        np.bincount(labels.ravel(), minlength=count + 1)[1:],
        shared,
        box,
    )
