"""One staging of a digital patient: CT, PET and the truth behind both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nen_imaging.phantom.anatomy import Anatomy
from nen_imaging.phantom.course import course
from nen_imaging.phantom.lesions import LesionMap
from nen_imaging.phantom.pet import scan_pet, true_suv
from nen_imaging.phantom.scanner import CtScanner, scan_ct, thick_slices
from nen_imaging.phantom.tissue import Phase, hounsfield_units
from nen_imaging.volume import FloatArray, Volume


@dataclass(frozen=True)
class Truth:
    """What is known of a staging because it was made; volumes are those of the mask on the CT's grid."""

    load_percent: float
    liver_volume_ml: float
    lesion_volume_ml: float
    volume_ml_of_lesion: dict[int, float]
    suv_of_lesion: dict[int, float]
    """Before the scanner's blur; empty without PET."""


@dataclass(frozen=True)
class Staging:
    """Images and truth. `labels` (0, 1 liver, 2 lesion) and `instances` (identities) lie on the CT's grid."""

    ct: Volume
    labels: Volume
    instances: Volume
    suv: Volume | None
    phase: Phase
    truth: Truth


def staging(
    anatomy: Anatomy,
    load_percent: float,
    seed: int,
    phase: Phase = Phase.PORTAL_VENOUS,
    *,
    lesions: LesionMap | None = None,
    scanner: CtScanner | None = None,
    with_pet: bool = False,
    pet_shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Staging:
    """Scan a patient.

    Parameters
    ----------
    anatomy
        The patient, without disease.
    load_percent
        Hepatic tumour load, 0 to 75. Lesions are drawn unless `lesions` are given, whose load counts.
    seed
        Of lesions, contrast, texture and noise.
    phase
        Of the contrast medium.
    lesions
        The map of one staging of a `course`.
    scanner
        Drawn unless given.
    with_pet, pet_shift_mm
        Whether there is a PET, and how far the patient moved (RAS) before it.
    """
    rng = np.random.default_rng([anatomy.seed, seed, 4])
    if lesions is None:
        lesions = course(anatomy, [load_percent], seed, count=_plausible_count(load_percent, rng))[0]
    scanner = scanner or CtScanner.drawn(rng, anatomy.ranges)
    hu = anatomy.organs.with_array(hounsfield_units(anatomy, lesions, phase, rng))
    ct = scan_ct(hu, scanner, rng)
    labels, instances = _truth_on_slices(anatomy, lesions, scanner)
    suv: Volume | None = None
    suv_of_lesion: dict[int, float] = {}
    if with_pet:
        true, suv_of_lesion = true_suv(anatomy, lesions, rng)
        suv = scan_pet(anatomy.organs.with_array(true), rng, shift_mm=pet_shift_mm)
    return Staging(ct, labels, instances, suv, phase, _truth(labels, instances, suv_of_lesion))


def _plausible_count(load_percent: float, rng: np.random.Generator) -> int:
    """From a single lesion to miliary spread; a high load takes several."""
    return int(np.clip(np.exp(rng.uniform(0, 3.4)) + 0.15 * load_percent, 1, 60))


def _truth_on_slices(anatomy: Anatomy, lesions: LesionMap, scanner: CtScanner) -> tuple[Volume, Volume]:
    """Labels and identities where more than half of a voxel is liver, or lesion; the load stays as it was painted."""
    thickness_mm = scanner.slice_thickness_mm
    liver = thick_slices(anatomy.liver, thickness_mm)
    lesion = thick_slices(anatomy.liver.with_array(lesions.instances > 0), thickness_mm)
    inside = _share(liver) > 0.5
    painted = np.count_nonzero(lesions.instances) / (np.count_nonzero(anatomy.liver.array) or 1)
    labels = inside.astype(np.uint8)
    labels[inside] += _highest(_share(lesion)[inside], round(painted * np.count_nonzero(inside)))
    count = round(liver.spacing_mm[2] / anatomy.liver.spacing_mm[2])
    slabs = lesions.instances[:, :, : liver.shape[2] * count].reshape(*labels.shape, count)
    identities = np.where(labels == 2, slabs.max(axis=3), 0).astype(np.uint16)
    return liver.with_array(labels), liver.with_array(identities)


def _share(mask: Volume) -> FloatArray:
    """How much of a voxel is inside; of two alike, the one with more of it around in the slice has more."""
    array = mask.array.astype(np.float32)
    return array + 0.01 * (ndimage.uniform_filter(array, (3, 3, 1)) - 0.5)


def _highest(values: FloatArray, count: int) -> NDArray[np.bool_]:
    """Where the `count` highest values are."""
    chosen = np.zeros(values.shape, bool)
    if count:
        chosen[np.argpartition(values, -count)[-count:]] = True
    return chosen


def _truth(labels: Volume, instances: Volume, suv_of_lesion: dict[int, float]) -> Truth:
    voxel_ml = labels.voxel_volume_ml
    liver_ml, lesion_ml = float(np.count_nonzero(labels.array)) * voxel_ml, float((labels.array == 2).sum()) * voxel_ml
    voxels = np.bincount(instances.array.ravel())
    volumes = {n: float(voxels[n]) * voxel_ml for n in range(1, len(voxels)) if voxels[n]}
    load = 100 * lesion_ml / liver_ml if liver_ml else 0.0
    return Truth(load, liver_ml, lesion_ml, volumes, suv_of_lesion)
