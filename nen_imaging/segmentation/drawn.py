"""What a segmenter that is not ours drew -> one liver with its lesions, by few rules.

Lesions that touch the liver belong to it, whether it drew them as liver too or not; what lies apart from the liver is
left out, and that is said. A separate part of the liver smaller than a tenth of the largest is left out; background
that the liver encloses is liver.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nen_imaging.contract import Reason
from nen_imaging.segmentation.postprocess import LESION, LIVER, PART_SHARE, is_truncated, without_holes
from nen_imaging.segmentation.preprocess import ORIENTATION, box_around
from nen_imaging.segmentation.result import (
    TRUNCATED,
    Segmentation,
    fragmented,
    no_liver,
    on_grid_of,
    percent,
)
from nen_imaging.segmentation.two_stage import SMALLEST_LIVER_ML
from nen_imaging.stage import StageError
from nen_imaging.volume import GridMismatchError, Volume, require_same_grid

Mask = NDArray[np.bool_]
Meaning = Literal["liver", "lesion", "other"]
UNCALIBRATED = Reason(
    "interval.uncalibrated", "The segmenter gives labels without probabilities: it does not say how sure it is."
)


def aligned(drawn: Volume, image: Volume, what: str, remedy: str) -> NDArray[Any]:
    """What was drawn, with its axes as the image's (`ORIENTATION`); StageError unless the grid is else the same."""
    turned = drawn.oriented(ORIENTATION)
    try:
        require_same_grid(turned, image)
    except GridMismatchError as error:
        raise StageError(f"{what} does not lie on the grid of the CT. {error} {remedy}") from None
    return turned.array


def masks_of(labels: NDArray[Any], meanings: Mapping[int, Meaning], what: str, where: str) -> tuple[Mask, Mask]:
    """Liver and lesions of a label map, where 0 is background; StageError names a label without a meaning.

    ``what`` was read, and its meanings stand ``where``.
    """
    found = set().union(*(np.unique(labels[..., k]).tolist() for k in range(labels.shape[-1])))
    unknown = sorted(found - {0, *meanings})
    if unknown:
        known = ", ".join(f"{label} {meaning}" for label, meaning in sorted(meanings.items()))
        raise StageError(
            f"{what} holds the labels {', '.join(f'{label:g}' for label in unknown[:5])}, which {where} does not name "
            f"(known: {known}). Name each there as liver, lesion or other."
        )
    liver, lesion = (
        np.isin(labels, [label for label, meaning in meanings.items() if meaning == wanted])
        for wanted in ("liver", "lesion")
    )
    return liver, lesion


def segmentation_of(
    ct: Volume, image: Volume, liver: Mask, lesion: Mask, *, device_used: str, device_note: str = ""
) -> Segmentation:
    """The segmentation of a CT from masks on the grid of ``image``, the same CT with its axes turned."""
    if not liver.any():
        return no_liver(ct, device_used, device_note)
    start, stop = box_around(liver | lesion, np.zeros(3, int))
    box = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    organ, parts = _organ(liver[box], lesion[box])
    inside = organ & lesion[box]
    if organ.sum() * image.voxel_volume_ml < SMALLEST_LIVER_ML:
        return no_liver(ct, device_used, device_note)
    labels = np.zeros(image.shape, np.uint8)
    labels[box] = np.where(inside, LESION, np.where(organ, LIVER, 0))
    reasons = [UNCALIBRATED, *fragmented(parts)]
    if is_truncated(labels > 0, image.array, image.spacing_mm):
        reasons.insert(0, TRUNCATED)
    apart_ml = int((lesion[box] & ~organ).sum()) * image.voxel_volume_ml
    if apart_ml:
        volume = f"{apart_ml:.1f}" if apart_ml >= 0.1 else "Less than 0.1"
        reasons.append(Reason("lesions.outside_liver", f"{volume} ml of lesion lie apart from the liver."))
    turned = on_grid_of(ct, Volume(labels, image.affine))
    probability = turned.with_array(np.where(turned.array == LESION, 255, 0).astype(np.uint8))
    load = percent(int(inside.sum()) / int(organ.sum()))
    return Segmentation(turned, probability, (load,), tuple(reasons), device_used, device_note)


def _organ(liver: Mask, lesion: Mask) -> tuple[Mask, int]:
    """The liver with the lesions that touch it, and the number of its separate parts."""
    from scipy.ndimage import label

    whole = liver | lesion
    numbers, count = label(whole, output=np.int32)
    sizes = np.bincount(numbers[whole], minlength=count + 1)
    sizes[np.bincount(numbers[liver], minlength=count + 1) == 0] = 0  # lesion alone, away from the liver
    kept = sizes >= max(1.0, PART_SHARE * sizes.max())
    return without_holes(kept[numbers]), int(kept.sum())
