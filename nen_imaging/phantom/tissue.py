"""Hounsfield units of the organs in a contrast phase, with the texture of living tissue and the lesions' own.

Values are typical of 120 kV with 100-120 ml of contrast medium; each patient is drawn around them.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import numpy as np

from nen_imaging.phantom.anatomy import Anatomy
from nen_imaging.phantom.lesions import Lesion, LesionMap, by_identity
from nen_imaging.phantom.organs import Organ
from nen_imaging.volume import FloatArray


class Phase(StrEnum):
    """When after the injection of contrast medium the liver is scanned."""

    NATIVE = "native"
    ARTERIAL = "arterial"
    PORTAL_VENOUS = "portal venous"


PHASES = tuple(Phase)
# Organ -> HU without contrast medium, in the (late) arterial and in the portal venous phase; deviation over patients.
HOUNSFIELD: dict[Organ, tuple[tuple[float, float, float], float]] = {
    Organ.AIR: ((-1000, -1000, -1000), 0),
    Organ.FAT: ((-105, -105, -103), 4),
    Organ.MUSCLE: ((52, 58, 64), 5),
    Organ.BONE: ((185, 190, 200), 20),
    Organ.CORTEX: ((480, 490, 500), 80),
    Organ.DISC: ((85, 85, 90), 8),
    Organ.LUNG: ((-860, -855, -850), 25),
    Organ.LUNG_VESSEL: ((0, 90, 80), 10),
    Organ.HEART: ((42, 260, 150), 12),
    Organ.LIVER: ((58, 72, 112), 9),
    Organ.SPLEEN: ((48, 110, 125), 9),
    Organ.KIDNEY_CORTEX: ((33, 185, 190), 14),
    Organ.KIDNEY_MEDULLA: ((31, 75, 140), 14),
    Organ.STOMACH_WALL: ((42, 75, 80), 8),
    Organ.STOMACH_CONTENT: ((18, 18, 18), 14),
    Organ.GAS: ((-950, -950, -950), 20),
    Organ.AORTA: ((42, 300, 155), 14),
    Organ.CAVA: ((42, 90, 140), 12),
    Organ.PORTAL_VEIN: ((40, 110, 176), 10),
    Organ.HEPATIC_VEIN: ((40, 62, 166), 10),
    Organ.BOWEL: ((38, 75, 75), 12),
    Organ.STOOL: ((-20, -20, -20), 40),
    Organ.GALLBLADDER: ((8, 8, 10), 5),
    Organ.PANCREAS: ((40, 95, 90), 8),
    Organ.TABLE: ((-90, -90, -90), 50),
    Organ.SKIN: ((20, 25, 30), 5),
    Organ.PRIMARY: ((42, 125, 105), 0),
}
MOTTLE_MM = 9.0
"""Grain of the coarse texture inside lesions."""


def hounsfield_units(anatomy: Anatomy, lesions: LesionMap, phase: Phase, rng: np.random.Generator) -> FloatArray:
    """HU of every voxel before it is seen by a scanner, float32, on the grid of the anatomy."""
    organs, lattice, ranges = anatomy.organs.array, anatomy.lattice, anatomy.ranges
    table = _drawn_values(anatomy, phase, rng)
    hu = table[organs]
    unevenness_hu, texture_hu = rng.uniform(*ranges.unevenness_hu), rng.uniform(*ranges.texture_hu)
    slow, fine = lattice.random_field(rng, 45.0), lattice.random_field(rng, rng.uniform(*ranges.texture_mm))
    solid = np.ones(len(Organ), np.float32)
    solid[[Organ.AIR, Organ.TABLE, Organ.GAS]] = 0
    loose = np.zeros(len(Organ), np.float32)
    loose[[Organ.LUNG, Organ.STOOL, Organ.BONE, Organ.BOWEL]] = 1
    hu += (unevenness_hu * solid + 12 * loose)[organs] * slow + (texture_hu * solid + 22 * loose)[organs] * fine
    fat = organs == Organ.FAT
    strands = lattice.random_field(rng, 7.0)
    hu[fat] += 40.0 * np.clip(strands[fat] - 1.5, 0, None)  # small vessels and septa
    muscle = organs == Organ.MUSCLE
    hu[muscle] -= 30.0 * np.clip(strands[muscle] - 0.6, 0, None)  # marbled
    if lesions.lesions:
        coarse = lattice.random_field(rng, MOTTLE_MM)[anatomy.liver.array]
        hu[anatomy.liver.array] = _with_lesions(hu[anatomy.liver.array], anatomy, lesions, coarse, table, phase)
    return hu


def _drawn_values(anatomy: Anatomy, phase: Phase, rng: np.random.Generator) -> FloatArray:
    """HU per organ: a patient's own deviations and fatty liver stay; the contrast medium differs at every staging."""
    column, own = PHASES.index(phase), np.random.default_rng([anatomy.seed, 6])
    strength = rng.uniform(*anatomy.ranges.enhancement)
    table = np.zeros(len(Organ), np.float32)
    for organ, (values, deviation) in HOUNSFIELD.items():
        enhanced = values[0] + strength * (values[column] - values[0])
        table[organ] = enhanced + deviation * np.clip(own.standard_normal(), -1.8, 1.8)
    table[Organ.LIVER] -= np.interp(own.uniform() ** 3, (0, 1), anatomy.ranges.steatosis_hu)  # mostly little
    return table


def _with_lesions(
    hu: FloatArray, anatomy: Anatomy, lesions: LesionMap, coarse: FloatArray, table: FloatArray, phase: Phase
) -> FloatArray:
    """Blend each lesion into the liver: its contrast, a softer or harder edge, a rim, a necrotic centre.

    `hu` and `coarse`, a field of unit deviation, hold one value per liver voxel.
    """
    of_phase, liver_hu = PHASES.index(phase), table[Organ.LIVER]

    def of_nearest(value: Callable[[Lesion], float]) -> FloatArray:
        return by_identity(lesions.lesions, value, int(lesions.nearest.max()))[lesions.nearest]

    contrast = of_nearest(lambda lesion: lesion.contrast_hu[of_phase])
    contrast += of_nearest(lambda lesion: lesion.mottle_hu) * coarse
    if phase is not Phase.NATIVE:
        contrast += of_nearest(lambda lesion: lesion.rim_hu) * np.exp(-(((lesions.depth - 0.14) / 0.10) ** 2))
    contrast -= of_nearest(lambda lesion: lesion.necrosis_hu) * np.clip(2.5 * (lesions.depth - 0.55), 0, 1)
    fade_mm = np.maximum(of_nearest(lambda lesion: lesion.fade_mm), 0.1)
    weight = np.clip(0.5 + lesions.edge_mm / fade_mm, 0, 1)
    is_parenchyma = anatomy.organs.array[anatomy.liver.array] == Organ.LIVER
    texture = np.where(is_parenchyma, hu - liver_hu, 0)  # lesions displace vessels
    return hu + weight * (liver_hu + contrast + texture - hu)
