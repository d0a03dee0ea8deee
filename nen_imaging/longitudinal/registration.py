"""Livers of one patient, aligned: rigid, then affine, to one reference staging.

What is aligned is one picture per staging on a coarse grid: the signed distance to the liver's surface, clipped, with
the contrast inside the liver laid over it. Shape leads; vessels, fissures and lesions that stayed help.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from scipy import ndimage

from nen_imaging.registration import centroid_mm, in_reference, optimised, ras_matrix, rigid_transform
from nen_imaging.volume import FloatArray, Volume, grid_with_spacing, resample, to_itk

_MARGIN_MM = 28.0
_CLIP_MM = 16.0
_CONTRAST_MM_PER_HU = 0.06
_CONTRAST_CLIP_MM = 5.0
_PLAUSIBLE_VOLUME_CHANGE = (0.3, 3.0)


@dataclass(frozen=True)
class RegistrationLimits:
    """When an alignment is trusted: all must hold."""

    liver_dice: float = 0.85
    surface_distance_mm: float = 8.0


@dataclass(frozen=True)
class Liver:
    """CT (HU) and liver mask (bool) around one liver, on a coarse grid."""

    hu: Volume
    mask: Volume


@dataclass(frozen=True)
class Registration:
    """How one staging lies to the reference.

    ``matrix`` (4 x 4, RAS mm) maps a point of the reference to the same place of this staging's liver.
    """

    matrix: FloatArray
    method: str
    liver_dice: float
    surface_distance_mm: float
    match_uncertainty_mm: float
    reason: str

    @property
    def trusted(self) -> bool:
        return not self.reason


def liver_of(ct: Volume, liver: Volume, spacing_mm: float = 4.0) -> Liver:
    """Cut the liver out with a margin and bring it to a coarse grid.

    Raises ValueError where the mask is empty.
    """
    box = liver_box(liver, _MARGIN_MM)
    mask = liver.with_array(liver.array.astype(bool).astype(np.float32)).cropped(*box)
    hu = ct.with_array(ct.array.astype(np.float32)).cropped(*box)
    shape, affine = grid_with_spacing(mask, np.full(3, spacing_mm))
    width = np.maximum(0, spacing_mm / mask.spacing_mm - 1) / 2
    coarse = [
        resample(volume.with_array(ndimage.gaussian_filter(volume.array, width, mode="nearest")), shape, affine,
                 outside=float(volume.array.min()))
        for volume in (hu, mask)
    ]  # fmt: skip
    return Liver(coarse[0], coarse[1].with_array(coarse[1].array.astype(float) >= 0.5))


def liver_box(liver: Volume, margin_mm: float) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """First and last index (exclusive) of the box around a mask, with a margin, inside the image."""
    where = [np.flatnonzero(liver.array.astype(bool).any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    if not len(where[0]):
        raise ValueError("The liver mask is empty.")
    margin = np.ceil(margin_mm / liver.spacing_mm).astype(int)
    start = np.maximum(0, np.array([indices[0] for indices in where]) - margin)
    stop = np.minimum(liver.shape, np.array([indices[-1] for indices in where]) + 1 + margin)
    return start, stop


def register(reference: Liver, staging: Liver, limits: RegistrationLimits) -> Registration:
    """Align a staging's liver to the reference's."""
    fixed, moving = to_itk(_picture(reference)), to_itk(_picture(staging))
    region = to_itk(reference.mask.with_array(_signed_distance_mm(reference.mask) < _CLIP_MM))
    shift = centroid_mm(staging.mask) - centroid_mm(reference.mask)
    rigid = rigid_transform(centroid_mm(reference.mask), shift)
    rigid = SimpleITK.Euler3DTransform(optimised(fixed, moving, region, rigid))
    affine = SimpleITK.AffineTransform(3)
    affine.SetCenter(rigid.GetCenter())
    affine.SetMatrix(rigid.GetMatrix())
    affine.SetTranslation(rigid.GetTranslation())
    affine = SimpleITK.AffineTransform(optimised(fixed, moving, region, affine))
    return assess(reference, staging, ras_matrix(affine), limits)


def same_place(staging: Liver) -> Registration:
    """The registration of the reference with itself."""
    uncertainty = float(staging.mask.spacing_mm.max())
    return Registration(np.eye(4), "reference", 1.0, 0.0, uncertainty, "")


def assess(reference: Liver, staging: Liver, matrix: FloatArray, limits: RegistrationLimits) -> Registration:
    """Measure how well a matrix aligns two livers, where both fields of view overlap, and whether to trust it."""
    grid = reference.mask.shape, reference.mask.affine
    placed = in_reference(staging.mask.with_array(staging.mask.array.astype(np.uint8)), matrix)
    moved = resample(placed, *grid, nearest=True).array.astype(bool)
    seen = resample(placed.with_array(np.ones(placed.shape, np.uint8)), *grid, nearest=True).array.astype(bool)
    still = reference.mask.array & seen
    dice = 2 * float((moved & still).sum()) / max(1, int(moved.sum() + still.sum()))
    distance = _surface_distance_mm(still, moved, reference.mask.spacing_mm)
    change = float(np.linalg.det(matrix[:3, :3]))
    low, high = _PLAUSIBLE_VOLUME_CHANGE
    reasons = [
        text
        for fails, text in (
            (dice < limits.liver_dice, f"liver Dice {dice:.2f} is below {limits.liver_dice:.2f}"),
            (distance > limits.surface_distance_mm,
             f"surfaces lie {distance:.1f} mm apart, limit {limits.surface_distance_mm:.1f} mm"),
            (not low <= change <= high, f"the liver would change its volume {change:.2f} times"),
        )
        if fails
    ]  # fmt: skip
    uncertainty = max(distance, float(reference.mask.spacing_mm.max()))
    return Registration(matrix, "affine", dice, distance, uncertainty, "; ".join(reasons))


def _picture(liver: Liver) -> Volume:
    """Clipped signed distance (mm, negative inside), and inside the liver its contrast, in mm per HU."""
    distance = np.clip(_signed_distance_mm(liver.mask), -_CLIP_MM, _CLIP_MM)
    inside = liver.mask.array.astype(bool)
    contrast = _CONTRAST_MM_PER_HU * (liver.hu.array - np.median(liver.hu.array[inside]))
    overlay = np.where(inside, np.clip(contrast, -_CONTRAST_CLIP_MM, _CONTRAST_CLIP_MM), 0)
    return liver.mask.with_array((distance + overlay).astype(np.float32))


def _signed_distance_mm(mask: Volume) -> FloatArray:
    inside, spacing = mask.array.astype(bool), mask.spacing_mm
    outer, inner = (ndimage.distance_transform_edt(part, sampling=spacing) for part in (~inside, inside))
    return np.asarray(outer - inner)


def _surface_distance_mm(first: NDArray[np.bool_], second: NDArray[np.bool_], spacing_mm: FloatArray) -> float:
    """Mean distance between the surfaces, both ways; infinite where one mask is empty."""
    if not first.any() or not second.any():
        return float("inf")
    surfaces = [mask & ~ndimage.binary_erosion(mask, border_value=1) for mask in (first, second)]
    distances = [
        ndimage.distance_transform_edt(~other, sampling=spacing_mm)[surface]
        for surface, other in (surfaces, surfaces[::-1])
    ]
    return float(np.concatenate(distances).mean())
