"""How far the PET lies from the CT, measured at the liver's edge: breathing moves the dome by 10 to 20 mm."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nen_imaging.measurement.pet_grid import Shares
from nen_imaging.volume import LPS_TO_RAS, FloatArray, Volume

SEARCHED_MM = 24.0
_NEAR_EDGE_MM = 15.0
_TRUSTED_CORRELATION = 0.6
_EQUALLY_GOOD = 0.005
_LARGEST_SAMPLE = 30_000
_ENOUGH_POINTS = 2_000
_HARDLY_A_LESION = 0.1
METHOD = "liver edge: correlation of the CT's liver with the PET, clipped at the liver's median SUV"


@dataclass(frozen=True)
class Shift:
    """From CT to PET in LPS millimetres, at the liver; None where it could not be measured, ``method`` tells why."""

    x_mm: float | None
    y_mm: float | None
    z_mm: float | None
    length_mm: float | None
    uncertainty_mm: float | None
    method: str = METHOD
    rotation_degrees: float | None = None
    """None where only a translation is measured."""
    frame: str = "same"
    """The PET's frame of reference: the ``same`` as the CT's, where a shift is told and left; ``another``, or unknown,
    where the PET is brought onto the CT before anything is measured."""
    corrected_within_mm: float | None = None
    """How far off the PET may still lie where it was brought onto the CT."""
    body_x_mm: float | None = None
    body_y_mm: float | None = None
    """The same, of the body's edge, which tells nothing along z; None where it is not seen or was not looked at."""

    @property
    def left_mm(self) -> float | None:
        """How far the PET that is measured may lie from the CT; None: unknown."""
        return self.length_mm if self.frame == "same" else self.corrected_within_mm

    @property
    def apart_mm(self) -> float | None:
        """How far the shifts at the liver's edge and at the body's lie apart across the body; None where one is not."""
        if self.x_mm is None or self.y_mm is None or self.body_x_mm is None or self.body_y_mm is None:
            return None
        return float(np.hypot(self.x_mm - self.body_x_mm, self.y_mm - self.body_y_mm))

    def as_dict(self) -> dict[str, Any]:
        return {name: round(value, 2) if isinstance(value, float) else value for name, value in asdict(self).items()}


def measure_shift(suv: Volume, liver: Shares, lesions: Shares | None = None, *, fwhm_mm: float) -> Shift:
    """Find the translation of the PET that fits the CT's liver best.

    ``liver`` and ``lesions`` are the shares of each PET voxel in those of the CT; lesions, which may be cold, are left
    out as long as enough of the edge remains. What is hotter than the liver (hot lesions, spleen, kidney) is clipped
    to its level, so that edges count and not hot spots. The uncertainty is half a voxel, or how
    far a translation may lie from the best one and fit almost (to 0.005 of the correlation) as well.
    """
    inside = liver > 0.5
    if not inside.any():
        return _unknown("no liver in the PET's field of view")
    values = np.asarray(suv.array, np.float32)
    level = float(np.median(values[inside]))
    image = np.clip(values, 0, level)
    model = ndimage.gaussian_filter(liver, fwhm_mm / 2.355 / suv.spacing_mm)
    reach = np.maximum(1, np.floor(SEARCHED_MM / suv.spacing_mm)).astype(int)
    points = _near_edge(inside, suv, reach)
    if lesions is not None:
        healthy = points[lesions[tuple(points.T)] < _HARDLY_A_LESION]
        points = healthy if len(healthy) >= _ENOUGH_POINTS else points
    fit = fit_translation(suv.with_array(image), model, points, reach, "liver")
    if isinstance(fit, str):
        return _unknown(fit)
    x, y, z = (float(value) for value in fit.moved_mm)
    return Shift(x, y, z, float(np.linalg.norm(fit.moved_mm)), fit.unsure_mm)


@dataclass(frozen=True)
class Fit:
    """A translation in LPS millimetres, and how far off another one may be that fits almost as well."""

    moved_mm: FloatArray
    unsure_mm: float


def fit_translation(
    image: Volume, model: NDArray[np.floating], points: NDArray[np.intp], reach: NDArray[np.integer], what: str
) -> Fit | str:
    """The translation, by up to ``reach`` voxels, under which an image fits a model best, or why there is none.

    ``points`` (n, 3) are indices of both, which share a grid; ``what`` is whose edge they lie at.
    """
    points = points[:: max(1, len(points) // _LARGEST_SAMPLE)]
    if len(points) < 100:
        return f"the {what} lies at the edge of the PET's field of view"
    scores = _correlations(np.asarray(image.array, np.float32), model[tuple(points.T)], points, reach)
    peak = np.array(np.unravel_index(int(scores.argmax()), scores.shape))
    if scores[tuple(peak)] < _TRUSTED_CORRELATION:
        return f"the {what}'s edge is not seen in the PET (correlation {scores.max():.2f})"
    if ((reach > 0) & ((peak == 0) | (peak == 2 * reach))).any():
        return f"the PET lies more than {SEARCHED_MM:.0f} mm away"
    to_mm = (LPS_TO_RAS @ image.affine)[:3, :3]
    close = np.argwhere(scores >= scores.max() - _EQUALLY_GOOD) - peak
    unsure = max(float(image.spacing_mm.max()) / 2, float(np.linalg.norm(close @ to_mm.T, axis=1).max()))
    return Fit(to_mm @ (peak + _between_voxels(scores, peak) - reach), unsure)


def _near_edge(inside: NDArray[np.bool_], suv: Volume, reach: NDArray[np.integer]) -> NDArray[np.intp]:
    """Voxels on both sides of the liver's edge that stay in the image for every translation."""
    spacing = suv.spacing_mm
    depth = ndimage.distance_transform_edt(inside, sampling=spacing)
    depth += ndimage.distance_transform_edt(~inside, sampling=spacing)
    points = np.argwhere(depth < _NEAR_EDGE_MM)
    return points[((points >= reach) & (points < np.array(inside.shape) - reach)).all(axis=1)]


def _correlations(
    image: NDArray[np.float32], model: NDArray[np.float32], points: NDArray[np.intp], reach: NDArray[np.integer]
) -> NDArray[np.floating]:
    """Pearson's correlation for every translation by whole voxels; shape 2 x reach + 1."""
    scores = np.zeros(2 * reach + 1)
    strides = np.array([image.shape[1] * image.shape[2], image.shape[2], 1])
    flat, place = np.ascontiguousarray(image).ravel(), points @ strides
    model = model - model.mean()
    for index in np.ndindex(scores.shape):
        values = flat[place + int((np.array(index) - reach) @ strides)]
        deviation = float(values.std()) * float(model.std())
        scores[index] = float((values * model).mean()) / deviation if deviation > 0 else 0.0
    return scores


def _between_voxels(scores: NDArray[np.floating], peak: NDArray[np.intp]) -> NDArray[np.floating]:
    """The vertex of the parabola through the best translation and its two neighbours, along each axis."""
    offset = np.zeros(3)
    for axis in np.flatnonzero(np.array(scores.shape) > 1):
        step = np.eye(3, dtype=int)[axis]
        before, here, after = (float(scores[tuple(peak + by * step)]) for by in (-1, 0, 1))
        bend = before - 2 * here + after
        offset[axis] = (before - after) / (2 * bend) if bend < 0 else 0.0
    return offset


def _unknown(reason: str) -> Shift:
    return Shift(None, None, None, None, None, f"not measured: {reason}")
