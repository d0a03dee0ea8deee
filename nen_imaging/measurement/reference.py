"""Reference organs of the uptake: healthy liver, spleen and blood pool, each measured or refused with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nen_imaging.measurement.organs import Found, coarse_abdomen, find_aorta, find_spleen
from nen_imaging.measurement.pet_grid import Shares, share_inside
from nen_imaging.measurement.phase import UNENHANCED_AORTA_HU
from nen_imaging.volume import Volume

DILATION_FWHM = 1.5
_INSIDE = 0.99
_MOSTLY_INSIDE = 0.5
_SMALLEST_ORGAN_ML = 1.0


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


def spleen_and_blood_pool(ct: Volume, labels: Volume, suv: Volume) -> tuple[Uptake, Uptake]:
    """Spleen and aorta as found on the CT; of both only the core is found, away from their edges."""
    abdomen = coarse_abdomen(ct, labels.array != 0)
    aorta = find_aorta(abdomen)
    aorta_hu = abdomen.median_hu(aorta)
    enhanced = aorta_hu is not None and aorta_hu >= UNENHANCED_AORTA_HU
    spleen = find_spleen(abdomen, enhanced=enhanced)

    def measured(organ: Found, name: str) -> Uptake:
        if organ.mask is None:
            return Uptake(refused=f"{name} was not found on the CT: {organ.reason}")
        inside = share_inside(abdomen.hu.with_array(organ.mask), suv) > _MOSTLY_INSIDE
        return _measured(suv, inside, _SMALLEST_ORGAN_ML, name)

    return measured(spleen, "spleen"), measured(aorta, "aorta")


def _measured(suv: Volume, inside: NDArray[np.bool_], minimum_ml: float, name: str) -> Uptake:
    volume_ml = float(inside.sum()) * suv.voxel_volume_ml
    if volume_ml < minimum_ml:
        return Uptake(refused=f"{name}: {volume_ml:.0f} ml remain, need {minimum_ml:.0f} ml")
    values = suv.array[inside].astype(float)
    return Uptake(float(values.mean()), float(values.std()), volume_ml)


def _distance_mm(mask: NDArray[np.bool_], grid: Volume) -> NDArray[np.floating]:
    """Distance of every voxel of the mask to the nearest voxel outside it."""
    if mask.all():
        return np.full(mask.shape, np.inf)
    return ndimage.distance_transform_edt(mask, sampling=grid.spacing_mm)
