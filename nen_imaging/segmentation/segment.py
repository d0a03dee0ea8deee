"""A CT in any orientation -> liver and lesions on its own grid.

Two stages: a coarse network finds the liver in the whole scan; a fine one, in the liver's box, draws the liver's edge
and the lesions, whose probability is calibrated.
"""

from __future__ import annotations

from dataclasses import dataclass

import nibabel
import numpy as np
from numpy.typing import NDArray

from nen_imaging.contract import Reason
from nen_imaging.segmentation import postprocess, uncertainty
from nen_imaging.segmentation.bundle import Bundle
from nen_imaging.segmentation.calibration import Calibration, sigmoid
from nen_imaging.segmentation.infer import choose_device, load_model, with_fallback
from nen_imaging.segmentation.preprocess import prepared
from nen_imaging.segmentation.two_stage import SMALLEST_LIVER_ML, FineView, floats, index_range, look
from nen_imaging.volume import Volume, resample

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

_SLAB = 24  # slices brought back to the CT's grid at once


@dataclass(frozen=True)
class Segmentation:
    """What the networks found, on the CT's grid.

    ``labels``: uint8, 1 liver, 2 lesion. ``probability``: uint8, calibrated lesion probability x 255.
    ``member_loads_percent``: see `uncertainty.load_spread`. ``reasons``: codes of the contract; with `liver.absent`
    (a refusal, for the caller to raise) both volumes are empty.
    """

    labels: Volume
    probability: Volume
    member_loads_percent: tuple[float, ...]
    reasons: tuple[Reason, ...]
    device_used: str
    device_note: str = ""

    @property
    def flags(self) -> tuple[str, ...]:
        """The codes of the reasons."""
        return tuple(reason.code for reason in self.reasons)


@dataclass(frozen=True)
class _Organ:
    """Liver and lesion probability on the fine grid, such that one half decides; and what is to be said of them."""

    liver: Volume
    lesion: Volume
    member_loads_percent: tuple[float, ...]
    reasons: tuple[Reason, ...]


def segment_volume(ct: Volume, bundle: Bundle, *, device: str = "auto", threads: int | None = None) -> Segmentation:
    """Segment liver and lesions of one CT.

    Parameters
    ----------
    ct
        HU in any orientation, spacing and size; voxels that are not a number count as air.
    bundle
        The networks; they are verified and loaded at their first use.
    device
        `auto` takes CUDA if there is one, and the CPU if there is none or its memory runs out.
    threads
        Of torch on the CPU; None leaves its setting alone.

    Raises
    ------
    BundleError
        A file of the bundle is missing, or not what the registry says.
    StageError
        CUDA was asked for by name and is not there.
    """
    import torch

    model = load_model(bundle)
    if threads:
        torch.set_num_threads(threads)
    chosen, note = choose_device(device)
    image = prepared(ct)
    view, used, fallback = with_fallback(chosen, lambda where: look(image, model, where))
    note = fallback or note
    organ = _organ(view, model.inference.calibration) if view else None
    if organ is None:
        empty = ct.with_array(np.zeros(ct.shape, np.uint8))
        reason = Reason("liver.absent", f"Less than {SMALLEST_LIVER_ML:.0f} ml look like liver in this CT.")
        return Segmentation(empty, empty, (), (reason,), used, note)
    labels, probability = _on_grid_of(image, organ)
    reasons = organ.reasons
    if postprocess.is_truncated(labels > 0, image.array, image.spacing_mm):
        reasons = (Reason("liver.truncated", "The liver reaches the edge of the image."), *reasons)
    codes = "".join(nibabel.aff2axcodes(ct.affine))
    turned = [ct.with_array(Volume(array, image.affine).oriented(codes).array) for array in (labels, probability)]
    return Segmentation(turned[0], turned[1], organ.member_loads_percent, reasons, used, note)


def _organ(view: FineView, calibration: Calibration) -> _Organ | None:
    liver, parts = postprocess.one_organ(sigmoid(view.liver_logit + np.float32(calibration.liver_shift)))
    mask = liver >= 0.5
    if mask.sum() * view.grid.voxel_volume_ml < SMALLEST_LIVER_ML:
        return None
    lesion = postprocess.only_in(mask, sigmoid(calibration.lesion_logit(view.lesion_logit, mask)))
    loads = uncertainty.load_spread(mask, lesion, calibration.thresholds)
    reasons = []
    unlike = uncertainty.unlike_training(view.coarse_liver, liver, view.reference_hu)
    if unlike:
        reasons.append(Reason("image.unlike_training", unlike))
    if parts > 1:
        reasons.append(Reason("liver.fragmented", f"The liver has {parts} separate parts."))
    return _Organ(view.grid.with_array(liver), view.grid.with_array(lesion), loads, tuple(reasons))


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
