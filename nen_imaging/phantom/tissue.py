"""Hounsfield units of the organs in a contrast phase, with the texture of living tissue and the lesions' own.

Values are typical of 120 kV with 100-120 ml of contrast medium; each patient is drawn around them.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from nen_imaging.phantom.anatomy import Anatomy
from nen_imaging.phantom.canvas import Lattice
from nen_imaging.phantom.lesions import LesionMap
from nen_imaging.phantom.organs import LIVER_ORGANS, Organ
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
    Organ.BONE: ((190, 195, 205), 40),
    Organ.CORTEX: ((480, 490, 500), 80),
    Organ.DISC: ((85, 85, 90), 8),
    Organ.LUNG: ((-860, -855, -850), 25),
    Organ.LUNG_VESSEL: ((0, 90, 80), 10),
    Organ.HEART: ((42, 260, 150), 12),
    Organ.LIVER: ((58, 72, 112), 9),
    Organ.SPLEEN: ((48, 110, 125), 9),
    Organ.KIDNEY_CORTEX: ((33, 185, 190), 14),
    Organ.KIDNEY_MEDULLA: ((31, 75, 170), 14),
    Organ.STOMACH_WALL: ((42, 75, 80), 8),
    Organ.STOMACH_CONTENT: ((18, 18, 18), 14),
    Organ.GAS: ((-950, -950, -950), 20),
    Organ.AORTA: ((42, 300, 155), 14),
    Organ.CAVA: ((42, 90, 140), 12),
    Organ.PORTAL_VEIN: ((40, 110, 165), 10),
    Organ.HEPATIC_VEIN: ((40, 62, 155), 10),
    Organ.BOWEL: ((38, 75, 75), 12),
    Organ.STOOL: ((-20, -20, -20), 40),
    Organ.GALLBLADDER: ((8, 8, 10), 5),
    Organ.PANCREAS: ((40, 95, 90), 8),
    Organ.TABLE: ((-90, -90, -90), 50),
    Organ.SKIN: ((20, 25, 30), 5),
}
STEATOSIS_HU = (0.0, 45.0)
"""A fatty liver is darker; drawn with most of the weight near 0."""


def hounsfield_units(anatomy: Anatomy, lesions: LesionMap, phase: Phase, rng: np.random.Generator) -> FloatArray:
    """HU of every voxel before it is seen by a scanner, float32, on the grid of the anatomy."""
    organs = anatomy.organs.array
    table = _drawn_values(phase, rng)
    hu = table[organs]
    lattice = lattice_of(anatomy)
    organ_scale, fine = lattice.random_field(rng, 45.0), lattice.random_field(rng, 6.0)
    solid = (organs != Organ.AIR) & (organs != Organ.TABLE) & (organs != Organ.GAS)
    hu += np.where(solid, 2.5 * organ_scale + 3.0 * fine, 0).astype(np.float32)
    loose = np.isin(organs, (Organ.LUNG, Organ.STOOL, Organ.BONE, Organ.BOWEL))
    hu += np.where(loose, 22.0 * fine + 12.0 * organ_scale, 0).astype(np.float32)
    strands = np.clip(lattice.random_field(rng, 11.0) - 1.2, 0, None)  # small vessels and septa in fat
    hu += np.where(organs == Organ.FAT, 45.0 * strands, 0).astype(np.float32)
    return _with_lesions(hu, organs, lesions, table[Organ.LIVER], phase)


def _drawn_values(phase: Phase, rng: np.random.Generator) -> FloatArray:
    column = PHASES.index(phase)
    steatosis = np.interp(rng.uniform() ** 3, (0, 1), STEATOSIS_HU)
    table = np.zeros(len(Organ), np.float32)
    strength = 1.0 + 0.12 * np.clip(rng.standard_normal(), -2, 2)  # of the contrast medium
    for organ, (values, deviation) in HOUNSFIELD.items():
        enhanced = values[0] + strength * (values[column] - values[0])
        table[organ] = enhanced + deviation * np.clip(rng.standard_normal(), -1.8, 1.8)
    table[Organ.LIVER] -= steatosis
    return table


def _with_lesions(hu: FloatArray, organs: np.ndarray, lesions: LesionMap, liver_hu: float, phase: Phase) -> FloatArray:
    """Blend each lesion into the liver: its contrast, a softer or harder edge, a rim, a necrotic centre."""
    if not lesions.lesions:
        return hu
    inside = lesions.depth > 0
    inside &= np.isin(organs, LIVER_ORGANS)
    position = np.searchsorted([lesion.identity for lesion in lesions.lesions], lesions.instances[inside])
    depth = lesions.depth[inside]  # 0 at the edge, 1 in the middle
    of_phase = PHASES.index(phase)
    contrast = np.array([lesion.contrast_hu[of_phase] for lesion in lesions.lesions], np.float32)[position]
    rim = np.array([lesion.rim_hu for lesion in lesions.lesions], np.float32)[position]
    necrosis = np.array([lesion.necrosis_hu for lesion in lesions.lesions], np.float32)[position]
    edge = np.array([lesion.edge for lesion in lesions.lesions], np.float32)[position]
    rim_weight = np.exp(-(((depth - 0.14) / 0.10) ** 2)) if phase is not Phase.NATIVE else 0.0
    own = liver_hu + contrast + rim * rim_weight - necrosis * np.clip(2.5 * (depth - 0.55), 0, 1)
    weight = np.clip(depth / edge, 0, 1)
    texture = hu[inside] - liver_hu
    background = np.where(organs[inside] == Organ.LIVER, hu[inside], liver_hu)  # lesions displace vessels
    textured = own + np.where(organs[inside] == Organ.LIVER, texture, 0)
    result = hu.copy()
    result[inside] = background + weight * (textured - background)
    return result


def lattice_of(anatomy: Anatomy) -> Lattice:
    """The lattice that an anatomy was painted on, from its (axis-parallel) affine."""
    affine = anatomy.organs.affine
    x, y, z = (affine[a, 3] + affine[a, a] * np.arange(n) for a, n in enumerate(anatomy.organs.shape))
    return Lattice((x, y, z))
