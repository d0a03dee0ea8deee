"""The two networks, one after the other: a coarse look at the whole scan, a fine one at the liver's box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nen_imaging.segmentation import postprocess
from nen_imaging.segmentation.calibration import sigmoid
from nen_imaging.segmentation.infer import Model, predict
from nen_imaging.segmentation.preprocess import (
    AIR_HU,
    at_spacing,
    box_around,
    lesion_channels,
    padded,
    reference_hu,
    windowed,
)
from nen_imaging.volume import Volume, resample

Floats = NDArray[np.float32]

SMALLEST_LIVER_ML = 30.0
MARGIN_MM = 20.0  # of the liver's box: room for what the coarse network missed
REACH_MM = 15.0  # how far from the coarse liver the fine one may lie: it has seen few hearts, and takes one for liver


@dataclass(frozen=True)
class CoarseView:
    """The whole scan on the coarse grid: liver probability (main parts and near them), and how far liver is, in mm."""

    liver: Volume
    distance: Volume
    reference_hu: float


@dataclass(frozen=True)
class FineView:
    """The liver's box on the fine grid.

    ``grid`` holds the HU; logits of liver and lesion from the fine network, liver probability from the coarse one, and
    where it lets liver be; ``reference_hu`` is the parenchyma's.
    """

    grid: Volume
    liver_logit: Floats
    lesion_logit: Floats
    coarse_liver: Floats
    reach: NDArray[np.bool_]
    reference_hu: float

    def organ(self, liver_shift: float) -> tuple[Floats, int]:
        """The probability of liver by both networks and the rules for one organ; also how many parts it has."""
        liver = sigmoid(self.liver_logit + np.float32(liver_shift))
        return postprocess.one_organ(np.where(self.reach, liver, np.float32(0)), float(self.grid.spacing_mm[0]))


def look(image: Volume, model: Model, device: str) -> FineView | None:
    """Both stages on a prepared CT (LPS, int16); None where less than `SMALLEST_LIVER_ML` looks like liver."""
    coarse = look_coarsely(image, model, device)
    return None if coarse is None else look_closely(image, coarse, model, device)


def look_coarsely(image: Volume, model: Model, device: str) -> CoarseView | None:
    """The first stage; None where less than `SMALLEST_LIVER_ML` looks like liver."""
    import torch

    settings = model.inference.liver
    small = at_spacing(image, settings.spacing_mm)
    hu = floats(small)
    if np.ptp(hu) < postprocess.CONTENT_HU:
        return None
    channels = windowed(torch.from_numpy(floats(padded(small, settings.patch, AIR_HU))), model.inference.scaling)[None]
    logits = predict(model.liver, channels, settings.patch, model.inference.overlap, device).numpy()
    i, j, k = small.shape
    liver = sigmoid(logits[0, :i, :j, :k])
    mask, _ = postprocess.main_parts(liver >= 0.5, settings.spacing_mm)
    if mask.sum() * small.voxel_volume_ml < SMALLEST_LIVER_ML:
        return None
    distance_mm = postprocess.distance_from(mask, settings.spacing_mm)
    probability = small.with_array(np.where(distance_mm <= MARGIN_MM, liver, 0.0))
    return CoarseView(probability, small.with_array(distance_mm), reference_hu(hu, mask))


def look_closely(image: Volume, coarse: CoarseView, model: Model, device: str) -> FineView:
    """The second stage, in the box of the liver that the first one found."""
    import torch

    settings = model.inference.lesion
    grid = padded(at_spacing(_box_of_liver(image, coarse), settings.spacing_mm), settings.patch, AIR_HU)
    prior = floats(resample(coarse.liver, grid.shape, grid.affine))
    channels = lesion_channels(
        torch.from_numpy(floats(grid)), torch.from_numpy(prior), coarse.reference_hu, model.inference.scaling
    )
    logits = predict(model.lesion, channels, settings.patch, model.inference.overlap, device).numpy()
    reach = floats(resample(coarse.distance, grid.shape, grid.affine, outside=np.inf)) <= REACH_MM
    return FineView(grid, logits[0], logits[1], prior, reach, coarse.reference_hu)


def floats(volume: Volume) -> Floats:
    """A volume's array as contiguous float32."""
    return np.ascontiguousarray(volume.array, np.float32)


def _box_of_liver(image: Volume, coarse: CoarseView) -> Volume:
    """The part of the CT that holds the coarse liver and a margin."""
    margin = np.ceil(MARGIN_MM / coarse.liver.spacing_mm).astype(int)
    start, stop = box_around(floats(coarse.liver) >= 0.5, margin)
    return image.cropped(*index_range(image, coarse.liver, start, stop))


def index_range(
    image: Volume, other: Volume, start: NDArray[np.intp], stop: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The range of an image's indices that covers a box of another grid with parallel axes."""
    to_image = np.linalg.inv(image.affine) @ other.affine
    corners = np.stack([start - 0.5, stop - 0.5], axis=1)
    first, last = (to_image[:3, :3] @ corners + to_image[:3, 3:]).T
    shape = np.array(image.shape)
    return np.clip(np.floor(first).astype(int), 0, shape), np.clip(np.ceil(last).astype(int) + 1, 0, shape)
