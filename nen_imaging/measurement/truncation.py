"""Whether the image holds the whole liver."""

from __future__ import annotations

import numpy as np

from nen_imaging.volume import Volume

SMALL_AREA_MM2 = 100.0
CONTENT_HU = 50.0  # a plane of voxels whose values span less holds no anatomy: padding


def cut_faces(ct: Volume, labels: Volume) -> list[str]:
    """The faces of the image that the liver reaches with more than 100 mm2, in words; empty for a whole liver.

    The image ends with its first and last plane of content, along every axis: a scan may be padded by slices, a coronal
    reformat by rows.
    """
    liver = labels.array != 0
    cut = []
    for axis in range(3):
        first, last = _content(ct, axis)
        pixel_mm2 = float(np.prod(np.delete(ct.spacing_mm, axis)))
        for index, end in ((first, "start"), (last, "end")):
            if np.count_nonzero(np.take(liver, index, axis=axis)) * pixel_mm2 > SMALL_AREA_MM2:
                cut.append(_named(ct, axis, end))
    return sorted(cut)


def _content(ct: Volume, axis: int) -> tuple[int, int]:
    coarse = np.moveaxis(ct.array, axis, 0)[:, ::4, ::4]
    full = np.flatnonzero(np.ptp(coarse.reshape(len(coarse), -1), axis=1) > CONTENT_HU)
    return (int(full[0]), int(full[-1])) if full.size else (0, len(coarse) - 1)


def _named(ct: Volume, axis: int, end: str) -> str:
    direction = ct.affine[:3, axis] * (1 if end == "end" else -1)
    world = int(np.abs(direction).argmax())
    return (("left", "right"), ("back", "front"), ("bottom", "top"))[world][int(direction[world] > 0)]
