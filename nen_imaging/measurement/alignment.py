"""A PET of another frame of reference is brought onto the CT: rigidly, with the liver in view, and never on trust.

Where the PET came with a CT of its own, that one is aligned to the measured CT, and the PET's liver by a translation
more, since the patient breathes. Otherwise the PET itself is aligned: by mutual information with the CT around the
liver, then at the liver's edge. Every registration starts from two places; what they disagree by is uncertainty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK

from nen_imaging.measurement.liver_on_ct import EDGE_MM, GRID_MM, MARGIN_MM, WINDOW_HU, LiverOnCt, Mask
from nen_imaging.measurement.pet_grid import share_inside
from nen_imaging.measurement.search import Place, best_place, on_coarse_grid
from nen_imaging.measurement.shift import Shift, measure_shift
from nen_imaging.registration import (
    Metric,
    correlation,
    in_reference,
    mutual_information,
    optimised,
    ras_matrix,
    rigid_transform,
)
from nen_imaging.volume import LPS_TO_RAS, FloatArray, Volume, resample, to_itk

THROUGH_LOW_DOSE_CT = "rigid, low-dose CT to CT (correlation), then a translation to the liver's edge on the PET"
DIRECTLY = "rigid, PET to CT (mutual information around the liver), then to the liver's edge on the PET"
_SEARCH_GRID_MM = 8.0
_NEAR_MM, _CT_NEAR_MM = 30.0, 20.0
_LEVEL_VOLUMES_ML = (300.0, 600.0, 1000.0, 1600.0, 2500.0, 4000.0)
_STARTS = (  # shift (RAS mm) and turn (degrees) off the first guess: as far from each other as they can be
    ((5.0, -5.0, 5.0), (3.0, -3.0, 3.0)),
    ((-5.0, 5.0, -5.0), (-3.0, 3.0, -3.0)),
)
_EDGE_KNOWN_MM = 3.0  # at high load the PET tells the liver's edge no better: less is no reason to move it
_TRUSTED_CT_CORRELATION = 0.7
_TRUSTED_OVERLAP = 0.8
_TRUSTED_CORRELATION = 0.7
_LEAST_BODY = 0.03  # SUV of soft tissue beside the liver over the liver's


@dataclass(frozen=True)
class Alignment:
    """How a PET lies to the CT. ``matrix`` (4 x 4, RAS mm) maps a point of the CT to the same place of the PET."""

    matrix: FloatArray
    centre_mm: FloatArray
    """Of the liver on the CT, RAS."""
    uncertainty_mm: float
    method: str
    refused: str = ""

    def placed(self, suv: Volume) -> Volume:
        """The PET where it lies on the CT; its voxels stay what they are."""
        return in_reference(suv, self.matrix)

    def as_shift(self) -> Shift:
        """The displacement at the liver's centre, and the turn."""
        if self.refused:
            return Shift(None, None, None, None, None, f"not measured: {self.refused}", frame="another")
        moved = (LPS_TO_RAS @ (self.matrix - np.eye(4)) @ np.r_[self.centre_mm, 1.0])[:3]
        turn = np.degrees(np.arccos(np.clip((np.trace(self.matrix[:3, :3]) - 1) / 2, -1, 1)))
        x, y, z = (float(value) for value in moved)
        length = float(np.linalg.norm(moved))
        return Shift(x, y, z, length, self.uncertainty_mm, self.method, float(turn), "another", self.uncertainty_mm)


def align_pet(
    *, ct: Volume, labels: Volume, instances: Volume, suv: Volume, low_dose_ct: Volume | None, fwhm_mm: float,
    limit_mm: float,
) -> Alignment:  # fmt: skip
    """Align a PET to the CT, through the PET's own CT (``low_dose_ct``, in the PET's frame) where there is one.

    ``labels`` (1 liver, 2 lesion) and ``instances`` lie on the CT. An alignment that is known no better than
    ``limit_mm``, or under which the PET does not show the liver where the CT has it, is refused and says why.
    """
    liver = LiverOnCt.of(ct, labels, instances, fwhm_mm)
    judge = Judge(liver, labels, instances, suv, fwhm_mm, limit_mm)
    refused = []
    if low_dose_ct is not None:
        found = _tried(lambda: _through_low_dose_ct(liver, low_dose_ct, judge), judge)
        if not found.refused:
            return found
        refused.append(f"through the low-dose CT: {found.refused}")
    found = _tried(lambda: _directly(liver, suv, judge), judge)
    if found.refused and refused:
        return replace(found, refused="; ".join([*refused, f"PET to CT: {found.refused}"]))
    return found


