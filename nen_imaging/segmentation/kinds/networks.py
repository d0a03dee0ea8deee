"""Our own kind: a coarse network finds the liver in the whole scan, a fine one draws its edge and the lesions.

The fine network works in the liver's box; its lesion probability is calibrated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nen_imaging.contract import Reason
from nen_imaging.segmentation import postprocess, uncertainty
from nen_imaging.segmentation.bundle import Bundle, BundleError, Inference, read_inference
from nen_imaging.segmentation.calibration import sigmoid
from nen_imaging.segmentation.infer import choose_device, load_model, with_fallback
from nen_imaging.segmentation.preprocess import prepared
from nen_imaging.segmentation.result import (
    TRUNCATED,
    Segmentation,
    fragmented,
    no_liver,
    on_grid_of,
)
from nen_imaging.segmentation.two_stage import SMALLEST_LIVER_ML, FineView, floats, index_range, look
from nen_imaging.volume import Volume, resample

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

_SLAB = 24  # slices brought back to the CT's grid at once


@dataclass(frozen=True)
class _Organ:
    """Liver and lesion probability on the fine grid, such that one half decides; and what is to be said of them."""

    liver: Volume
    lesion: Volume
    member_loads_percent: tuple[float, ...]
    reasons: tuple[Reason, ...]


def check(bundle: Bundle) -> str:
    """Raise BundleError unless the settings can be read and the weights are registered; nothing outside is called."""
    inference = read_inference(bundle)
    parts = (inference.liver, inference.lesion)
    for network in (network for part in parts for network in part.networks):
        if network.weights not in bundle.files:
            raise BundleError(f"Bundle {bundle.name}: {bundle.folder / network.weights} is missing.")
    return ""


def segment(ct: Volume, bundle: Bundle, *, device: str, threads: int | None) -> Segmentation:
    """See `segment_volume`; the networks are loaded at their first use."""
    import torch

    model = load_model(bundle)
    if threads:
        torch.set_num_threads(threads)
    chosen, note = choose_device(device)
    image = prepared(ct)
    view, used, fallback = with_fallback(chosen, lambda where: look(image, model, where))
    note = fallback or note
    organ = _organ(view, model.inference) if view else None
    if organ is None:
        return no_liver(ct, used, note)
    labels, probability = _on_grid_of(image, organ)
    reasons = organ.reasons
    if postprocess.is_truncated(labels > 0, image.array, image.spacing_mm):
        reasons = (TRUNCATED, *reasons)
    turned = [on_grid_of(ct, Volume(array, image.affine)) for array in (labels, probability)]
    return Segmentation(turned[0], turned[1], organ.member_loads_percent, reasons, used, note)


def _organ(view: FineView, inference: Inference) -> _Organ | None:
    """None where what looks like a liver is too small, or the network too undecided on it."""
    calibration = inference.calibration
    liver, parts = view.organ(calibration.liver_shift)
    mask = liver >= 0.5
    if mask.sum() * view.grid.voxel_volume_ml < SMALLEST_LIVER_ML:
        return None
    if uncertainty.undecided_share(liver) > inference.most_undecided_share:
        return None
    lesion = postprocess.only_in(mask, sigmoid(calibration.lesion_logit(view.lesion_logit, mask)))
    lesion = postprocess.sure_lesions(lesion, calibration.lesion_peak)
    loads = uncertainty.load_spread(mask, lesion, calibration.thresholds)
    unlike = uncertainty.unlike_training(view.coarse_liver, liver, view.reference_hu)
    reasons = (Reason("image.unlike_training", unlike),) if unlike else ()
    return _Organ(view.grid.with_array(liver), view.grid.with_array(lesion), loads, (*reasons, *fragmented(parts)))


def _on_grid_of(image: Volume, organ: _Organ) -> tuple[Bytes, Bytes]:
    """Labels and lesion probability on the CT's grid, slab by slab: float volumes of its size would cost gigabytes."""
    labels, probability = np.zeros(image.shape, np.uint8), np.zeros(image.shape, np.uint8)
    start, stop = index_range(image, organ.liver, np.zeros(3, int), np.array(organ.liver.shape))
    for first in range(int(start[2]), int(stop[2]), _SLAB):
        low, high = np.array([*start[:2], first]), np.array([*stop[:2], min(first + _SLAB, int(stop[2]))])
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        grid = Volume(labels, image.affine).cropped(low, high)
        liver, lesion = (floats(resample(part, grid.shape, grid.affine)) for part in (organ.liver, organ.lesion))
        labels[box] = np.where(liver >= 0.5, np.where(lesion >= 0.5, postprocess.LESION, postprocess.LIVER), 0)
        probability[box] = np.where(liver >= 0.5, np.round(lesion * 255), 0)
    return labels, probability
