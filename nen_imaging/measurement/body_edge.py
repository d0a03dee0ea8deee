"""The body's edge on the PET against that on the CT: what the shift at the liver's edge is held against.

Breathing moves the liver along the body and hardly across it, and the body's edge not at all along it: where both say
something else of the axial plane, one of them is wrong, and the shift is known no better than they disagree by.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nen_imaging.measurement.organs import Abdomen, body_mask
from nen_imaging.measurement.pet_grid import SIGMA_OF_FWHM, Mask, Shares
from nen_imaging.measurement.shift import SEARCHED_MM, Fit, Shift, fit_translation
from nen_imaging.volume import Volume, resample

_NEAR_EDGE_MM = 15.0
_BELOW_SKIN_MM = 4.0
_SMOOTHED_MM = 8.0  # what lies below the skin takes up little, and noise is as high as its uptake


def held_against_body(shift: Shift, suv: Volume, abdomen: Abdomen, *, fwhm_mm: float) -> Shift:
    """The shift with what the body's edge says of it: the uncertainty is at least what they disagree by across it."""
    fit = fit_body(suv, abdomen, fwhm_mm=fwhm_mm)
    if isinstance(fit, str):
        return shift
    shift = replace(shift, body_x_mm=float(fit.moved_mm[0]), body_y_mm=float(fit.moved_mm[1]))
    if shift.uncertainty_mm is None or shift.apart_mm is None:
        return shift
    return replace(shift, uncertainty_mm=max(shift.uncertainty_mm, shift.apart_mm))


def fit_body(suv: Volume, abdomen: Abdomen, *, fwhm_mm: float) -> Fit | str:
    """The translation within the axial plane that fits the CT's body best, or why there is none.

    ``suv`` has RAS axes. What is hotter than the tissue below the skin is clipped to its level. Only what the CT's
    field of view shows on both sides of the edge counts: a body that is cut has no edge there.
    """
    body, seen = _shares(suv, abdomen)
    inside = body > 0.5
    depth, height = _depth_mm(inside, suv), _depth_mm(~inside, suv)
    below_skin = (depth > _BELOW_SKIN_MM) & (depth < _NEAR_EDGE_MM) & seen
    values = np.asarray(suv.array, np.float32)
    level = float(np.median(values[below_skin])) if below_skin.any() else 0.0
    if level <= 0:
        return "the PET shows no body"
    reach = np.maximum(1, np.floor(SEARCHED_MM / suv.spacing_mm)).astype(int) * [1, 1, 0]
    smoothing = _SMOOTHED_MM * SIGMA_OF_FWHM / suv.spacing_mm
    image = suv.with_array(ndimage.gaussian_filter(np.clip(values, 0, level), smoothing))
    blur = np.hypot(_SMOOTHED_MM, fwhm_mm) * SIGMA_OF_FWHM / suv.spacing_mm[:2]
    model = ndimage.gaussian_filter(np.maximum(body, 0), (*blur, 0))
    points = np.argwhere((depth < _NEAR_EDGE_MM) & (height < _NEAR_EDGE_MM) & seen)
    room = ((points >= reach) & (points < np.array(suv.shape) - reach)).all(axis=1)
    return fit_translation(image, model, points[room], reach, "body")


def _shares(suv: Volume, abdomen: Abdomen) -> tuple[Shares, Mask]:
    """The share of each PET voxel inside the body; and where the CT shows all around it, within the slice."""
    parts, _ = ndimage.label(body_mask(abdomen.values))
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    body = abdomen.hu.with_array((parts == sizes.argmax()).astype(np.float32))
    share = np.asarray(resample(body, suv.shape, suv.affine, outside=-1.0).array, np.float32)
    field = np.pad(share >= 0, ((1, 1), (1, 1), (0, 0)))
    return share, _depth_mm(field, suv)[1:-1, 1:-1] > _NEAR_EDGE_MM


def _depth_mm(mask: Mask, suv: Volume) -> NDArray[np.floating]:
    """How far each voxel of a mask lies from its edge, within the slice."""
    depth = [ndimage.distance_transform_edt(mask[:, :, z], sampling=suv.spacing_mm[:2]) for z in range(mask.shape[2])]
    return np.stack(depth, axis=2)