def _tried(align: Callable[[], Alignment], judge: Judge) -> Alignment:
    try:
        return align()
    except RuntimeError:  # ITK: hardly a point of the one image is left inside the other
        return judge.refuse(np.eye(4), "the registration lost the liver out of the image")


@dataclass(frozen=True)
class Judge:
    """Holds an alignment against what the PET shows."""

    liver: LiverOnCt
    labels: Volume
    instances: Volume
    suv: Volume
    fwhm_mm: float
    limit_mm: float

    def shift(self, matrix: FloatArray) -> Shift:
        """What is left between the PET and the CT's liver."""
        placed = in_reference(self.suv, matrix)
        whole, lesions = (
            share_inside(mask.with_array(mask.array != 0), placed) for mask in (self.labels, self.instances)
        )
        return measure_shift(placed, whole, lesions, fwhm_mm=self.fwhm_mm)

    def refuse(self, matrix: FloatArray, reason: str) -> Alignment:
        return Alignment(matrix, self.liver.centre_mm, float("inf"), "", reason)

    def judged(self, matrix: FloatArray, spread_mm: float, method: str) -> Alignment:
        """The alignment with its uncertainty, or why it is not to be trusted."""
        if doubt := self._doubt(matrix):
            return self.refuse(matrix, doubt)
        left = self.shift(matrix)
        if left.length_mm is None or left.uncertainty_mm is None:
            return self.refuse(matrix, left.method.removeprefix("not measured: "))
        uncertainty_mm = max(spread_mm, left.length_mm, left.uncertainty_mm)
        if uncertainty_mm > self.limit_mm:
            return self.refuse(
                matrix, f"its place is known to {uncertainty_mm:.0f} mm only, the limit is {self.limit_mm:g} mm"
            )
        return Alignment(matrix, self.liver.centre_mm, uncertainty_mm, method)

    def _doubt(self, matrix: FloatArray) -> str:
        """Whether the PET shows a liver there, of this shape, in a body."""
        liver, values = self.liver, self.liver.seen_in(self.suv, matrix)
        level, seen = liver.level(self.suv, matrix), np.isfinite(values)
        healthy = liver.inside & liver.healthy & seen
        if level <= 0 or not healthy.any():
            return "the PET does not show the liver"
        overlap = float((values[healthy] > level / 2).mean())
        if overlap < _TRUSTED_OVERLAP:
            return f"only {100 * overlap:.0f} % of the healthy liver take up tracer as a liver does"
        edge = liver.edge & seen
        agreement = float(np.corrcoef(np.clip(values[edge], 0, level), liver.model.array[edge].astype(float))[0, 1])
        if not agreement >= _TRUSTED_CORRELATION:
            return f"the liver's edge is not seen in the PET (correlation {agreement:.2f})"
        beside = (liver.outside_mm > _CT_NEAR_MM) & (liver.hu.array.astype(float) > 0) & seen
        body = float(np.median(values[beside])) / level if beside.any() else 0.0
        return "" if body >= _LEAST_BODY else "the PET shows no body where the CT has one"


def _through_low_dose_ct(liver: LiverOnCt, low_dose_ct: Volume, judge: Judge) -> Alignment:
    seen = low_dose_ct.with_array(np.clip(low_dose_ct.array, *WINDOW_HU).astype(np.float32))
    near = liver.outside_mm < _CT_NEAR_MM
    image = on_coarse_grid(seen, _SEARCH_GRID_MM, outside=WINDOW_HU[0])
    place = _searched(liver.hu, liver.outside_mm < MARGIN_MM, image, outside=WINDOW_HU[0])
    if place.correlation < _TRUSTED_CT_CORRELATION:
        refusal = f"it shows no such part of the body (correlation {place.correlation:.2f})"
        return judge.refuse(_translation(place.shift_mm), refusal)
    moving = on_coarse_grid(seen, GRID_MM / 2, outside=WINDOW_HU[0])
    found = _registered(liver, liver.hu, near, moving, place, correlation)
    found.sort(key=lambda matrix: -_agreement(liver.hu, near, moving, matrix))
    matrix, spread_mm = found[0], _spread_mm(liver, found)
    breathed = judge.shift(matrix)
    if breathed.length_mm is not None and breathed.length_mm > _EDGE_KNOWN_MM:
        matrix = matrix @ _translation(LPS_TO_RAS[:3, :3] @ np.array([breathed.x_mm, breathed.y_mm, breathed.z_mm]))
    return judge.judged(matrix, spread_mm, THROUGH_LOW_DOSE_CT)


