"""The uptake of 68Ga-DOTATOC in a digital patient, as a PET scanner shows it.

Organ means follow the published biodistribution (Boy et al., Eur J Nucl Med Mol Imaging 2011;38:1224;
Kratochwil et al. 2013): spleen > kidneys > liver > blood pool.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.special import ndtr

from nen_imaging.phantom.anatomy import Anatomy
from nen_imaging.phantom.lesions import LesionMap
from nen_imaging.phantom.organs import Organ
from nen_imaging.volume import FloatArray, Volume, grid_with_spacing

# Organ -> SUVbw (mean over patients); every other tissue has that of muscle. Patients deviate by 15 %.
SUV = {
    Organ.AIR: 0.0,
    Organ.TABLE: 0.0,
    Organ.GAS: 0.1,
    Organ.FAT: 0.25,
    Organ.LUNG: 0.4,
    Organ.BONE: 0.9,
    Organ.HEART: 1.3,
    Organ.AORTA: 1.4,
    Organ.CAVA: 1.4,
    Organ.LIVER: 5.5,
    Organ.PORTAL_VEIN: 4.5,
    Organ.HEPATIC_VEIN: 4.5,
    Organ.SPLEEN: 20.0,
    Organ.KIDNEY_CORTEX: 13.0,
    Organ.KIDNEY_MEDULLA: 9.0,
    Organ.STOMACH_WALL: 3.5,
    Organ.BOWEL: 2.4,
    Organ.PANCREAS: 3.5,
    Organ.GALLBLADDER: 1.0,
    Organ.PRIMARY: 24.0,
}
MUSCLE_SUV = 0.7


def true_suv(anatomy: Anatomy, lesions: LesionMap, rng: np.random.Generator) -> tuple[FloatArray, dict[int, float]]:
    """SUVbw of every voxel before the scanner (float32), and the SUV inside each lesion by identity."""
    table = np.full(len(Organ), MUSCLE_SUV, np.float32)
    for organ, mean in SUV.items():
        table[organ] = mean * np.exp(0.15 * np.clip(rng.standard_normal(), -2, 2))
    suv = table[anatomy.organs.array]
    suv_of_lesion = {lesion.identity: float(table[Organ.LIVER] * lesion.uptake) for lesion in lesions.lesions}
    for identity, value in suv_of_lesion.items():
        suv[lesions.instances == identity] = value
    return suv, suv_of_lesion


def scan_pet(
    suv: Volume,
    rng: np.random.Generator,
    *,
    spacing_mm: float = 4.0,
    fwhm_mm: float = 6.0,
    noise: float = 0.06,
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Volume:
    """A PET (float32 SUVbw) on its own grid.

    The painted voxels are boxes; a PET voxel has the value of their Gaussian blur at its centre, so that `fwhm_mm` is
    what a point source shows. `noise` is the relative deviation at SUV 5, and Poisson-like elsewhere; `shift_mm` (RAS)
    is how far the patient moved, or breathed, since the CT.
    """
    affine = suv.affine.copy()
    affine[:3, 3] += shift_mm
    shape, grid = grid_with_spacing(suv, np.full(3, spacing_mm))
    seen_suv = _blurred(Volume(suv.array, affine), shape, grid, fwhm_mm / np.sqrt(8 * np.log(2)))
    grain = ndimage.gaussian_filter(rng.standard_normal(shape, np.float32), 0.7)
    grain /= max(float(grain.std()), 1e-6)
    deviation = noise * 5.0 * np.sqrt(seen_suv / 5.0)
    return Volume(np.clip(seen_suv + deviation * grain, 0, None).astype(np.float32), grid)


def _blurred(painted: Volume, shape: tuple[int, int, int], grid: FloatArray, sigma_mm: float) -> FloatArray:
    """The Gaussian's exact integral over the painted boxes at the voxels' centres of a parallel grid, axis by axis."""
    to_painted, seen = np.linalg.inv(painted.affine) @ grid, painted.array.astype(np.float32)
    for axis, sigma in enumerate(sigma_mm / painted.spacing_mm):
        centres = to_painted[axis, axis] * np.arange(shape[axis]) + to_painted[axis, 3]
        offset = centres[:, None] - np.arange(painted.shape[axis])
        weight = ndtr((offset + 0.5) / sigma) - ndtr((offset - 0.5) / sigma)
        weight /= np.maximum(weight.sum(axis=1, keepdims=True), 0.5)  # no loss at the border, nothing beyond it
        seen = np.moveaxis(np.tensordot(weight.astype(np.float32), seen, (1, axis)), 0, axis)
    return np.ascontiguousarray(seen)
