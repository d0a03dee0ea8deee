"""From probabilities to one liver with its lesions. The rules are few, and each is a function here."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

LIVER, LESION = 1, 2
PART_SHARE = (
    0.10  # a separate part this large, relative to the largest, is liver too (after resection, or cut by the field)
)
PART_WITHIN_MM = 50.0  # and that near to it
CONTENT_HU = 50.0  # a slice whose values span less holds no anatomy


def main_parts(mask: Mask, spacing_mm: float) -> tuple[Mask, int]:
    """The largest connected part of a mask on an isotropic grid, and others that are large and near; also their number.

    A bladder or a thigh taken for liver is large, but far from it.
    """
    from skimage.measure import label

    parts, count = label(mask, connectivity=1, return_num=True)
    if count <= 1:
        return mask, count
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    largest = int(sizes.argmax())
    kept = sizes >= max(1.0, PART_SHARE * sizes[largest])
    if kept.sum() > 1:
        within = distance_from(parts == largest, spacing_mm) <= PART_WITHIN_MM
        kept &= np.bincount(parts[within], minlength=sizes.size) > 0
    return kept[parts], int(kept.sum())


def without_holes(mask: Mask) -> Mask:
    """Background that the mask encloses in 3-D becomes mask."""
    from scipy.ndimage import binary_fill_holes

    return np.asarray(binary_fill_holes(mask))


def distance_from(mask: Mask, spacing_mm: float) -> Floats:
    """How far each voxel of an isotropic grid lies from a mask, in mm; 0 in it."""
    from scipy.ndimage import distance_transform_edt

    return np.asarray(distance_transform_edt(~mask) * spacing_mm, np.float32)


def one_organ(liver: Floats, spacing_mm: float) -> tuple[Floats, int]:
    """Probability of liver (with lesions), cleaned so that a threshold of one half gives one organ.

    Parts far from the liver vanish; enclosed holes are liver. Returns also the number of the liver's separate parts.
    """
    whole, parts = main_parts(liver >= 0.5, spacing_mm)
    filled = without_holes(whole)
    return np.where(filled, np.where(whole, liver, 1.0), np.minimum(liver, 0.49)).astype(np.float32), parts


def only_in(liver: Mask, lesion: Floats) -> Floats:
    """Probability of lesion, below one half outside the liver.

    The fine network counts lesions as liver; given 10 mm more, stomach and gallbladder became lesions (measured).
    """
    return np.where(liver, lesion, np.minimum(lesion, 0.49)).astype(np.float32)


def sure_lesions(lesion: Floats, peak: float) -> Floats:
    """Probability of lesion, below one half in whatever nowhere reaches ``peak``: such specks are mostly none.

    A threshold with hysteresis: from where the network is sure, lesions reach as far as they are more likely than not.
    """
    from skimage.filters import apply_hysteresis_threshold

    if peak <= 0.5:
        return lesion
    return np.where(apply_hysteresis_threshold(lesion, 0.5, peak), lesion, np.minimum(lesion, 0.49)).astype(np.float32)


def is_truncated(liver: Mask, image: NDArray[Any], spacing_mm: NDArray[np.floating], area_mm2: float = 100.0) -> bool:
    """Whether the liver touches, with more than that area, the first or last slice with content, or a lateral face.

    Axes are LPS: slices lie along the last.
    """
    slices = [k for k in range(image.shape[2]) if np.ptp(image[::4, ::4, k]) > CONTENT_HU]
    if not slices:
        return False
    faces = {
        float(spacing_mm[0] * spacing_mm[1]): (liver[:, :, slices[0]], liver[:, :, slices[-1]]),
    }
    touching = [int(face.sum()) * pixel for pixel, pair in faces.items() for face in pair]
    sides = (
        ((liver[0], liver[-1]), float(spacing_mm[1] * spacing_mm[2])),
        (
            (liver[:, 0], liver[:, -1]),
            float(spacing_mm[0] * spacing_mm[2]),
        ),
    )
    touching += [int(face.sum()) * pixel for pair, pixel in sides for face in pair]
    return max(touching) > area_mm2