def _directly(liver: LiverOnCt, suv: Volume, judge: Judge) -> Alignment:
    place = _place_of_liver(liver, suv)
    if place is None:
        return judge.refuse(np.eye(4), "the PET shows nothing like the liver")
    first = _translation(place.shift_mm)
    level = liver.level(suv, first)
    if level <= 0:
        return judge.refuse(first, "the PET does not show the liver")
    hot = suv.with_array(np.clip(suv.array, 0, 1.5 * level).astype(np.float32))
    around = _registered(liver, liver.hu, liver.outside_mm < _NEAR_MM, hot, place, mutual_information)
    clipped = suv.with_array(np.clip(suv.array, 0, liver.level(suv, around[0])).astype(np.float32))
    edges = [
        _optimised(liver.model, liver.edge, clipped, _as_transform(liver, matrix), correlation) for matrix in around
    ]
    edges.sort(key=lambda matrix: -_agreement(liver.model, liver.edge, clipped, matrix))
    return judge.judged(edges[0], _spread_mm(liver, [*edges, around[0]]), DIRECTLY)


def _place_of_liver(liver: LiverOnCt, suv: Volume) -> Place | None:
    """Where the PET shows a body of the liver's shape and size; at several levels, since the liver's is unknown.

    What is hotter than the level is clipped to it: hot organs and lesions count as the liver does.
    """
    image = on_coarse_grid(suv, _SEARCH_GRID_MM, outside=0.0)
    near = (liver.outside_mm < 2 * EDGE_MM) & liver.healthy
    falling, voxel_ml = np.sort(image.array.astype(float).ravel())[::-1], image.voxel_volume_ml
    places = [
        _searched(liver.model, near, image.with_array(np.clip(image.array, 0, falling[rank])), outside=0.0)
        for volume_ml in _LEVEL_VOLUMES_ML
        if (rank := int(volume_ml / voxel_ml)) < falling.size and falling[rank] > 0
    ]
    return max(places, key=lambda place: place.correlation, default=None)


def _searched(model: Volume, where: Mask, image: Volume, *, outside: float) -> Place:
    coarse = [
        on_coarse_grid(model.with_array(array.astype(np.float32)), _SEARCH_GRID_MM, outside=float(array.min()))
        for array in (model.array, where)
    ]
    return best_place(coarse[0], (coarse[1].array.astype(float) > 0.5).astype(float), image, outside=outside)


def _registered(
    liver: LiverOnCt, fixed: Volume, where: Mask, moving: Volume, place: Place, metric: Metric
) -> list[FloatArray]:
    """The registrations from every start."""
    return [
        _optimised(
            fixed, where, moving,
            rigid_transform(liver.centre_mm, place.shift_mm + np.array(shift), np.radians(turn)), metric,
        )
        for shift, turn in _STARTS
    ]  # fmt: skip


def _optimised(fixed: Volume, where: Mask, moving: Volume, start: SimpleITK.Transform, metric: Metric) -> FloatArray:
    found = optimised(to_itk(fixed), to_itk(moving), to_itk(fixed.with_array(where)), start, metric, 2)
    return ras_matrix(SimpleITK.Euler3DTransform(found))


def _agreement(fixed: Volume, where: Mask, moving: Volume, matrix: FloatArray) -> float:
    """Pearson's correlation inside a mask of the fixed image; what the moving one does not show counts as its least."""
    least = float(moving.array.astype(np.float32).min())
    seen = resample(in_reference(moving, matrix), fixed.shape, fixed.affine, outside=least).array.astype(float)
    return float(np.corrcoef(fixed.array[where].astype(float), seen[where])[0, 1])


def _as_transform(liver: LiverOnCt, matrix: FloatArray) -> SimpleITK.Euler3DTransform:
    """A rigid matrix as ITK's transform about the liver's centre."""
    shift = (matrix @ np.r_[liver.centre_mm, 1.0])[:3] - liver.centre_mm
    transform = rigid_transform(liver.centre_mm, shift)
    transform.SetMatrix((LPS_TO_RAS @ matrix @ LPS_TO_RAS)[:3, :3].ravel().tolist(), 1e-6)
    return transform


def _spread_mm(liver: LiverOnCt, matrices: Sequence[FloatArray]) -> float:
    """The largest distance, over the liver, of a place under the first matrix from itself under another."""
    places = np.argwhere(liver.inside)[::50] @ liver.share.affine[:3, :3].T + liver.share.affine[:3, 3]
    points = np.c_[places, np.ones(len(places))]
    return max(float(np.linalg.norm(points @ (matrices[0] - other).T, axis=1).max()) for other in matrices[1:])


def _translation(shift_mm: FloatArray) -> FloatArray:
    matrix = np.eye(4)
    matrix[:3, 3] = shift_mm
    return matrix
