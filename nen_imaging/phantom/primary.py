"""The primary tumour in the ileum: a mass in the lower right of the small bowel, as CT and PET see it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nen_imaging.phantom.anatomy import Anatomy
from nen_imaging.phantom.organs import Organ
from nen_imaging.volume import Volume

SOUGHT_MM = (48.0, 35.0, -150.0)  # RAS, in the lower right abdomen, above the lower end of the field of view
SEMI_AXES_MM = (15.0, 12.0, 14.0)


@dataclass(frozen=True)
class Primary:
    """An anatomy with its primary tumour, and the tumour's mask on the same grid."""

    anatomy: Anatomy
    mask: Volume


def with_primary(anatomy: Anatomy) -> Primary:
    """Put the tumour where the small bowel is nearest to the terminal ileum's usual place."""
    x, y, z = np.meshgrid(*[axis.astype(np.float32) for axis in anatomy.lattice.axes_mm], indexing="ij", sparse=True)
    organs = anatomy.organs.array
    bowel = np.argwhere(organs == Organ.BOWEL)
    axes = anatomy.lattice.axes_mm
    places = np.stack([axes[a][bowel[:, a]] for a in range(3)], axis=1)
    centre = places[np.argmin(np.linalg.norm(places - np.array(SOUGHT_MM), axis=1))]
    distance2 = sum(((c - m) / r) ** 2 for c, m, r in zip((x, y, z), centre, SEMI_AXES_MM, strict=True))
    mask = (distance2 < 1) & np.isin(organs, (Organ.FAT, Organ.BOWEL, Organ.STOOL, Organ.STOMACH_CONTENT, Organ.GAS))
    painted = np.where(mask, np.uint8(Organ.PRIMARY), organs)
    return Primary(replace(anatomy, organs=anatomy.organs.with_array(painted)), anatomy.organs.with_array(mask))
