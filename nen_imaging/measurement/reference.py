"""Reference organs of the uptake: healthy liver, spleen and blood pool, each measured or refused with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nen_imaging.measurement.organs import Abdomen, Found, Landmarks
from nen_imaging.measurement.pet_grid import Shares, share_inside
from nen_imaging.volume import Volume

DILATION_FWHM = 1.5
_INSIDE = 0.99
_MOSTLY_INSIDE = 0.5
_SMALLEST_ORGAN_ML = 1.0
_LEVEL_PERCENTILE = 90.0
_HALF = 0.5
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Uptake:
    """SUVbw of a reference organ, or the reason why there is none."""

    suv_mean: float | None = None
    suv_sd: float | None = None
    volume_ml: float | None = None
    refused: str = ""

    def as_dict(self) -> dict[str, Any]:
        if self.refused or self.suv_mean is None:
            return {"refused": self.refused}
        numbers = {"suv_mean": self.suv_mean, "suv_sd": self.suv_sd, "volume_ml": self.volume_ml}
        return {name: round(float(value), 3) for name, value in numbers.items() if value is not None}


def healthy_liver(suv: Volume, liver: Shares, lesions: Shares, *, fwhm_mm: float, minimum_ml: float) -> Uptake:
    """The liver without its lesions dilated by 1.5 x FWHM and without its own edge of one FWHM."""
    far = _distance_mm(lesions < 0.01, suv) > DILATION_FWHM * fwhm_mm
    deep = _distance_mm(liver > _INSIDE, suv) > fwhm_mm
    return _measured(suv, far & deep, minimum_ml, "healthy liver away from lesions")


def spleen_and_blood_pool(abdomen: Abdomen, found: Landmarks, suv: Volume, liver: Uptake) -> tuple[Uptake, Uptake]:
    """Spleen and aorta as found on the CT; of both only the core is found, away from their edges.

    The spleen must also look like one on the PET: what lies below half of its level is not spleen there (the patient
    moved, or breathed); with less than half of it left, or below the ``liver``, it is refused. Of all organs the
    spleen takes up most of an SSR tracer (Boy 2011).
    """

    def core(organ: Found) -> Mask:
        mask = np.zeros(abdomen.liver.shape, bool) if organ.mask is None else organ.mask
        return share_inside(abdomen.hu.with_array(mask), suv) > _MOSTLY_INSIDE

    spleen, aorta = core(found.spleen), core(found.aorta)
    return (
        _not_found("spleen", found.spleen) or _plausible_spleen(suv, spleen, liver),
        _not_found("aorta", found.aorta) or _measured(suv, aorta, _SMALLEST_ORGAN_ML, "aorta"),
    )


def _not_found(name: str, organ: Found) -> Uptake | None:
    return Uptake(refused=f"{name} was not found on the CT: {organ.reason}") if organ.mask is None else None


def _plausible_spleen(suv: Volume, inside: Mask, liver: Uptake) -> Uptake:
    if not inside.any():
        return Uptake(refused="spleen: it lies outside the PET")
    values = suv.array.astype(float)
    level = float(np.percentile(values[inside], _LEVEL_PERCENTILE))
    hot = inside & (values >= _HALF * level)
    share = float(hot.sum()) / float(inside.sum())
    if share < _HALF:
        return Uptake(refused=f"spleen: on the PET only {100 * share:.0f} % of it take up tracer as a spleen does")
    spleen = _measured(suv, hot, _SMALLEST_ORGAN_ML, "spleen")
    if spleen.suv_mean is not None and liver.suv_mean is not None and spleen.suv_mean < liver.suv_mean:
        return Uptake(refused=f"spleen: SUVmean {spleen.suv_mean:.1f}, below the liver's {liver.suv_mean:.1f}")
    return spleen


def _measured(suv: Volume, inside: Mask, minimum_ml: float, name: str) -> Uptake:
    volume_ml = float(inside.sum()) * suv.voxel_volume_ml
    if volume_ml < minimum_ml:
        return Uptake(refused=f"{name}: {volume_ml:.0f} ml remain, need {minimum_ml:.0f} ml")
    values = suv.array[inside].astype(float)
    return Uptake(float(values.mean()), float(values.std()), volume_ml)


def _distance_mm(mask: Mask, grid: Volume) -> NDArray[np.floating]:
    """Distance of every voxel of the mask to the nearest voxel outside it."""
    if mask.all():
        return np.full(mask.shape, np.inf)
    return ndimage.distance_transform_edt(mask, sampling=grid.spacing_mm)
